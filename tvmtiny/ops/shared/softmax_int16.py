"""int16 SOFTMAX: interpolation in tables of the exponential and of ``1 / (1 + x)``.

The formulas are those of ``reference_ops::SoftmaxInt16`` and of the kernels' ``Prepare``, in LiteRT
and TFLM; the tables are computed in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.expressions import Expression, call, int32, larger
from tvmtiny.ops.shared.lookup_tables import look_up_int16, looked_up_int16
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Problem
from tvmtiny.ops.shared.quantization import (
    INTEGER_RANGES,
    quantize_multiplier,
    requantize,
    round_half_away,
)

_LOW, _HIGH = INTEGER_RANGES["int16"]
_STEPS = 512
#: Exponentials of numbers below minus this count as 0.
_RANGE = 10.0
#: Largest left shift for which a difference stays within 32 bits.
_LARGEST_SHIFT = 14
#: Number of ones that can be summed in an int32.
_MOST_CLASSES = 65_535


@cache
def tables() -> tuple[np.ndarray, np.ndarray]:
    """Sample ``exp`` from -10 to 0, and ``1 / (1 + x)`` from 0 to 1: int16, ``(513,)``."""
    return _samples(-_RANGE, 0.0, np.exp), _samples(0.0, 1.0, lambda x: 1 / (1 + x))


def _samples(first: float, last: float, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Sample a function as `lookup_tables.int16_table` does; 2^15 stands for 1."""
    step = (last - first) / _STEPS
    start = first + np.arange(_STEPS) * step
    sample, middle = (round_half_away(function(x) * 2.0**15) for x in (start, start + step / 2))
    following = function(first + np.arange(1, _STEPS + 1) * step) * 2.0**15
    interpolated = round_half_away((following + sample) / 2)
    bias = round_half_away((interpolated - middle) / 2)
    end = round_half_away(function(np.array([last])) * 2.0**15)
    return np.clip(np.concatenate([sample - bias, end]), _LOW, _HIGH).astype(np.int16)


def check(node: Node) -> Iterator[Problem]:
    """Yield problems with the scales and the size of an int16 node."""
    x, out = node.input(0), node.output
    problems = [*check_scale(x), *check_scale(out)]
    yield from problems
    if problems:
        return
    if (x.zero_point, out.zero_point) != (0, 0) or abs(out.scale * 2**15 - 1) > 0.001:
        yield Problem(
            f"output scale {out.scale:.9g} and zero points {x.zero_point} and {out.zero_point}",
            "scale 1/32768 and zero points of 0",
        )
    if not 0 < _real_multiplier(node) < 2.0**_LARGEST_SHIFT:
        yield Problem(
            f"beta {_beta(node):.3g} times input scale {x.scale:.3g}",
            "a positive product below 2.5",
        )
    if x.shape[-1] > _MOST_CLASSES:
        yield Problem(f"{x.shape[-1]} classes", f"at most {_MOST_CLASSES:,} classes")


def compute(node: Node) -> Compute:
    """Return the tensor expression of an int16 node."""
    shape = node.output.shape
    rows = shape[:-1] or (1,)
    multiplier, shift = quantize_multiplier(_real_multiplier(node))

    def row(indices: Sequence[Expression]) -> Sequence[Expression]:
        return indices[: len(shape) - 1] or [0]

    def expression(x: te.Tensor, powers: te.Tensor, shares: te.Tensor) -> te.Tensor:
        largest = te.comm_reducer(larger, lambda _: int32(_LOW), name="largest")
        k_max, k = (te.reduce_axis((0, shape[-1]), name) for name in ("k_max", "k"))

        def element(indices: Sequence[Expression], position: Expression) -> Expression:
            return int32(x(*indices[: len(shape) - 1], position))

        top = te.compute(rows, lambda *i: largest(element(i, k_max), axis=[k_max]), name="max")

        def power(indices: Sequence[Expression], position: Expression) -> Expression:
            difference = element(indices, position) - top(*row(indices))
            place = call(
                "tvmtiny_softmax_place",
                difference,
                int32(multiplier),
                int32(shift),
                dtype="int32",
            )
            return int32(looked_up_int16(powers, place))

        def whole(function: str, *arguments: Expression) -> Expression:
            return call(function, *arguments, dtype="int32")

        acc = te.compute(rows, lambda *i: te.sum(power(i, k), axis=[k]), name="acc")
        headroom = te.compute(
            rows, lambda *i: whole("tvmtiny_softmax_headroom", acc(*i)), name="headroom"
        )

        def share(*i: tirx.Var) -> Expression:
            place = whole("tvmtiny_softmax_sum_place", acc(*i), headroom(*i))
            return int32(looked_up_int16(shares, place))

        reciprocal = te.compute(rows, share, name="reciprocal")

        def value(*i: tirx.Var) -> Expression:
            factors = power(i, i[-1]), reciprocal(*row(i)), headroom(*row(i))
            return whole("tvmtiny_softmax_share", *factors).astype("int16")

        return te.compute(shape, value, name="out")

    return Compute((node.input(0), *tables()), expression)


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    """Compute the results with numpy."""
    powers, shares = tables()
    wide = x.astype(np.int64)
    difference = wide - wide.max(axis=-1, keepdims=True)
    scaled = requantize(difference, *quantize_multiplier(_real_multiplier(node)))
    exponential = look_up_int16(powers, np.clip(scaled + _HIGH, _LOW, _HIGH)).astype(np.int64)
    total = exponential.sum(axis=-1, keepdims=True)
    headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
    place = np.clip(shifted - (1 << 15) - (1 << 16), _LOW, _HIGH)
    reciprocal = look_up_int16(shares, place).astype(np.int64)
    shift = 31 - headroom
    share = (exponential * reciprocal + (np.int64(1) << (shift - 1))) >> shift
    return np.clip(share, 0, _HIGH).astype(np.int16)


def _beta(node: Node) -> float:
    return float(node.options.get("beta", 0.0))


def _real_multiplier(node: Node) -> float:
    """Return the factor of differences; the table spans as much as two int16 numbers differ."""
    return node.input(0).scale * _beta(node) / (_RANGE / (_HIGH - _LOW))
