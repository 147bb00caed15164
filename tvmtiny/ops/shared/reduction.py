"""Axes, checks and the reducing stage of operators that reduce dimensions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

from tvm import te, tirx

from tvmtiny.ops.shared.checks import (
    check_axis,
    check_one_dtype,
    check_scale,
    check_shape,
)
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem

#: Integer dtypes that represent real numbers through a scale.
_SCALED = ("int8", "uint8", "int16")

#: ``te.sum`` or a similar function of an expression and ``axis=``.
Reducer = Callable[..., Expression]


def check_reduction(node: Node) -> Iterator[Problem]:
    """Yield problems with axes, dtypes and shapes."""
    problems = [*check_numbers(node, 1, "axes", None, ("int32",))]
    if not problems:
        shape = node.input(0).shape
        problems = [p for axis in numbers(node, 1) for p in check_axis(axis, shape)]
    if problems:
        yield from problems
        return
    yield from check_one_dtype(node.input(0), node.output)
    axes = reduced_axes(node)
    if keeps_dims(node):
        yield from check_shape(node, [1 if i in axes else d for i, d in enumerate(shape)])
    else:
        yield from check_shape(node, [d for i, d in enumerate(shape) if i not in axes])


def check_scales(node: Node) -> Iterator[Problem]:
    """Yield a problem for an integer tensor without a scale."""
    for tensor in (node.input(0), node.output):
        if tensor.dtype in _SCALED:
            yield from check_scale(tensor)


def check_same_scale(node: Node) -> Iterator[Problem]:
    """Yield a problem unless input and output represent equal numbers by equal integers."""
    x, y = node.input(0).quantization, node.output.quantization
    if node.output.dtype not in _SCALED or x is None or y is None:
        return
    if (x.scales, x.zero_points) != (y.scales, y.zero_points):
        yield Problem(
            f"input (scale {x.scales[0]:g}, zero point {x.zero_points[0]}) and output (scale "
            f"{y.scales[0]:g}, zero point {y.zero_points[0]}) are quantized differently",
            "the same scale and zero point, as LiteRT requires",
        )


def reduced_axes(node: Node) -> tuple[int, ...]:
    """Return the axes that are reduced, each once, in ascending order."""
    rank = len(node.input(0).shape)
    return tuple(sorted({axis % rank for axis in numbers(node, 1)}))


def reduced_count(node: Node) -> int:
    """Return the number of input elements for each element of the output."""
    return prod(node.input(0).shape[i] for i in reduced_axes(node))


def keeps_dims(node: Node) -> bool:
    """Return whether reduced dimensions stay, with size 1."""
    return bool(node.options.get("keep_dims", False))


def accumulate(
    node: Node, x: te.Tensor, reducer: Reducer, wide: str, name: str = "acc"
) -> te.Tensor:
    """Make the stage that reduces `x`; each element is widened first.

    Parameters
    ----------
    node
        The reduction.
    x
        The input.
    reducer
        The reducing function.
    wide
        Dtype of the result.
    name
        Name of the stage.
    """
    axes, shape = reduced_axes(node), node.input(0).shape
    kept = [i for i in range(len(shape)) if i not in axes]
    position = range(len(shape)) if keeps_dims(node) else kept
    reduced = {i: te.reduce_axis((0, shape[i]), f"k{i}") for i in axes}

    def value(*indices: tirx.Var) -> Expression:
        spatial = dict(zip(position, indices, strict=False))
        source = [reduced[i] if i in reduced else spatial[i] for i in range(len(shape))]
        element = x(*(source or [0])).astype(wide)
        return reducer(element, axis=list(reduced.values())) if reduced else element

    return elementwise(node.output.shape, value, name)
