"""Pruning of a Keras model until its cost on a CPU is within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tvmtiny.design.data import Dataset
from tvmtiny.design.figures import Budget, Figures, figures_of
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.masks import Masks, hold, masked, prunable
from tvmtiny.design.measured import MeasuredModel, measured
from tvmtiny.design.network import Network, Op, Ranges, calibrated_ranges, to_tflite
from tvmtiny.design.training import TrainOptions, check_fit, integers, train
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.estimation.model import cost
from tvmtiny.frontend import load
from tvmtiny.targets import BoardLike, Target, resolve

__all__ = ["METHODS", "BreakEven", "PruneOptions", "Pruned", "break_even", "prune"]

#: Fewer filters help on every CPU; blocks of zeros need kernels that support them.
METHODS = ("filters", "blocks")

#: Shares of zero blocks to try.
_SHARES = (0.25, 0.5, 0.625, 0.75, 0.875)

#: Filters to remove in a step, as shares of the layer's filters: kernels compute several at once.
#: And the least number of filters of a layer.
_TURNS, _LEAST = (0.125, 0.25), 2

_CALIBRATION = 100


@dataclass(frozen=True)
class PruneOptions:
    """Parameters of pruning.

    Attributes
    ----------
    method
        One of `METHODS`.
    steps
        Number of steps in which weights are removed; fine-tuning follows each step.
    fine_tuning
        Parameters of the training in each step; the last step takes three times the epochs.
    """

    method: str = "filters"
    steps: int = 4
    fine_tuning: TrainOptions = field(default_factory=lambda: TrainOptions(epochs=4, rate=0.003))


@dataclass(frozen=True)
class BreakEven:
    """The savings from pruning one layer alone.

    Attributes
    ----------
    layer
        Name of the layer in Keras.
    method, share
        One of `METHODS`, and the share of the layer that is pruned.
    cycles, flash_bytes, ram_bytes
        Savings of the whole model; negative if its cost grows.
    """

    layer: str
    method: str
    share: float
    cycles: int
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True, eq=False)
class Pruned:
    """The result of pruning.

    Attributes
    ----------
    cpu
        Name of the CPU.
    before, after
        The model before and after pruning.
    over
        Limits of the budget that `after` still exceeds.
    kept
        For each layer: remaining filters, original filters, and the share of zero blocks.
    table
        The savings from pruning each layer alone.
    """

    cpu: str
    before: MeasuredModel
    after: MeasuredModel
    over: tuple[str, ...]
    kept: dict[str, tuple[int, int, float]]
    table: tuple[BreakEven, ...]


class _Priced:
    """Estimates the cost of a network with masks, without training it."""

    def __init__(self, network: Network, ranges: Ranges, target: Target) -> None:
        self._network, self._ranges, self._target = network, ranges, target

    def __call__(self, masks: Masks) -> Figures:
        changed, _ = masked(self._network, masks)
        content = to_tflite(changed, self._ranges)
        return figures_of(cost(load(content, name="pruned"), self._target), 0)


def break_even(network: Network, ranges: Ranges, target: Target | BoardLike) -> Iterator[BreakEven]:
    """Estimate the savings from removing half of the filters or some blocks of each layer alone."""
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

    Each iteration prunes one layer. It chooses the filters or blocks whose share in the magnitude
    of the layer's weights is smallest relative to the cycles, flash and RAM that they save.

    Parameters
    ----------
    model
        A trained Keras model, see `tvmtiny.design.keras_import.from_keras`.
    data
        Samples for fine-tuning and testing.
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.
    budget
        The limits.
    options
        Parameters of pruning.
    progress
        Called with a line of text for each step.

    Raises
    ------
    ToolMissingError
        If Keras or LiteRT is not installed.
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or the file of the board cannot be used.
    InputError
        If there is no such method, the budget is empty, the model has an unknown layer or nothing
        to prune or does not fit the data, or no layers were measured on the CPU.
    """
    options = options or PruneOptions()
    if options.method not in METHODS:
        raise InputError(
            f"there is no method {quoted(options.method)}; known: {', '.join(METHODS)}"
        )
    if budget == Budget():
        raise InputError("pruning needs a budget; give a limit of cycles, flash or RAM")
    tell = progress or (lambda _: None)
    resolved = resolve(target)
    network = from_keras(model)
    if not prunable(network):
        raise InputError("the model has no layer to prune: only its last layer has weights")
    check_fit(model, data)
    tell("measuring the model")
    before = measured(integers(model, data), resolved)
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
    after = measured(integers(model, data), resolved)
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


def _part(budget: Budget, now: Figures, share: float) -> Budget:
    """Interpolate towards the final budget; the first steps remove most."""
    done = 1 - (1 - share) ** 2

    def between(name: str) -> int | None:
        limit = getattr(budget, name)
        return (
            None
            if limit is None
            else round(limit + (1 - done) * max(getattr(now, name) - limit, 0))
        )

    return Budget(between("ram_bytes"), between("flash_bytes"), between("cycles"))


#: Yields changes of one layer's masks: the new masks, and the relative weight that is lost.
_Change = Callable[[Network, Masks], Iterator[tuple[Masks, float]]]


def _fitting(
    network: Network, masks: Masks, budget: Budget, priced: _Priced, grow: _Change
) -> Masks:
    """Extend masks until the network is within the budget, or nothing more can be pruned."""
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
    """Return the magnitude of each filter's weights."""
    assert op.weights is not None
    return np.abs(op.weights).reshape(len(op.weights), -1).sum(axis=1)


def _weakest(op: Op, kept: np.ndarray, count: int) -> np.ndarray:
    """Return `kept` without the `count` weakest filters."""
    order = np.argsort(np.where(kept, _importance(op), np.inf), kind="stable")
    fewer = kept.copy()
    fewer[order[:count]] = False
    return fewer
