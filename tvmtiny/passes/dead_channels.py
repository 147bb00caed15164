"""Dead-channel elimination: constants forward, liveness backward, smaller tensors.

A channel whose value is known at compile time need not be computed if every reader can account for
it beforehand, and a channel that nobody reads need not be computed at all. Pruned models have many
such channels: a filter of zeros makes its output channel a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node, Oracle, Tensor, find_operator
from tvmtiny.passes.channel_slices import GraphSlicer
from tvmtiny.passes.channels import Dense, Link, Relation, channel_count, relation

#: Relations by node index.
_Relations = Mapping[int, Relation]


@dataclass(frozen=True, eq=False)
class Reduced:
    """A graph without its dead channels.

    Attributes
    ----------
    graph
        The smaller graph.
    kept
        The remaining channels of each activation that lost channels, by tensor index: positions
        along the last dimension of the original tensor, in ascending order.
    """

    graph: Graph
    kept: Mapping[int, tuple[int, ...]]


def eliminate_dead_channels(graph: Graph, oracle: Oracle) -> Reduced:
    """Remove channels that no output of `graph` depends on, and channels whose value is known.

    Inputs and outputs of the graph keep their shapes, and every computed bit stays the same: known
    values come from the operators' numpy references, and consumers hold the contribution of removed
    channels in the int32 bias. Only int8 tensors lose channels.

    Parameters
    ----------
    graph
        A graph that passed `tvmtiny.frontend.verify.verify`.
    oracle
        The reference whose arithmetic determines the known values.
    """
    relations = {node.index: relation(node) for node in graph.nodes}
    constants = _Constants(graph, relations, oracle)
    kept = _Liveness(graph, relations, constants).kept
    return _rebuild(graph, relations, constants, kept)


class _Constants:
    """Values that are known at compile time, channel by channel.

    Attributes
    ----------
    known
        By tensor index, a mask of the channels that are known at every position.
    """

    def __init__(self, graph: Graph, relations: _Relations, oracle: Oracle) -> None:
        self._relations = relations
        self.known: dict[int, np.ndarray] = {}
        self._values: dict[int, np.ndarray] = {}
        for node in graph.nodes:
            self._visit(node, oracle)

    def uniform(self, tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return a mask of the channels with one known value everywhere, and the values (int64)."""
        values = self._channels(tensor)
        same = self._mask(tensor) & (values == values[:1]).all(axis=0)
        return same, values[0].astype(np.int64)

    def _mask(self, tensor: Tensor) -> np.ndarray:
        constant = np.full(channel_count(tensor), tensor.data is not None)
        return self.known.get(tensor.index, constant)

    def _value(self, tensor: Tensor) -> np.ndarray:
        """Return the tensor's values, with the zero point for unknown ones."""
        if tensor.data is not None:
            return tensor.data
        if tensor.index not in self._values:
            blank = tensor.zero_point if tensor.dtype == "int8" else 0
            return np.full(tensor.shape, blank, tensor.dtype)
        return self._values[tensor.index]

    def _channels(self, tensor: Tensor) -> np.ndarray:
        return self._value(tensor).reshape(-1, channel_count(tensor))

    def _visit(self, node: Node, oracle: Oracle) -> None:
        found = self._determined(node)
        if not found.any():
            return
        operator = find_operator(node.operator)
        assert operator is not None
        present = [self._value(t) for t in node.inputs if t is not None]
        (values,) = operator.reference(node, present, oracle)
        self.known[node.output.index] = found
        self._values[node.output.index] = values

    def _determined(self, node: Node) -> np.ndarray:
        """Return a mask of the output channels that depend on known channels only."""
        found = np.ones(channel_count(node.output), bool)
        related = self._relations[node.index]
        if related is None:
            return ~found
        if isinstance(related, Dense):
            return ~(related.reads & ~self._mask(node.input(0))).any(axis=1)
        for link in related:
            unknown = ~self._mask(node.input(link.position))[link.source]
            if link.weighed is not None:
                unknown &= link.weighed[link.target]
            found[link.target[unknown]] = False
        return found


class _Liveness:
    """Determines the channels that have to stay.

    Attributes
    ----------
    kept
        By index of an activation, a bool per channel.
    """

    def __init__(self, graph: Graph, relations: _Relations, constants: _Constants) -> None:
        self._relations = relations
        self._constants = constants
        ends = [*graph.inputs, *graph.outputs]
        ends += [t for state in graph.states for t in (state.before, state.after)]
        tensors = [*graph.inputs, *(state.before for state in graph.states)]
        tensors += [t for node in graph.nodes for t in node.outputs]
        self.kept = {t.index: np.zeros(channel_count(t), bool) for t in tensors}
        for tensor in ends:
            self._keep(tensor)
        before = -1
        # The set of kept channels only grows, so the loop ends. Because of tied channels, a single
        # backward pass is not enough.
        while before != (size := sum(int(mask.sum()) for mask in self.kept.values())):
            before = size
            for node in reversed(graph.nodes):
                if any(self.kept[t.index].any() for t in node.outputs):
                    self._visit(node)

    def _keep(self, tensor: Tensor, channels: np.ndarray | None = None) -> None:
        if tensor.data is None:
            self.kept[tensor.index][slice(None) if channels is None else channels] = True

    def _visit(self, node: Node) -> None:
        related = self._relations[node.index]
        if isinstance(related, Dense):
            self._visit_dense(node, related)
        elif related is not None:
            for link in related:
                self._visit_link(node, link)
        else:
            for tensor in (*node.inputs, *node.outputs):
                if tensor is not None:
                    self._keep(tensor)

    def _visit_dense(self, node: Node, product: Dense) -> None:
        x, kept = node.input(0), self.kept[node.output.index]
        kept[np.flatnonzero(~kept)[: max(0, product.least - int(kept.sum()))]] = True
        foldable = product.foldable(*self._constants.uniform(x))
        self._keep(x, product.reads[kept].any(axis=0) & ~foldable)
        self._keep_one(x)

    def _visit_link(self, node: Node, link: Link) -> None:
        operand = node.input(link.position)
        if operand.data is not None:
            return
        outputs = self.kept[node.output.index]
        self._keep(operand, link.source[outputs[link.target]])
        if link.tied:
            outputs[link.target[self.kept[operand.index][link.source]]] = True
        if node.operator != "CONCATENATION":
            self._keep_one(operand)

    def _keep_one(self, tensor: Tensor) -> None:
        """Keep one channel of a tensor that is read, since it cannot be empty."""
        if not self.kept[tensor.index].any():
            self._keep(tensor, np.arange(1))


def _rebuild(
    graph: Graph,
    relations: _Relations,
    constants: _Constants,
    kept: Mapping[int, np.ndarray],
) -> Reduced:
    slicer = GraphSlicer(graph, kept)
    for node in graph.nodes:
        if not any(kept[t.index].any() for t in node.outputs):
            continue
        related = relations[node.index]
        if isinstance(related, Dense):
            slicer.add_dense(node, related, constants.uniform(node.input(0))[1])
        elif related is not None:
            slicer.add_linked(node, related)
        else:
            slicer.add_whole(node)
    return Reduced(slicer.graph(), slicer.kept_channels())
