"""Splitting of BIDIRECTIONAL_SEQUENCE_LSTM into a forward and a backward layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.lstm import CELLS, STATE

__all__ = ["with_directions"]

_OPERATOR = "BIDIRECTIONAL_SEQUENCE_LSTM"

#: Number of inputs of a direction apart from the states, and position of the first of each.
_OWN, _FORWARD, _BACKWARD = 17, 1, 18
#: Positions of the output state and of the cell state of each direction.
_STATES = {_FORWARD: (35, 36), _BACKWARD: (37, 38)}
#: Position of a second input, and of the four gates' weights for it in each direction.
_SECOND, _SECOND_WEIGHTS = 39, {_FORWARD: 40, _BACKWARD: 44}
#: Rank of a sequence, which the kernel that reverses it requires.
_RANK = 3


def with_directions(graph: Graph) -> Graph:
    """Replace each bidirectional layer by two unidirectional ones, reversals and a concatenation.

    New nodes and tensors get indices after all existing ones. A layer with inputs that LiteRT
    refuses stays as it is.
    """
    if not any(node.operator == _OPERATOR for node in graph.nodes):
        return graph
    return _Splitter(graph).graph()


class _Splitter:
    def __init__(self, graph: Graph) -> None:
        self._before = graph
        self._tensors = list(graph.tensors)
        self._nodes: list[Node] = []
        self._next_node = max(node.index for node in graph.nodes) + 1

    def graph(self) -> Graph:
        for node in self._before.nodes:
            if node.operator == _OPERATOR and _is_sound(node):
                self._split(node)
            else:
                self._nodes.append(node)
        return replace(self._before, tensors=tuple(self._tensors), nodes=tuple(self._nodes))

    def _split(self, node: Node) -> None:
        x, second = node.input(0), node.optional_input(_SECOND)
        crossed = node.optional_input(_SECOND_WEIGHTS[_FORWARD] + 1) is not None
        backward = second if second is not None and not crossed else x
        if second is not None and crossed:
            x = backward = self._joined(node, [x, second])
        time = 0 if node.options.get("time_major") else 1
        axis = self._constant("axis", np.array([time], np.int32))
        merged = bool(node.options.get("merge_outputs"))
        first = self._layer(node, _FORWARD, x, crossed, None if merged else node.outputs[0])
        reversed_input = self._like(backward, f"{backward.name}/backwards")
        self._add("REVERSE_V2", [backward, axis], reversed_input)
        last = self._layer(node, _BACKWARD, reversed_input, crossed, None)
        output = self._like(last, f"{last.name}/forwards") if merged else node.outputs[1]
        self._add("REVERSE_V2", [last, axis], output)
        if merged:
            options = {"axis": _RANK - 1, "fused_activation_function": "NONE"}
            self._add("CONCATENATION", [first, output], node.outputs[0], options)

    def _layer(
        self, node: Node, begin: int, x: Tensor, crossed: bool, output: Tensor | None
    ) -> Tensor:
        """Add one direction; without `output`, it writes a new tensor. Return the output."""
        inputs: list[Tensor | None] = [x]
        inputs += [node.optional_input(begin + i) for i in range(_OWN)]
        states = [node.optional_input(i) for i in _STATES[begin]]
        if crossed:
            for gate in range(4):
                own, more = inputs[1 + gate], node.optional_input(_SECOND_WEIGHTS[begin] + gate)
                if own is not None and more is not None:
                    assert own.data is not None and more.data is not None
                    joined = np.concatenate([own.data, more.data], axis=1)
                    inputs[1 + gate] = self._constant(own.name, joined)
        if output is None:
            outputs = states[0].shape[-1] if states[0] is not None and states[0].shape else 1
            output = self._like(x, f"{node.outputs[0].name}/{begin}", (*x.shape[:-1], outputs))
        assert (len(inputs), len(inputs) + 1) == (STATE, CELLS)
        self._add(
            "UNIDIRECTIONAL_SEQUENCE_LSTM", [*inputs, *states, *[None] * 4], output, node.options
        )
        return output

    def _joined(self, node: Node, parts: list[Tensor]) -> Tensor:
        depth = sum(part.shape[-1] for part in parts)
        joined = self._like(parts[0], f"{parts[0].name}/joined", (*parts[0].shape[:-1], depth))
        options = {"axis": _RANK - 1, "fused_activation_function": "NONE"}
        self._add("CONCATENATION", list(parts), joined, options)
        return joined

    def _like(self, tensor: Tensor, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        self._tensors.append(Tensor(len(self._tensors), name, shape or tensor.shape, tensor.dtype))
        return self._tensors[-1]

    def _constant(self, name: str, data: np.ndarray) -> Tensor:
        index = len(self._tensors)
        self._tensors.append(Tensor(index, name, data.shape, str(data.dtype), data=data))
        return self._tensors[-1]

    def _add(
        self,
        operator: str,
        inputs: list[Tensor | None],
        output: Tensor,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        node = Node(self._next_node, operator, 1, tuple(inputs), (output,), options or {})
        self._nodes.append(node)
        self._next_node += 1


def _is_sound(node: Node) -> bool:
    """Return whether a layer is float and has all inputs and outputs."""
    x, second = node.optional_input(0), node.optional_input(_SECOND)
    outputs = 1 if node.options.get("merge_outputs") else 2
    if x is None or len(x.shape) != _RANK or x.dtype != "float32" or len(node.outputs) != outputs:
        return False
    if second is not None and (second.shape[:-1] != x.shape[:-1] or second.dtype != x.dtype):
        return False
    more = [node.optional_input(i) for i in range(_SECOND_WEIGHTS[_FORWARD], 48)]
    own = [node.optional_input(i + g) for i in (_FORWARD, _BACKWARD) for g in range(4)]
    given = [t for t in more if t is not None]
    if not given:
        return True
    return second is not None and all(
        (a is None) == (b is None) and (a is None or b is None or _can_join(a, b))
        for a, b in zip(own, more, strict=True)
    )


def _can_join(a: Tensor, b: Tensor) -> bool:
    if a.data is None or b.data is None or a.dtype != b.dtype:
        return False
    return len(a.shape) == len(b.shape) == 2 and a.shape[0] == b.shape[0]
