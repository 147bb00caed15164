"""Mixed precision: which layers pay with int4 weights or int16 activations on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tvmtiny.design.data import Dataset
from tvmtiny.design.figures import Budget, Figures, figures_of
from tvmtiny.design.fine_tuning import fine_tuned
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.network import Network, Precisions, Ranges, to_tflite
from tvmtiny.design.training import (
    TrainOptions,
    accuracy,
    as_integers,
    calibration,
    check_fit,
    outputs_of,
)
from tvmtiny.errors import InputError
from tvmtiny.estimation.model import cost
from tvmtiny.frontend import load
from tvmtiny.targets import BoardLike, Target, resolve

__all__ = ["Mixed", "PrecisionAdvice", "PrecisionOptions", "advise_precision"]

#: Precisions other than int8, and whether they make a model smaller or more exact.
_SMALLER, _FINER = "int4", "int16"


@dataclass(frozen=True)
class PrecisionOptions:
    """Parameters of the advice.

    Attributes
    ----------
    samples
        Number of training samples on which outputs are compared with those of the float model, and
        largest number of test samples for the accuracy of each mixture.
    margin
        Factor of the difference from the float model in `Mixed.agreement`. A trained network is
        sure of its training samples, so that the plain difference rarely changes their class.
    least_agreement
        Agreement that the chosen mixture must have.
    fine_tuning
        Parameters of quantization-aware fine-tuning of the chosen model; None for none.
    """

    samples: int = 400
    margin: float = 4.0
    least_agreement: float = 0.99
    fine_tuning: TrainOptions | None = None


@dataclass(frozen=True, eq=False)
class Mixed:
    """A model with a precision for each layer.

    Attributes
    ----------
    precisions
        Precisions other than int8, by name of the layer in Keras.
    figures
        The estimated cost.
    snr_db
        Signal-to-noise ratio of the output in decibels on training samples, before a softmax: the
        noise is the difference from the float model.
    agreement
        Share of these samples for which the class is that of the float model, even if the noise is
        amplified by `PrecisionOptions.margin`.
    accuracy
        Accuracy on samples for testing.
    """

    precisions: Mapping[str, str]
    figures: Figures
    snr_db: float
    agreement: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class PrecisionAdvice:
    """The precisions that pay.

    Attributes
    ----------
    cpu
        Name of the CPU.
    alone
        The int8 model, followed by models in which one layer has another precision.
    steps
        Models with int4 weights or int16 activations in a growing number of layers: those that cost
        least accuracy for what they save come first, and those that gain most for what they cost.
    chosen
        The model with the smallest constants, then the fewest cycles, of those within the budget
        that agree sufficiently with the float model; the one that agrees most if none does.
    over
        Limits of the budget that `chosen` exceeds.
    content
        The chosen model as a .tflite file, after fine-tuning if that was requested and agrees more.
    fine_tuned
        Whether `content` is the result of fine-tuning.
    float_accuracy, accuracy, int8_accuracy
        Accuracy on the samples for testing: of the float model, of `content`, and of the int8 model
        without fine-tuning.
    """

    cpu: str
    alone: tuple[Mixed, ...]
    steps: tuple[Mixed, ...]
    chosen: Mixed
    over: tuple[str, ...]
    content: bytes
    fine_tuned: bool
    float_accuracy: float
    accuracy: float
    int8_accuracy: float


def advise_precision(
    model: Any,
    data: Dataset,
    target: Target | BoardLike,
    budget: Budget | None = None,
    options: PrecisionOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> PrecisionAdvice:
    """Measure what each precision of each layer costs and how exact it is, and choose a mixture.

    All choices are based on training samples; the samples for testing are only used for the
    accuracies of the result.

    Parameters
    ----------
    model
        A trained Keras model, see `tvmtiny.design.keras_import.from_keras`; it is not changed.
    data
        Samples for calibration, comparison, fine-tuning and testing.
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.
    budget
        Limits for the chosen model; none by default.
    options
        Parameters of the advice.
    progress
        Called with a line of text for each part of the work.

    Raises
    ------
    ToolMissingError
        If LiteRT is not installed, or Keras for fine-tuning.
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or the file of the board cannot be used.
    InputError
        If a parameter is out of range, the model has an unknown layer or no weights or does not fit
        the data, or no layers were measured on the CPU.
    """
    options = options or PrecisionOptions()
    budget = budget or Budget()
    if options.samples < 1 or options.margin < 1 or not 0 <= options.least_agreement <= 1:
        raise InputError(
            f"{options.samples} samples, a margin of {options.margin} or an agreement of "
            f"{options.least_agreement} is out of range; give at least 1 sample, a margin of at "
            "least 1 and an agreement from 0 to 1"
        )
    tell = progress or (lambda _: None)
    network = from_keras(model)
    if not network.weights:
        raise InputError("the model has no layer with weights, so there is no precision to choose")
    check_fit(model, data)
    compared = _Compared(network, data, resolve(target), options)
    tell("comparing layers alone")
    alone = tuple(compared.alone())
    tell("comparing mixtures")
    steps = tuple(compared.steps(alone))
    chosen = _chosen((*alone, *steps), budget, options.least_agreement)
    return _finished(compared, data, chosen, (alone, steps), budget, options, tell)


def _chosen(found: tuple[Mixed, ...], budget: Budget, least: float) -> Mixed:
    within = [one for one in found if not budget.over(one.figures)] or list(found)
    enough = [one for one in within if one.agreement >= least]
    if not enough:
        return max(within, key=lambda one: (one.agreement, one.snr_db))
    return min(enough, key=lambda one: (one.figures.flash_bytes, one.figures.cycles, -one.snr_db))


def _finished(
    compared: _Compared,
    data: Dataset,
    chosen: Mixed,
    found: tuple[tuple[Mixed, ...], tuple[Mixed, ...]],
    budget: Budget,
    options: PrecisionOptions,
    tell: Callable[[str], None],
) -> PrecisionAdvice:
    """Fine-tune the chosen model if requested, and measure accuracies."""
    network, ranges = compared.network, compared.ranges
    precisions = compared.by_output(chosen.precisions)
    plain = as_integers(network, data, ranges)
    made, tuned = as_integers(network, data, ranges, precisions), False
    if options.fine_tuning is not None:
        tell("fine-tuning with rounding")
        better = fine_tuned(
            network,
            data,
            ranges,
            options.fine_tuning,
            precisions=precisions,
            targets=outputs_of(to_tflite(_logits(network), None), data.x_train),
            loss="mean_squared_error",
        )
        after = compared.mixed(chosen.precisions, better)
        if (after.agreement, after.snr_db) > (chosen.agreement, chosen.snr_db):
            chosen, tuned = after, True
            made = as_integers(better, data, ranges, precisions)
    return PrecisionAdvice(
        compared.target.cpu.name,
        *found,
        chosen,
        budget.over(chosen.figures),
        made.content,
        tuned,
        plain.float_accuracy,
        made.accuracy,
        plain.accuracy,
    )


class _Compared:
    """Compares mixtures of precisions with the float model."""

    def __init__(
        self, network: Network, data: Dataset, target: Target, options: PrecisionOptions
    ) -> None:
        self.network, self.target = network, target
        self.ranges: Ranges = calibration(network, data)
        self._margin, self._samples = options.margin, data.x_train[: options.samples]
        self._tests = data.x_test[: options.samples], data.y_test[: options.samples]
        self._float = outputs_of(to_tflite(_logits(network), None), self._samples)
        # A separable convolution is two operators.
        self._outputs: dict[str, list[str]] = {}
        for op in network.ops:
            if op.weights is not None:
                self._outputs.setdefault(op.layers[0], []).append(op.output)
        self._known: dict[frozenset[tuple[str, str]], Mixed] = {}

    def by_output(self, precisions: Mapping[str, str]) -> Precisions:
        """Return precisions by name of the operator's output in place of the Keras layer's."""
        return {
            output: precision
            for layer, precision in precisions.items()
            for output in self._outputs[layer]
        }

    def mixed(self, precisions: Mapping[str, str], network: Network | None = None) -> Mixed:
        """Measure a mixture; `network` has other weights than the given one."""
        key = frozenset(precisions.items())
        if network is None and key in self._known:
            return self._known[key]
        given, outputs = network or self.network, self.by_output(precisions)
        content = to_tflite(given, self.ranges, precisions=outputs)
        found = figures_of(cost(load(content, name="mixed"), self.target), 0)
        logits = outputs_of(
            to_tflite(_logits(given), self.ranges, precisions=outputs), self._samples
        )
        difference = logits - self._float
        amplified = self._float + self._margin * difference
        signal = max(float((self._float**2).sum()), 1e-12)
        noise = max(float((difference**2).sum()), 1e-12 * signal)
        made = Mixed(
            dict(precisions),
            found,
            10 * float(np.log10(signal / noise)),
            float((amplified.argmax(axis=1) == self._float.argmax(axis=1)).mean()),
            accuracy(content, *self._tests),
        )
        if network is None:
            self._known[key] = made
        return made

    def alone(self) -> Iterator[Mixed]:
        """Yield the int8 model, and models in which one layer has another precision."""
        yield self.mixed({})
        for layer in self._outputs:
            for precision in (_SMALLER, _FINER):
                yield self.mixed({layer: precision})

    def steps(self, alone: tuple[Mixed, ...]) -> Iterator[Mixed]:
        """Yield mixtures of two and more layers, in the order of what single layers gain."""
        plain, *others = alone
        for precision, value in ((_SMALLER, self._saved), (_FINER, self._gained)):
            single = [one for one in others if precision in one.precisions.values()]
            layers = [one for one in single if value(plain, one) > 0]
            mixture: dict[str, str] = {}
            for one in sorted(layers, key=lambda one: -value(plain, one)):
                mixture |= one.precisions
                if len(mixture) > 1:
                    yield self.mixed(mixture)

    def _saved(self, plain: Mixed, one: Mixed) -> float:
        """Return the saved bytes of constants per noise power that int4 weights add."""
        saved = plain.figures.flash_bytes - one.figures.flash_bytes
        return saved / max(_noise(one) - _noise(plain), 1e-12)

    def _gained(self, plain: Mixed, one: Mixed) -> float:
        """Return the noise power that int16 activations remove, per additional cycle."""
        cycles = one.figures.cycles - plain.figures.cycles
        return (_noise(plain) - _noise(one)) / max(cycles, 1)


def _noise(one: Mixed) -> float:
    """Return the power of the noise relative to that of the signal."""
    return float(10 ** (-one.snr_db / 10))


def _logits(network: Network) -> Network:
    """Return the network without a softmax at its end."""
    last = network.ops[-1]
    if last.operator == "SOFTMAX" and len(network.ops) > 1:
        return replace(network, ops=network.ops[:-1])
    return network
