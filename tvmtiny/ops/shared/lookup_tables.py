"""Functions of one quantized value as tables, filled and read as in LiteRT.

The formulas are those of ``LUTPopulate`` and ``LUTLookup`` in LiteRT's
``kernels/internal/common.h``, which compute in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import Expression, int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.quantization import INT8_RANGE, INTEGER_RANGES, round_half_away

#: A float32 function of float32 arrays.
Function = Callable[[np.ndarray], np.ndarray]

#: All values of an int8 tensor.
EVERY_INT8 = np.arange(INT8_RANGE[0], INT8_RANGE[1] + 1)

#: Number of steps in an int16 table; results between entries are interpolated.
_STEPS = 512

#: Exceeds every result; its halves and sums are exact in float32.
_LARGEST = np.float32(2**30)


def int8_table(node: Node, function: Function) -> np.ndarray:
    """Compute the output for each int8 input from -128 to 127: int8, ``(256,)``.

    A quotient beyond int32 saturates; its conversion is undefined in LiteRT.
    """
    x, out = node.input(0), node.output
    inverse = np.float32(1) / np.float32(out.scale)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.float32(x.scale) * (EVERY_INT8 - x.zero_point).astype(np.float32)
        rescaled = np.clip(function(values) * inverse, -_LARGEST, _LARGEST)
        table = np.clip(round_half_away(rescaled) + np.float32(out.zero_point), *INT8_RANGE)
    return table.astype(np.int8)


def int16_table(node: Node, function: Function) -> np.ndarray:
    """Sample a function over the whole range of int16: int16, ``(513,)``.

    Each sample is shifted by half of the error that interpolation would have in the middle of its
    step. If infinite values make the sample NaN, it is 0, as processors convert NaN to int16.
    """
    x, out = node.input(0), node.output
    low, high = (np.float32(end) for end in INTEGER_RANGES["int16"])
    one, two = np.float32(1), np.float32(2)
    first, last = np.float32(x.scale) * low, np.float32(x.scale) * high
    step = (last - first) / np.float32(_STEPS)
    span = np.float32(out.scale) * high - np.float32(out.scale) * low
    inverse = (high - low + one) / span
    position = np.arange(_STEPS, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        value, middle, following = (
            function(points.astype(np.float32)) * inverse
            for points in (
                first + position * step,
                first + position * step + step / two,
                first + (position + one) * step,
            )
        )
        sample = round_half_away(value)
        interpolated = round_half_away((following + sample) / two)
        bias = round_half_away((interpolated - round_half_away(middle)) / two)
        end = round_half_away(function(np.array([last], np.float32)) * inverse)
        table = np.clip(np.concatenate([sample - bias, end]), low, high)
    return np.nan_to_num(table).astype(np.int16)


def look_up_int8(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the entries of a table for int8 values."""
    return table[values.astype(np.int64) - INT8_RANGE[0]]


def look_up_int16(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate between the entries of a table for int16 values (``LUTLookup``)."""
    wide = values.astype(np.int64)
    index = 256 + (wide >> 7)
    base = table[index].astype(np.int64)
    slope = (table[index + 1].astype(np.int64) - base).astype(np.int16).astype(np.int64)
    return (base + ((slope * (wide & 127) + 64) >> 7)).astype(np.int16)


def by_bits(table: np.ndarray) -> np.ndarray:
    """Order the entries of an int8 table by the bits of their inputs, for `looked_up_int8`.

    The index is then the input, loaded as an unsigned byte.
    """
    return np.roll(table, INT8_RANGE[0])


def looked_up_int8(table: te.Tensor, value: Expression) -> Expression:
    """Express `look_up_int8` as a tensor expression, with a table from `by_bits`."""
    return table[int32(value.astype("uint8"))]


def looked_up_int16(table: te.Tensor, value: Expression) -> Expression:
    """Express `look_up_int16` as a tensor expression."""
    index = (int32(value) >> int32(7)) + int32(256)
    result = tirx.call_pure_extern(
        "int32",
        "tvmtiny_interpolate",
        int32(table[index]),
        int32(table[index + int32(1)]),
        int32(value) & int32(127),
    )
    return result.astype("int16")
