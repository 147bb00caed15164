"""Pruning a Keras model until it costs what it may cost on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tvmtiny.design.data import Dataset
from tvmtiny.design.figures import Budget, Figures, figures_of
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.masks import Masks, hold, masked, prunable
from tvmtiny.design.network import Network, Op, Ranges, calibrated_ranges, to_tflite
from tvmtiny.design.training import TrainOptions, integers, train
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.estimation.model import cost
from tvmtiny.frontend import load
from tvmtiny.targets import BoardLike, Target, resolve

__all__ = ["METHODS", "BreakEven", "PruneOptions", "Pruned", "PrunedModel", "break_even", "prune"]

#: Whole filters help on every CPU; blocks of zeros where there are kernels for them.
METHODS = ("filters", "blocks")

#: Shares of blocks that are tried.
_SHARES = (0.25, 0.5, 0.625, 0.75, 0.875)

#: Filters that go at a time, as shares of those of the layer, as kernels take several at a time;
#: and how many are left at least.
_TURNS, _LEAST = (0.125, 0.25), 2

_CALIBRATION = 100


@dataclass(frozen=True)
class PruneOptions:
    """How a model is pruned.

    Attributes
    ----------
    method
        One of `METHODS`.
    steps
        In how many steps weights go; each is followed by fine-tuning.
    fine_tuning
        Of each step; the last one takes three times the epochs.
    """

    method: str = "filters"
    steps: int = 4
    fine_tuning: TrainOptions = field(default_factory=lambda: TrainOptions(epochs=4, rate=0.003))


@dataclass(frozen=True)
class BreakEven:
    """What pruning one layer alone would save.

    Attributes
    ----------
    layer
        Name in Keras.
    method, share
        Which of `METHODS`, and of how much.
    cycles, flash_bytes, ram_bytes
        Of the whole model, less than before; below zero where it would cost more.
    """

    layer: str
    method: str
    share: float
    cycles: int
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True, eq=False)
class PrunedModel:
    """One side of the comparison.

    Attributes
    ----------
    content
        The int8 model, a .tflite file.
    figures
        What it costs, an estimate.
    accuracy, float_accuracy
        On the samples for test.
    """

    content: bytes
    figures: Figures
    accuracy: float
    float_accuracy: float


@dataclass(frozen=True, eq=False)
class Pruned:
    """What became of a model.

    Attributes
    ----------
    cpu
        The name.
    before, after
        The model as it was given and as it is now.
    over
        Limits of the budget that `after` still exceeds.
    kept
        By layer: filters that are left and that there were, and the share of blocks that is zero.
    table
        What pruning each layer alone would have saved.
    """

    cpu: str
    before: PrunedModel
    after: PrunedModel
    over: tuple[str, ...]
    kept: dict[str, tuple[int, int, float]]
    table: tuple[BreakEven, ...]


class _Priced:
    """Costs of a network with masks, without training it."""

    def __init__(self, network: Network, ranges: Ranges, target: Target) -> None:
        self._network, self._ranges, self._target = network, ranges, target

    def __call__(self, masks: Masks) -> Figures:
        changed, _ = masked(self._network, masks)
        content = to_tflite(changed, self._ranges)
        return figures_of(cost(load(content, name="pruned"), self._target), 0)


def break_even(network: Network, ranges: Ranges, target: Target | BoardLike) -> Iterator[BreakEven]:
    """What half of the filters, and shares of the blocks, of each layer alone would save."""
    priced = _Priced(network, ranges, resolve(target))
    now = priced(Masks())
    for op in prunable(network):
        half = _weakest(op, np.ones(op.shape[-1], bool), op.shape[-1] // 2)
        tried = [("filters", 0.5, Masks(filters={op.output: half}))]
        tried += [("blocks", share, Masks(blocks={op.output: share})) for share in _SHARES]
        for method, share, masks in tried:
            after = priced(masks)
            yield BreakEven(
                op.layers[0],
                method,
                share,
                now.cycles - after.cycles,
                now.flash_bytes - after.flash_bytes,
                now.ram_bytes - after.ram_bytes,
            )


def prune(
    model: Any,
    data: Dataset,
    target: Target | BoardLike,
    budget: Budget,
    options: PruneOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> Pruned:
    """Prune a trained Keras model in place until it is within `budget`, and measure the result.

    What goes is chosen layer by layer: in each turn the filters, or blocks, whose weights are the
    smallest share of their layer's for the cycles, flash and RAM that they save on this CPU.

    Parameters
    ----------
    model
        A trained Keras model, see `tvmtiny.design.keras_import.from_keras`.
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.

    Raises
    ------
    ToolMissingError
        Keras or LiteRT is not installed.
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or its file is not usable.
    InputError
        If there is no such method, the budget is empty, the model has a layer that is not known or
        nothing to prune, or no layers were measured on the CPU.
    """
    options = options or PruneOptions()
    if options.method not in METHODS:
        raise InputError(
            f"there is no method {quoted(options.method)}; known: {', '.join(METHODS)}"
        )
    if budget == Budget():
        raise InputError("nothing says how far to prune; give a limit of cycles, flash or RAM")
    tell = progress or (lambda _: None)
    resolved = resolve(target)
    network = from_keras(model)
    if not prunable(network):
        raise InputError("the model has no layer to prune: its only weights are those of the last")
    tell("measuring the model")
    before = _measured(model, data, resolved)
    ranges = calibrated_ranges(network, data.x_train[:_CALIBRATION])
    table = tuple(break_even(network, ranges, resolved))
    masks = Masks()
    for step in range(1, options.steps + 1):
        tell(f"step {step} of {options.steps}")
        network = from_keras(model)
        part = _part(budget, before.figures, step / options.steps)
        priced = _Priced(network, ranges, resolved)
        grow = _fewer_filters if options.method == "filters" else _more_blocks
        masks = _fitting(network, masks, part, priced, grow)
        epochs = options.fine_tuning.epochs * (3 if step == options.steps else 1)
        tuning = replace(options.fine_tuning, epochs=epochs)
        train(model, data, tuning, callbacks=(hold(model, network, masks),))
    after = _measured(model, data, resolved)
    return Pruned(
        resolved.cpu.name,
        before,
        after,
        budget.over(after.figures),
        {
            op.layers[0]: (
                int(masks.filters.get(op.output, np.ones(op.shape[-1], bool)).sum()),
                op.shape[-1],
                masks.blocks.get(op.output, 0.0),
            )
            for op in prunable(network)
        },
        table,
    )


def _measured(model: Any, data: Dataset, target: Target) -> PrunedModel:
    made = integers(model, data)
    found = figures_of(cost(load(made.content, name="pruned"), target), 0)
    return PrunedModel(made.content, found, made.accuracy, made.float_accuracy)


def _part(budget: Budget, now: Figures, share: float) -> Budget:
    """The budget on the way to the last one: most goes in the first steps."""
    done = 1 - (1 - share) ** 2

    def between(name: str) -> int | None:
        limit = getattr(budget, name)
        return (
            None
            if limit is None
            else round(limit + (1 - done) * max(getattr(now, name) - limit, 0))
        )

    return Budget(between("ram_bytes"), between("flash_bytes"), between("cycles"))


#: A change of one layer's masks: the operator, the new masks, and the weight that they lose.
_Change = Callable[[Network, Masks], Iterator[tuple[Masks, float]]]


def _fitting(
    network: Network, masks: Masks, budget: Budget, priced: _Priced, grow: _Change
) -> Masks:
    """Masks that are within the budget, or as many as there can be."""
    now = priced(masks)
    while budget.over(now):
        best: tuple[float, Masks, Figures] | None = None
        for changed, lost in grow(network, masks):
            after = priced(changed)
            saved = sum(
                1 - getattr(after, name) / max(getattr(now, name), 1) for name in budget.over(now)
            )
            if saved > 0 and (best is None or lost / saved < best[0]):
                best = (lost / saved, changed, after)
        if best is None:
            break
        _, masks, now = best
    return masks


def _fewer_filters(network: Network, masks: Masks) -> Iterator[tuple[Masks, float]]:
    for op in prunable(network):
        kept = masks.filters.get(op.output, np.ones(op.shape[-1], bool))
        importance = _importance(op)
        for turns in _TURNS:
            count = max(1, round(turns * len(kept)))
            if kept.sum() - count < min(_LEAST, len(kept)):
                break
            fewer = _weakest(op, kept, count)
            lost = float(importance[kept & ~fewer].sum() / max(importance[kept].sum(), 1e-12))
            yield replace(masks, filters={**masks.filters, op.output: fewer}), lost


def _more_blocks(network: Network, masks: Masks) -> Iterator[tuple[Masks, float]]:
    for op in prunable(network):
        if op.shape[-1] % 2:
            continue
        before = masks.blocks.get(op.output, 0.0)
        for share in (share for share in _SHARES if share > before):
            changed = replace(masks, blocks={**masks.blocks, op.output: share})
            _, kept = masked(network, changed)
            assert op.weights is not None
            size = np.abs(op.weights)
            yield changed, float(size[~kept[op.output]].sum() / max(size.sum(), 1e-12))


def _importance(op: Op) -> np.ndarray:
    """Of each filter: the magnitude of its weights."""
    assert op.weights is not None
    return np.abs(op.weights).reshape(len(op.weights), -1).sum(axis=1)


def _weakest(op: Op, kept: np.ndarray, count: int) -> np.ndarray:
    """`kept` without the `count` weakest filters."""
    order = np.argsort(np.where(kept, _importance(op), np.inf), kind="stable")
    fewer = kept.copy()
    fewer[order[:count]] = False
    return fewer
