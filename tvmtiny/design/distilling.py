"""Training of a small model to reproduce the outputs of a large one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tvmtiny.design.data import Dataset
from tvmtiny.design.fine_tuning import fine_tuned
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.measured import MeasuredModel, measured
from tvmtiny.design.network import Network, Ranges, to_tflite
from tvmtiny.design.training import (
    TrainOptions,
    accuracy,
    as_integers,
    calibration,
    check_fit,
    ends_in_softmax,
    integers,
    keras_package,
    train,
)
from tvmtiny.errors import InputError
from tvmtiny.targets import BoardLike, Target, resolve

__all__ = ["DistilOptions", "Distilled", "distil"]

#: Lower bound of probabilities, applied before the logarithm.
_LEAST = 1e-7


@dataclass(frozen=True)
class DistilOptions:
    """Parameters of distillation.

    Attributes
    ----------
    temperature
        Softness of the probabilities of teacher and student, at least 1.
    share
        Weight of the teacher in the loss, from 0 to 1.
    training
        Parameters of the student's training.
    fine_tuning
        Parameters of quantization-aware fine-tuning, in case that quantization to int8 lowers the
        accuracy on training samples; None for none.
    compare
        Whether to train a copy of the student on the classes alone.
    """

    temperature: float = 4.0
    share: float = 0.7
    training: TrainOptions = field(default_factory=TrainOptions)
    fine_tuning: TrainOptions | None = None
    compare: bool = False


@dataclass(frozen=True, eq=False)
class Distilled:
    """A student and its teacher.

    Attributes
    ----------
    cpu
        Name of the CPU.
    teacher_accuracy
        Accuracy of the float teacher on the samples for testing.
    teacher
        The teacher after quantization to int8; None if it has layers that cannot be converted.
    student
        The student after quantization to int8.
    alone
        A copy of the student that was trained on the classes alone; None without comparison.
    fine_tuned
        Whether the student is the result of quantization-aware fine-tuning.
    """

    cpu: str
    teacher_accuracy: float
    teacher: MeasuredModel | None
    student: MeasuredModel
    alone: MeasuredModel | None
    fine_tuned: bool


def distil(
    teacher: Any,
    student: Any,
    data: Dataset,
    target: Target | BoardLike,
    options: DistilOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> Distilled:
    """Train `student` in place on the classes and on the outputs of `teacher`.

    The loss is ``(1 - share)`` times the cross entropy with the classes, plus ``share`` times
    ``temperature ** 2`` times the cross entropy with the teacher's probabilities, where the
    temperature softens both distributions (Hinton, Vinyals, Dean: Distilling the Knowledge in a
    Neural Network, 2015).

    Parameters
    ----------
    teacher
        A trained Keras classifier with any layers.
    student
        A Keras classifier of the same classes, trained or not.
    data
        Samples for training and testing.
    target
        The CPU or board for the estimates, its name, or the file of a board; see `tvmtiny.resolve`.
    options
        Parameters of distillation.
    progress
        Called with a line of text for each part of the work.

    Raises
    ------
    ToolMissingError
        If Keras or LiteRT is not installed.
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or the file of the board cannot be used.
    InputError
        If the models have different outputs, a parameter is out of range, or in the cases listed
        for `train` and `tvmtiny.design.keras_import.from_keras`.
    """
    options = options or DistilOptions()
    _check(teacher, student, data, options)
    resolved = resolve(target)
    tell = progress or (lambda _: None)
    tell("measuring the teacher")
    right = teacher.predict(data.x_test, verbose=0).argmax(axis=1) == data.y_test
    taught = _convertible(teacher, data, resolved)
    keras = keras_package()
    alone = None
    if options.compare:
        tell("training the student on the classes alone")
        copy = keras.models.clone_model(student)
        copy.set_weights(student.get_weights())
        train(copy, data, options.training)
        alone = measured(integers(copy, data), resolved)
    tell("training the student")
    targets = _targets(teacher, data, options.temperature)
    loss = _loss(keras.ops, options, soft_output=ends_in_softmax(student))
    train(student, data, options.training, targets=targets, loss=loss)
    network = from_keras(student)
    ranges = calibration(network, data)
    made, tuned = as_integers(network, data, ranges), False
    if options.fine_tuning is not None:
        tell("fine-tuning with rounding, if int8 loses accuracy")
        before = _trained_accuracy(network, None, data), _trained_accuracy(network, ranges, data)
        if before[1] < before[0]:
            loss = _loss(keras.ops, options, soft_output=False)
            better = fine_tuned(
                network, data, ranges, options.fine_tuning, targets=targets, loss=loss
            )
            if _trained_accuracy(better, ranges, data) > before[1]:
                tested = made.float_accuracy
                made = replace(as_integers(better, data, ranges), float_accuracy=tested)
                tuned = True
    return Distilled(
        resolved.cpu.name, float(np.mean(right)), taught, measured(made, resolved), alone, tuned
    )


def _convertible(teacher: Any, data: Dataset, target: Target) -> MeasuredModel | None:
    try:
        network = from_keras(teacher)
    except InputError:
        return None
    return measured(as_integers(network, data), target)


def _check(teacher: Any, student: Any, data: Dataset, options: DistilOptions) -> None:
    # A student that cannot be converted is rejected before its training.
    from_keras(student)
    if tuple(teacher.input_shape[1:]) != data.shape:
        raise InputError(
            f"the teacher takes inputs of shape {list(teacher.input_shape[1:])}, but samples have "
            f"shape {list(data.shape)}"
        )
    if teacher.output_shape[-1] != student.output_shape[-1]:
        raise InputError(
            f"the teacher has {teacher.output_shape[-1]} outputs, the student "
            f"{student.output_shape[-1]}; both need the same classes"
        )
    check_fit(student, data)
    if not (options.temperature >= 1 and 0 <= options.share <= 1):
        raise InputError(
            f"a temperature of {options.temperature} or a share of {options.share} is out of "
            "range; give a temperature of at least 1 and a share from 0 to 1"
        )


def _targets(teacher: Any, data: Dataset, temperature: float) -> np.ndarray:
    """Return one-hot classes, followed by the softened probabilities of the teacher."""
    given = teacher.predict(data.x_train, verbose=0)
    logits = np.log(np.maximum(given, _LEAST)) if ends_in_softmax(teacher) else given
    softened = _softmax(logits / temperature)
    classes = np.eye(softened.shape[-1], dtype=np.float32)[data.y_train]
    return np.concatenate([classes, softened.astype(np.float32)], axis=1)


def _loss(ops: Any, options: DistilOptions, *, soft_output: bool) -> Any:
    """Make the loss for `_targets` and outputs that are probabilities or logits."""
    temperature, share = options.temperature, options.share

    def loss(wanted: Any, found: Any) -> Any:
        count = found.shape[-1]
        own = ops.log(ops.maximum(found, _LEAST)) if soft_output else found
        hard = -ops.sum(wanted[:, :count] * ops.log_softmax(own), axis=-1)
        soft = -ops.sum(wanted[:, count:] * ops.log_softmax(own / temperature), axis=-1)
        return (1 - share) * hard + share * temperature**2 * soft

    return loss


def _trained_accuracy(network: Network, ranges: Ranges | None, data: Dataset) -> float:
    """Measure the accuracy on samples for training; of the float model without ranges."""
    return accuracy(to_tflite(network, ranges), data.x_train, data.y_train)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
