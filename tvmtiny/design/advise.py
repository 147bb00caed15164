"""Advice on bringing a model within a budget: the costliest layers, reasons, and changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tvmtiny.compiler import optimized_nodes
from tvmtiny.design.figures import Budget, Figures, figures_of, state_bytes, streamed
from tvmtiny.design.reasons import reasons
from tvmtiny.design.variants import block_zeros, with_weights
from tvmtiny.errors import InputError
from tvmtiny.errors.base import short_name
from tvmtiny.estimation.model import LayerCost, ModelCost, cost
from tvmtiny.frontend import Model
from tvmtiny.ops import Node
from tvmtiny.targets import BoardLike, Target, resolve

__all__ = ["Advice", "CostlyLayer", "Hint", "advise"]

#: Number of the costliest layers that are examined.
_LAYERS = 5

#: Share of the blocks of weights that a hint sets to zero.
_ZEROS = 0.75

#: Least relative saving of a hint in a requested figure.
_LEAST_GAIN = 0.01

_WEIGHTED = ("CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class CostlyLayer:
    """A layer that takes much of the time.

    Attributes
    ----------
    index, operator, name, schedule
        See `tvmtiny.estimation.model.LayerCost`.
    cycles
        Estimated cycles.
    share
        Share of the cycles of the whole model.
    cycles_per_mac
        Cycles per multiply-accumulate operation; 0 for a layer without products.
    reasons
        Reasons why the layer takes more time than others of its size; may be empty.
    """

    index: int
    operator: str
    name: str
    schedule: str
    cycles: int
    share: float
    cycles_per_mac: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Hint:
    """A change of the model, or of the options for compiling it.

    Attributes
    ----------
    kind
        ``option``, ``zeros``, ``filters``, ``pad`` or ``float``.
    where
        The layer or layers; empty for an option.
    change
        Description of the change.
    options
        The options of `tvmtiny.compile` that make the change; empty for a change of the model.
    predicted
        Cost of the whole model with this change alone; None if it cannot be estimated.
    enough
        Whether this cost is within the budget.
    """

    kind: str
    where: str
    change: str
    options: Mapping[str, str | int] = field(default_factory=dict)
    predicted: Figures | None = None
    enough: bool = False


@dataclass(frozen=True)
class Advice:
    """The result of comparing a model with a budget.

    Attributes
    ----------
    model, cpu
        Names of the model and of the CPU.
    budget
        The limits.
    over
        Limits that are exceeded: ``ram_bytes``, ``flash_bytes``, ``cycles``.
    now
        Cost of the unchanged model.
    layers
        The layers that take most cycles, in descending order.
    hints
        Possible changes; those that suffice come first, then those that save more.
    """

    model: str
    cpu: str
    budget: Budget
    over: tuple[str, ...]
    now: Figures
    layers: tuple[CostlyLayer, ...]
    hints: tuple[Hint, ...]


def advise(
    model: Model,
    target: Target | BoardLike,
    budget: Budget | None = None,
    **options: Any,
) -> Advice:
    """Find changes that would bring `model` within `budget`, and estimate their effect.

    Each prediction is an estimate of the changed model, based on the rules that compile it: nothing
    is built or trained. The effect of changed weights on the accuracy is not predicted.

    Parameters
    ----------
    model
        The model.
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.
    budget
        The limits; without any, hints are ordered by cycles.
    options
        Options of `tvmtiny.cost`.

    Returns
    -------
    Advice
        The cost of the unchanged model, its costliest layers, and the possible changes.

    Raises
    ------
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or the file of the board cannot be used.
    InputError
        If a limit is not positive, no layers were measured on the CPU, or in the cases listed for
        `tvmtiny.cost`.
    """
    budget = budget or Budget()
    for name, limit in vars(budget).items():
        if limit is not None and limit <= 0:
            raise InputError(f"the budget of {name} is {limit}; give a positive number")
    resolved = resolve(target)
    found = cost(model, resolved, **options)
    now = figures_of(found, state_bytes(model))
    asked = _Asked(model, resolved, budget, now, options)
    tried = [hint for hint in asked.hints(found) if asked.is_useful(hint)]
    return Advice(
        model.name,
        resolved.cpu.name,
        budget,
        budget.over(now),
        now,
        tuple(_costly(model, found)),
        tuple(sorted(tried, key=asked.order)),
    )


def _costly(model: Model, found: ModelCost) -> Iterator[CostlyLayer]:
    nodes = {node.output.name: node for node in optimized_nodes(model)}
    total = max(found.total.estimated_cycles, 1)
    for layer in sorted(found.layers, key=lambda layer: -layer.estimated_cycles)[:_LAYERS]:
        if layer.estimated_cycles:
            yield CostlyLayer(
                layer.index,
                layer.operator,
                layer.name,
                layer.schedule,
                layer.estimated_cycles,
                layer.estimated_cycles / total,
                layer.estimated_cycles / layer.macs if layer.macs else 0.0,
                reasons(nodes.get(layer.name), layer.schedule, layer.macs),
            )


@dataclass(frozen=True, eq=False)
class _Asked:
    """A request for advice, with the methods that produce hints."""

    model: Model
    target: Target
    budget: Budget
    now: Figures
    options: Mapping[str, Any]

    def hints(self, found: ModelCost) -> Iterator[Hint]:
        """Yield all hints, including those that save nothing."""
        nodes = {node.output.name: node for node in self.model.graph.nodes}
        yield from self._option_hints()
        ordered = sorted(found.layers, key=lambda layer: -layer.estimated_cycles)
        costly = [nodes[layer.name] for layer in ordered[:_LAYERS] if layer.name in nodes]
        weighted = [n for n in map(self._producer, costly) if n is not None and _has_weights(n)]
        weighted = list({node.index: node for node in weighted}.values())
        every = [n for n in self.model.graph.nodes if n.operator in _WEIGHTED and _has_weights(n)]
        if every:
            yield self._zeros(every, f"all {len(every)} convolutions and dense layers")
        for node in weighted:
            yield self._zeros([node], node.where)
        for node in weighted:
            yield from self._filters(node)
        for layer in ordered:
            if layer.name in nodes:
                yield from self._others(nodes[layer.name], layer)

    def is_useful(self, hint: Hint) -> bool:
        """Return whether a hint saves enough of a requested figure, or cannot be estimated."""
        if hint.predicted is None:
            return True
        return any(self._saved(hint.predicted, name) > _LEAST_GAIN for name in self._wanted())

    def order(self, hint: Hint) -> tuple[bool, bool, float]:
        """Return a sort key: sufficient hints first, then those that save more."""
        if hint.predicted is None:
            return (True, True, 0.0)
        saved = sum(self._saved(hint.predicted, name) for name in self._wanted())
        return (not hint.enough, hint.kind != "option", -saved)

    def _wanted(self) -> tuple[str, ...]:
        return self.budget.over(self.now) or ("cycles",)

    def _saved(self, after: Figures, name: str) -> float:
        return 1 - getattr(after, name) / max(getattr(self.now, name), 1)

    def _hint(
        self, kind: str, where: str, change: str, after: Figures | None, **options: Any
    ) -> Hint:
        enough = after is not None and not self.budget.over(after)
        return Hint(kind, where, change, options, after, enough)

    def _cost(self, changed: Model, **options: Any) -> Figures:
        found = cost(changed, self.target, **{**self.options, **options})
        return figures_of(found, state_bytes(changed))

    def _option_hints(self) -> Iterator[Hint]:
        ram = self.budget.ram_bytes
        if ram is not None and self.now.ram_bytes > ram:
            states = state_bytes(self.model)
            slower = self._cost(self.model, ram_budget=ram - states)
            # A budget that no kernels meet is refused: then the least that they need is named.
            arena = max(ram, slower.ram_bytes) - states
            if arena > ram - states:
                slower = self._cost(self.model, ram_budget=arena)
            change = f"compile with --ram-budget {arena}: slower kernels with less workspace"
            yield self._hint("option", "", change, slower, ram_budget=arena)
            rows = streamed(self.model, self.target, ram - states, self.options)
            if rows is not None:
                arena = max(ram, rows.ram_bytes) - states
                change = f"compile with --stream inside --ram-budget {arena}: layers run row by row"
                yield self._hint("option", "", change, rows, stream="inside", ram_budget=arena)
        for goal in ("speed", "size"):
            change = f"compile with --optimize {goal}"
            if self.options.get("optimize", "balanced") != goal:
                made = self._cost(self.model, optimize=goal)
                yield self._hint("option", "", change, made, optimize=goal)

    def _producer(self, node: Node) -> Node | None:
        """Return the layer whose filters determine the channels of `node`."""
        if node.operator != "DEPTHWISE_CONV_2D":
            return node if node.operator in _WEIGHTED else None
        source = node.input(0).index
        before = [n for n in self.model.graph.nodes if n.output.index == source]
        return self._producer(before[0]) if before else None

    def _zeros(self, nodes: list[Node], where: str) -> Hint:
        weights = {n.input(1).index: block_zeros(_data(n), _ZEROS) for n in nodes}
        change = (
            f"prune {round(100 * _ZEROS)} % of the blocks of 2 filters x 4 inputs "
            "and train on with the rest (tvmtiny prune)"
        )
        return self._hint("zeros", where, change, self._cost(with_weights(self.model, weights)))

    def _filters(self, node: Node) -> Iterator[Hint]:
        data = _data(node)
        count = len(data)
        if count < 4 or any(node.output.index == t.index for t in self.model.graph.outputs):
            return
        half = data.copy()
        half[1::2] = 0
        made = self._cost(with_weights(self.model, {node.input(1).index: half}))
        change = f"give it {-(-count // 2)} filters instead of {count}, and train again"
        yield self._hint("filters", node.where, change, made)

    def _others(self, node: Node, layer: LayerCost) -> Iterator[Hint]:
        if node.operator in ("PAD", "PADV2") and layer.instructions:
            change = (
                "let only convolutions read what is padded, and pad along height and width with "
                "zeros, so that the layer becomes their own padding"
            )
            after = replace(
                self.now,
                instructions=self.now.instructions - layer.instructions,
                cycles=self.now.cycles - layer.estimated_cycles,
            )
            yield self._hint("pad", node.where, change, after)
        if node.output.dtype == "float32" and layer.instructions:
            change = "quantize the model (tvmtiny quantize): this layer computes in float"
            yield self._hint("float", node.where, change, None)


def _has_weights(node: Node) -> bool:
    weights = node.input(1)
    return weights.data is not None and weights.dtype == "int8"


def _data(node: Node) -> np.ndarray:
    data = node.input(1).data
    assert data is not None
    return data


def hint_line(hint: Hint) -> str:
    """Return a hint as one line of text, without figures."""
    place = f"{short_name(hint.where, 60)}: " if hint.where else ""
    return f"{place}{hint.change}"
