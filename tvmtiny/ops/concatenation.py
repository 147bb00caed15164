"""CONCATENATION."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_same_dtype, check_scale, check_shape
from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.joining import joined
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.lookup_tables import by_bits, look_up_int8, looked_up_int8
from tvmtiny.ops.shared.movement import Alias, Movement
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import INT8_RANGE, round_half_away


@register
class Concatenation(Moving):
    """Tensors, some of which may be constants, side by side along one dimension.

    LiteRT and TFLM copy bytes and refuse int8 inputs whose scale or zero point differs from the
    output's. In uint8 models LiteRT rescales such inputs in float32; here tables do this.
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

    def compute(self, node: Node, oracle: Oracle) -> Movement | Alias | Compute:
        axis = node.options.get("axis", 0) % len(node.output.shape)
        parts = [tensor for tensor in _inputs(node) if tensor.elements]
        if node.output.dtype == "int8" and any(_is_rescaled(node, part) for part in parts):
            return _rescaling(node, parts, axis)
        return joined(node, parts, axis, [tensor.shape for tensor in parts])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        parts = [
            look_up_int8(_table(node, tensor), values) if _is_rescaled(node, tensor) else values
            for tensor, values in zip(_inputs(node), inputs, strict=True)
        ]
        return [np.concatenate(parts, axis=node.options.get("axis", 0))]


def _is_rescaled(node: Node, tensor: Tensor) -> bool:
    """Return whether an int8 input represents numbers by other values than the output."""
    if node.output.dtype != "int8" or node.output.quantization is None:
        return False
    if tensor.quantization is None:
        return False
    output = node.output
    return (tensor.scale, tensor.zero_point) != (output.scale, output.zero_point)


def _table(node: Node, tensor: Tensor) -> np.ndarray:
    """Return the output for every value of an input, computed from uint8: int8, ``(256,)``."""
    output = node.output
    scale = np.float32(tensor.scale) * (np.float32(1) / np.float32(output.scale))
    bias = np.float32(-(tensor.zero_point + 128)) * scale
    steps = round_half_away(np.arange(256).astype(np.float32) * scale + bias)
    # Results beyond int32 saturate; their conversion is undefined in LiteRT.
    steps = np.clip(steps, -(2.0**24), 2.0**24) + output.zero_point
    return np.clip(steps, *INT8_RANGE).astype(np.int8)


def _rescaling(node: Node, parts: Sequence[Tensor], axis: int) -> Compute:
    """Look up each element in the table of its input."""
    ends = np.cumsum([part.shape[axis] for part in parts]).tolist()
    tables = [by_bits(_table(node, part)) for part in parts]

    def expression(*values: te.Tensor) -> te.Tensor:
        inputs, looked_up = values[: len(parts)], values[len(parts) :]

        def element(position: int, indices: Sequence[tirx.Var]) -> Expression:
            start = ends[position] - parts[position].shape[axis]
            index = [i - start if d == axis else i for d, i in enumerate(indices)]
            own = looked_up_int8(looked_up[position], inputs[position](*index))
            if position == len(parts) - 1:
                return own
            inside = indices[axis] < ends[position]
            return tirx.if_then_else(inside, own, element(position + 1, indices))

        return te.compute(node.output.shape, lambda *i: element(0, i), name="out")

    return Compute((*parts, *tables), expression)


def _inputs(node: Node) -> list[Tensor]:
    return [tensor for tensor in node.inputs if tensor is not None]


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _check_scales(node: Node) -> Iterator[Problem]:
    problems = [p for t in (*_inputs(node), node.output) for p in check_scale(t)]
    yield from problems
    if problems or is_from_uint8(node):
        return
    output = node.output
    for tensor in _inputs(node):
        if _is_rescaled(node, tensor):
            yield Problem(
                f"input {tensor.name} has scale {tensor.scale:.9g} and zero point "
                f"{tensor.zero_point}, the output {output.scale:.9g} and {output.zero_point}",
                "int8 inputs with the output's scale and zero point, as LiteRT requires",
            )
