"""CONCATENATION."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_same_dtype, check_scale, check_shape
from tvmtiny.ops.shared.joining import joined
from tvmtiny.ops.shared.movement import Alias, Movement
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Oracle, Problem, register


@register
class Concatenation(Moving):
    """Tensors, constants among them, side by side along one dimension.

    LiteRT and TFLM copy bytes and refuse int8 inputs whose scale or zero point is not the
    output's.
    """

    name = "CONCATENATION"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if not node.inputs or None in node.inputs or len(node.outputs) != 1:
            yield Problem("inputs or outputs are missing", "at least one input and one output")
            return
        yield from check_same_dtype(node)
        if node.activation != "NONE":
            yield Problem(f"fused activation {node.activation}", "NONE")
        if node.output.dtype == "int8":
            yield from _check_scales(node)
        first = node.input(0)
        axis = node.options.get("axis", 0)
        if not -len(first.shape) <= axis < len(first.shape):
            yield Problem(
                f"axis {axis} of {len(first.shape)} dimensions",
                "an axis of the inputs, which have at least one dimension",
            )
            return
        axis %= len(first.shape)
        others = {_without(tensor.shape, axis) for tensor in _inputs(node)}
        if len(others) > 1 or any(len(t.shape) != len(first.shape) for t in _inputs(node)):
            shapes = ", ".join(str(list(tensor.shape)) for tensor in _inputs(node))
            yield Problem(f"inputs of {shapes}", f"inputs that differ in dimension {axis} only")
            return
        total = sum(tensor.shape[axis] for tensor in _inputs(node))
        yield from check_shape(node, (*first.shape[:axis], total, *first.shape[axis + 1 :]))

    def compute(self, node: Node, oracle: Oracle) -> Movement | Alias:
        axis = node.options.get("axis", 0) % len(node.output.shape)
        parts = [tensor for tensor in _inputs(node) if tensor.elements]
        return joined(node, parts, axis, [tensor.shape for tensor in parts])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.concatenate(inputs, axis=node.options.get("axis", 0))]


def _inputs(node: Node) -> list[Tensor]:
    return [tensor for tensor in node.inputs if tensor is not None]


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _check_scales(node: Node) -> Iterator[Problem]:
    problems = [p for t in (*_inputs(node), node.output) for p in check_scale(t)]
    yield from problems
    if problems:
        return
    output = node.output
    for tensor in _inputs(node):
        if (tensor.scale, tensor.zero_point) != (output.scale, output.zero_point):
            yield Problem(
                f"input {tensor.name} has scale {tensor.scale:.9g} and zero point "
                f"{tensor.zero_point}, the output {output.scale:.9g} and {output.zero_point}",
                "int8 inputs with the output's scale and zero point, as LiteRT requires",
            )
