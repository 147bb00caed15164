"""AVERAGE_POOL_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.affine import LARGEST_SHIFT, Affine, Image, product_image, solve
from tvmtiny.ops.shared.expressions import affine, clamp, float_output, int32
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.pooling import check_pool, pool_window, taps_inside, window_sums
from tvmtiny.ops.shared.quantization import activation_range, clamp_float
from tvmtiny.ops.shared.sliding_window import pad_stage

#: Larger windows divide at run time: they have too many sums to prove a multiplication for.
_MOST_TAPS = 512
#: Sums of this many int16 values plus half of the divisor fit 32 bits.
_MOST_SUMMED = 65_535


@register
class AveragePool2D(Operator):
    """Mean of the taps of a window that lie inside the input.

    int8 and int16 match ``reference_integer_ops::AveragePool`` of LiteRT and TFLM bit for bit: the
    sum of the raw values is divided, with halves away from zero (upward in uint8 models), and not
    rescaled. int8 uses a multiplication and a shift if these are proven to give the same result for
    all sums. float32 sums in the order of ``reference_ops::AveragePool`` and divides once.
    """

    name = "AVERAGE_POOL_2D"
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 and int16 bit-exact (both oracles); float32 sums and divides in the reference's order"
    )

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = list(check_pool(node))
        yield from problems
        if not problems and prod(pool_window(node).kernel) > _MOST_SUMMED:
            yield Problem("sums over the window can overflow 32 bits", "at most 65,535 taps")

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        geometry = pool_window(node)
        (height, width), (sy, sx) = geometry.kernel, geometry.stride
        quantized = node.input(0).dtype != "float32"
        wide = "int32" if quantized else "float32"

        def accumulate(x: te.Tensor) -> te.Tensor:
            staged = pad_stage(x, geometry, 0 if quantized else 0.0)
            ky = te.reduce_axis((0, height), "ky")
            kx = te.reduce_axis((0, width), "kx")
            return te.compute(
                node.output.shape,
                lambda n, y, z, c: te.sum(
                    staged[n, y * sy + ky, z * sx + kx, c].astype(wide), axis=[ky, kx]
                ),
                name="acc",
            )

        def integer(x: te.Tensor) -> te.Tensor:
            acc = accumulate(x)

            line = None
            if node.input(0).dtype == "int8" and not any((*geometry.pad, *geometry.pad_after)):
                line = exact_mean(node, prod(geometry.kernel))

            def output(n: tirx.Var, y: tirx.Var, z: tirx.Var, c: tirx.Var) -> tirx.PrimExpr:
                if line is not None:
                    return affine([acc(n, y, z, c)], line, *activation_range(node))
                count = taps_inside(geometry, 0, y) * taps_inside(geometry, 1, z)
                half = tirx.truncdiv(count, int32(2))
                total = acc[n, y, z, c]
                if is_from_uint8(node):
                    # The dividend is positive, so truncation rounds down.
                    mean = tirx.truncdiv(total + count * 128 + half, count) - int32(128)
                else:
                    nudge = tirx.Select(total > 0, half, int32(0) - half)
                    mean = tirx.truncdiv(total + nudge, count)
                return clamp(mean, *activation_range(node), node.output.dtype)

            return te.compute(node.output.shape, output, name="out")

        def floating(x: te.Tensor) -> te.Tensor:
            acc = accumulate(x)
            return te.compute(
                node.output.shape,
                lambda n, y, z, c: float_output(
                    acc[n, y, z, c]
                    / (taps_inside(geometry, 0, y) * taps_inside(geometry, 1, z)).astype("float32"),
                    node,
                ),
                name="out",
            )

        return Compute((node.input(0),), integer if quantized else floating)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x = inputs[0]
        geometry = pool_window(node)
        wide = np.float32 if x.dtype == np.float32 else np.int64
        total, count = window_sums(x.astype(wide), geometry)
        if wide is np.float32:
            return [clamp_float(total / count, node)]
        mean = _rounded_mean(total, count, is_from_uint8(node))
        return [np.clip(mean, *activation_range(node)).astype(x.dtype)]


def exact_mean(
    node: Node,
    count: int,
    image: Image = product_image,
    bits: int = 0,
    largest_shift: int = LARGEST_SHIFT,
) -> Affine | None:
    """Find integers whose line over the sum of `count` int8 values equals the reference's mean.

    Parameters
    ----------
    node
        The pooling, which determines the fused activation and the rounding.
    count
        Number of values in the sum.
    image, bits
        The multiplication that the core provides, and the bits that it drops; see `affine.solve`.
    largest_shift
        Largest shift of the result.
    """
    limits = activation_range(node)
    return _exact_mean(count, is_from_uint8(node), limits, image, bits, largest_shift)


@lru_cache(maxsize=256)
def _exact_mean(
    count: int,
    upward: bool,
    output_range: tuple[int, int],
    image: Image,
    bits: int,
    largest_shift: int,
) -> Affine | None:
    if count > _MOST_TAPS:
        return None
    sums = np.arange(-128 * count, 127 * count + 1)
    wanted = np.clip(_rounded_mean(sums, count, upward), *output_range)
    return solve([sums], wanted, [1 / count], output_range, image, bits, largest_shift)


def _rounded_mean(total: np.ndarray, count: np.ndarray | int, upward: bool) -> np.ndarray:
    """Divide `total` by `count`, with halves away from zero or upward."""
    if upward:
        return (total + count // 2) // count
    return np.sign(total) * ((np.abs(total) + count // 2) // count)
