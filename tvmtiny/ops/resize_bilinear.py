"""RESIZE_BILINEAR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import Expression, call, elementwise, int32
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import round_half_away
from tvmtiny.ops.shared.resizing import centers, check_resize, corners

#: Positions and weights have 10 fractional bits, so their products have 20.
_ONE = 1 << 10

#: Difference between values of uint8 and int8.
_OFFSET = 128


@register
class ResizeBilinear(Operator):
    """Pixels that are interpolated between the four pixels around their position in the input.

    int8 and int16 match ``reference_ops::ResizeBilinearInteger`` bit for bit: positions and weights
    have 10 fractional bits, and halves are rounded away from zero. float32 follows
    ``reference_ops::ResizeBilinear`` and multiplies a pixel's weights in the same order. In uint8
    models float32 arithmetic is applied to uint8 values and rounded, which is bit-exact as well.
    """

    name = "RESIZE_BILINEAR"
    dtypes = ("int8", "int16", "float32")
    exactness = "integers bit-exact (10-bit weights); float32 within rounding of sums"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_resize(node)

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        rows, columns = resized_axes(node)
        dtype = node.output.dtype

        def expression(
            x: te.Tensor,
            top: te.Tensor,
            bottom: te.Tensor,
            lower: te.Tensor,
            left: te.Tensor,
            right: te.Tensor,
            later: te.Tensor,
        ) -> te.Tensor:
            def value(n: tirx.Var, y: tirx.Var, z: tirx.Var, c: tirx.Var) -> Expression:
                places = product((left, right), (top, bottom))
                taps = [x[n, row[y], column[z], c] for column, row in places]
                if is_from_uint8(node):
                    name = "tvmtiny_bilinear_uint8"
                    wide = [int32(tap) + int32(_OFFSET) for tap in taps]
                    result = call(name, *wide, lower[y], later[z], dtype="int32")
                    return (result - int32(_OFFSET)).astype(dtype)
                if dtype == "float32":
                    return tirx.call_pure_extern(
                        dtype, "tvmtiny_bilinear_float", *taps, lower[y], later[z]
                    )
                # int8 sums of four products stay below 2^31.
                name = "tvmtiny_bilinear" if dtype == "int8" else "tvmtiny_bilinear_wide"
                wide = [int32(tap) for tap in taps]
                return tirx.call_pure_extern("int32", name, *wide, lower[y], later[z]).astype(dtype)

            return elementwise(node.output.shape, value)

        arrays = (
            *(rows.first, rows.second, rows.weight),
            *(columns.first, columns.second, columns.weight),
        )
        return Compute((node.input(0), *arrays), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        rows, columns = resized_axes(node)
        legacy = is_from_uint8(node)
        floating = _is_floating(node)
        x = inputs[0] if floating else inputs[0].astype(np.int64)
        if legacy:
            x = x.astype(np.float32) + np.float32(_OFFSET)
        one = np.float32(1) if floating else _ONE
        down = rows.weight.astype(x.dtype)[:, None, None]
        across = columns.weight.astype(x.dtype)[:, None]
        total = sum(
            x[:, r][:, :, c] * by_row * by_column
            for r, by_row, c, by_column in (
                (rows.first, one - down, columns.first, one - across),
                (rows.second, down, columns.first, one - across),
                (rows.first, one - down, columns.second, across),
                (rows.second, down, columns.second, across),
            )
        )
        if legacy:
            rounded = round_half_away(np.asarray(total, np.float32)) - _OFFSET
            return [rounded.astype(node.output.dtype)]
        if floating:
            return [np.asarray(total, np.float32)]
        half = np.where(total > 0, _ONE * _ONE // 2, -_ONE * _ONE // 2)
        # C rounds quotients toward zero.
        quotient = np.abs(total + half) // (_ONE * _ONE) * np.sign(total + half)
        return [quotient.astype(node.output.dtype)]


@dataclass(frozen=True, eq=False)
class Axis:
    """Two input indices for each output index, and the weight of the second one."""

    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray


def _is_floating(node: Node) -> bool:
    """Return whether positions and weights are floats."""
    return node.output.dtype == "float32" or is_from_uint8(node)


def resized_axes(node: Node) -> list[Axis]:
    """Return how output rows and columns are interpolated from those of the input.

    In nodes that compute single rows, the option `row_sources` replaces the sources of the rows.
    """
    axis = _float_axis if _is_floating(node) else _integer_axis
    pairs = zip(node.input(0).shape[1:3], node.output.shape[1:3], strict=True)
    found = [axis(size, wanted, corners(node), centers(node)) for size, wanted in pairs]
    if "row_sources" in node.options:
        found[0] = Axis(*node.options["row_sources"])
    return found


def _integer_axis(size: int, wanted: int, aligned: bool, centered: bool) -> Axis:
    if aligned and wanted > 1:
        scale = (_ONE * (size - 1) + (wanted - 1) // 2) // (wanted - 1)
    else:
        scale = (_ONE * size + wanted // 2) // wanted
    position = np.arange(wanted) * scale
    if centered:
        position = position + scale // 2 - _ONE // 2
    # C rounds quotients toward zero; negative ones are clipped to 0 here anyway.
    first = np.maximum(position // _ONE, 0)
    second = np.minimum(np.maximum((position + _ONE - 1) // _ONE, 0), size - 1)
    return Axis(*(a.astype(np.int32) for a in (first, second, position - _ONE * first)))


def _float_axis(size: int, wanted: int, aligned: bool, centered: bool) -> Axis:
    if aligned and wanted > 1:
        scale = np.float32(size - 1) / np.float32(wanted - 1)
    else:
        scale = np.float32(size) / np.float32(wanted)
    half = np.float32(0.5 if centered else 0)
    position = (np.arange(wanted).astype(np.float32) + half) * scale - half
    first = np.maximum(np.floor(position), 0).astype(np.int32)
    second = np.minimum(np.ceil(position), size - 1).astype(np.int32)
    return Axis(first, second, (position - first.astype(np.float32)).astype(np.float32))
