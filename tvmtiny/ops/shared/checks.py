"""Checks of an operator's node: tensors, dtypes, scales, shapes, axes and activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.quantization import FUSED_ACTIVATIONS, INT32_RANGE, INTEGER_RANGES


def check_same_dtype(node: Node) -> Iterator[Problem]:
    """Yield a problem unless all inputs and outputs have one dtype."""
    yield from check_one_dtype(*(t for t in (*node.inputs, *node.outputs) if t is not None))


def check_scale(tensor: Tensor, per_channel: bool = False) -> Iterator[Problem]:
    """Yield a problem for an integer tensor without a usable scale.

    Parameters
    ----------
    tensor
        The tensor.
    per_channel
        Whether a scale for each slice along a dimension is accepted.
    """
    quantization = tensor.quantization
    if quantization is not None and quantization.block:
        yield Problem(
            f"tensor {tensor.name} with a scale per {quantization.block} elements",
            "one scale per tensor or per channel",
        )
        return
    if quantization is None or not quantization.scales:
        yield Problem(f"{tensor.dtype} tensor {tensor.name} without a scale", "quantized tensors")
        return
    if not all(np.isfinite(scale) and scale > 0 for scale in quantization.scales):
        yield Problem(f"tensor {tensor.name} has a scale that is not positive", "positive scales")
    low, high = INTEGER_RANGES.get(tensor.dtype, INT32_RANGE)
    if not all(low <= zero_point <= high for zero_point in quantization.zero_points):
        yield Problem(
            f"tensor {tensor.name} has a zero point beyond {tensor.dtype}",
            f"zero points from {low} to {high}",
        )
    if not quantization.per_channel:
        return
    if not per_channel:
        yield Problem(f"tensor {tensor.name} has a scale per channel", "one scale per tensor")
    elif not 0 <= quantization.axis < len(tensor.shape) or (
        tensor.shape[quantization.axis] != len(quantization.scales)
    ):
        yield Problem(
            f"{len(quantization.scales)} scales along dimension {quantization.axis} of "
            f"{list(tensor.shape)}",
            "one scale per index of that dimension",
        )


def check_shape(node: Node, expected: Sequence[int]) -> Iterator[Problem]:
    """Yield a problem unless the output has the shape `expected`."""
    if tuple(node.output.shape) != tuple(expected):
        yield Problem(
            f"the output is {list(node.output.shape)}, but the inputs and options give "
            f"{list(expected)}",
            "an output of the shape that inputs and options imply",
        )


def check_symmetric(node: Node) -> Iterator[Problem]:
    """Yield problems with the scales of quantized activations.

    Each quantized tensor needs a single scale, and int16 tensors the zero point 0.
    """
    for tensor in (*node.inputs, *node.outputs):
        if tensor is None or tensor.dtype not in ("int8", "int16"):
            continue
        problems = [*check_scale(tensor)]
        yield from problems
        if not problems and tensor.dtype == "int16" and tensor.zero_point != 0:
            yield Problem(
                f"int16 tensor {tensor.name} has the zero point {tensor.zero_point}",
                "int16 tensors with the zero point 0",
            )


def check_like_input(node: Node) -> Iterator[Problem]:
    """Yield problems unless the output has shape and dtype of the input, and both have scales."""
    yield from check_same_dtype(node)
    yield from check_shape(node, node.input(0).shape)
    yield from check_symmetric(node)


def check_broadcast(node: Node, operands: int = 2) -> Iterator[Problem]:
    """Yield a problem unless the first inputs broadcast to the output's shape."""
    shapes = [node.input(position).shape for position in range(operands)]
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        yield Problem(
            f"operands of {' and '.join(str(list(shape)) for shape in shapes)} do not broadcast",
            "dimensions that are equal or 1",
        )
    else:
        yield from check_shape(node, expected)


def check_binary(node: Node) -> Iterator[Problem]:
    """Yield problems with an arithmetic operator of two operands that broadcast."""
    yield from check_same_dtype(node)
    if node.activation not in FUSED_ACTIVATIONS:
        yield Problem(f"fused activation {node.activation}", ", ".join(FUSED_ACTIVATIONS))
    yield from check_broadcast(node)
    yield from check_symmetric(node)


def check_operands(node: Node, required: int, options: Sequence[str] = ()) -> Iterator[Problem]:
    """Yield the tensors and options that a node lacks, before its shapes can be checked.

    Parameters
    ----------
    node
        The node.
    required
        Number of leading inputs that must be present. The first one and the output are activations.
    options
        Names of builtin options that the operator requires.
    """
    present = [i < len(node.inputs) and node.inputs[i] is not None for i in range(required)]
    if not all(present):
        yield Problem(f"input {present.index(False)} is absent", f"{required} inputs")
        return
    if not node.outputs:
        yield Problem("there is no output", "one output")
        return
    absent = [name for name in options if name not in node.options]
    if absent:
        yield Problem(f"the options {', '.join(absent)} are absent", "the operator's options table")
    first, output = node.input(0), node.output
    if first.dtype != output.dtype:
        yield Problem(
            f"{first.dtype} input with {output.dtype} output", "input and output of one dtype"
        )
    for tensor in (first, output):
        if tensor.dtype == "int8" and tensor.quantization is None:
            yield Problem(f"int8 tensor {tensor.name} has no scale", "one scale and zero point")


def check_one_dtype(*tensors: Tensor) -> Iterator[Problem]:
    """Yield a problem unless all tensors have one dtype."""
    found = list(dict.fromkeys(tensor.dtype for tensor in tensors))
    if len(found) > 1:
        yield Problem(f"tensors of {' and '.join(found)}", "one dtype")


def check_axis(axis: int, shape: Sequence[int]) -> Iterator[Problem]:
    """Yield a problem unless `axis` is a dimension of `shape`, counted from either end."""
    rank = len(shape)
    if not -rank <= axis < rank:
        yield Problem(f"axis {axis} of {rank} dimensions", f"axes from {-rank} to {rank - 1}")


def check_output(tensor: Tensor, expected: Sequence[int]) -> Iterator[Problem]:
    """Yield a problem unless an output has the shape `expected`."""
    if tuple(tensor.shape) != tuple(expected):
        yield Problem(
            f"output {tensor.name} is {list(tensor.shape)}, but the inputs and options give "
            f"{list(expected)}",
            "outputs of the shapes that inputs and options imply",
        )


def check_activation(node: Node) -> Iterator[Problem]:
    """Yield a problem for a fused activation that TFLite's kernels do not apply."""
    if node.activation not in FUSED_ACTIVATIONS:
        yield Problem(f"fused activation {node.activation}", ", ".join(FUSED_ACTIVATIONS))
