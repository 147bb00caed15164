"""POW."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.expressions import Expression, call, int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.quantization import INT32_RANGE

#: Distance from an integer within which LiteRT treats an exponent as one.
_NEAR = np.float32(1e-5)


@register
class Pow(Binary):
    """Powers of tensors that broadcast.

    If a single exponent applies to a whole tensor, is at least 1 and an integer (within 1e-5),
    LiteRT multiplies: floats are kept finite, integers wrap around. All other powers are those of a
    C library: float32 within 1 unit in the last place; int32 exact, and -2^31 for a power beyond 32
    bits, which C leaves undefined. Negative exponents of int32, for which LiteRT fails, give 0 or
    1.
    """

    name = "POW"
    dtypes = ("int32", "float32")
    exactness = "int32 exact; float32 exact for integer exponents, else within 1 ulp"

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        dtype = node.output.dtype
        if not _multiplies(node):
            return call(f"tvmtiny_pow_{dtype}", x, y, dtype=dtype)
        data = node.input(1).data
        if data is None:
            return call(f"tvmtiny_pow_of_tensor_{dtype}", x, y, dtype=dtype)
        exponent = _exponent(data.reshape(-1)[0])
        if exponent is None:
            return call(f"tvmtiny_pow_{dtype}", x, y, dtype=dtype)
        return call(f"tvmtiny_power_{dtype}", x, int32(exponent), dtype=dtype)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        exponent = _exponent(y.reshape(-1)[0]) if _multiplies(node) else None
        if exponent is not None:
            return _multiplied(x, exponent)
        with np.errstate(all="ignore"):
            power = np.power(x.astype(np.float64), y.astype(np.float64))
        if node.output.dtype == "float32":
            with np.errstate(over="ignore"):
                return power.astype(np.float32)
        low, high = INT32_RANGE
        inside = (power > low - 1.0) & (power < high + 1.0)
        return np.where(inside, power, low).astype(np.int64)


def _multiplies(node: Node) -> bool:
    """Return whether LiteRT tests for an integer exponent of the whole tensor."""
    base, exponent = node.input(0), node.input(1)
    return exponent.elements == 1 and base.shape != exponent.shape


def _exponent(value: np.float32 | np.int32) -> int | None:
    """Return the integer exponent that LiteRT multiplies by, or None if it calls the C library."""
    if not np.isfinite(value) or abs(float(value)) > INT32_RANGE[1]:
        return None
    # C rounds halves away from zero, but halves are not close to an integer anyway.
    nearest = int(np.rint(value))
    return nearest if nearest >= 1 and abs(np.float32(value - nearest)) < _NEAR else None


def _multiplied(base: np.ndarray, exponent: int) -> np.ndarray:
    """Compute a power by squaring, from the first binary digit of the exponent to the last."""

    def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if base.dtype != np.float32:
            return np.asarray((x.astype(np.int64) * y).astype(np.int32))
        largest = np.finfo(np.float32).max
        with np.errstate(all="ignore"):
            return np.clip(x * y, -largest, largest)

    power = base
    for digit in f"{exponent:b}"[1:]:
        power = product(power, power)
        power = product(base, power) if digit == "1" else power
    return power
