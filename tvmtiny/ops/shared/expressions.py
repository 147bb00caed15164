"""TIR expressions of elements: arithmetic, clamping, literals, calls of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from tvm import ir, te, tirx

from tvmtiny.ops.shared.affine import Affine
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.quantization import (
    INT8_RANGE,
    INTEGER_RANGES,
    activation_range,
    float_activation_range,
)

#: Type of TVM's operands and results; `ir.Expr` has no type information.
Expression: TypeAlias = ir.Expr


def int32(value: Expression | int) -> Expression:
    """Widen `value` to int32."""
    return tirx.const(value, "int32") if isinstance(value, int) else value.astype("int32")


def requantize(acc: Expression, multiplier: Expression, shift: Expression) -> Expression:
    """Apply `quantization.requantize` to int32 `acc`: two roundings, any shift."""
    return tirx.call_pure_extern(
        "int32", "tvmtiny_requantize", acc, int32(multiplier), int32(shift)
    )


def requantize_once(acc: Expression, multiplier: Expression, shift: Expression) -> Expression:
    """Apply `quantization.requantize_once` to int32 `acc`: one rounding, any shift."""
    return tirx.call_pure_extern(
        "int32", "tvmtiny_requantize_once", acc, int32(multiplier), int32(shift)
    )


def rounding_shift(value: Expression, shift: int) -> Expression:
    """Apply `fixed_point_q31.rounding_shift` to int32 `value`: halves away from zero."""
    shifted = tirx.call_pure_extern(
        "int32", "tvmtiny_rounding_shift", value, tirx.const(shift, "uint32")
    )
    return shifted if shift else value


def larger(a: Expression, b: Expression) -> Expression:
    """Return the larger of two int32 or float32 values, for reductions.

    TVM's C printer keeps the operands of its own max in temporaries, and reuses a temporary where
    the text of an operand repeats, even if the memory that it reads was written in between.
    """
    dtype = dtype_of(a)
    name = "tvmtiny_maxf" if dtype == "float32" else "tvmtiny_max"
    return tirx.call_pure_extern(dtype, name, a, b)


def clamp_int8(value: Expression, low: int, high: int) -> Expression:
    """Clamp an int32 expression to ``[low, high]`` and narrow it to int8."""
    if (low, high) == INT8_RANGE:
        return tirx.call_pure_extern("int32", "tvmtiny_saturate", value).astype("int8")
    return _between(value, low, high).astype("int8")


def clamp(value: Expression, low: int, high: int, dtype: str) -> Expression:
    """Clamp an int32 expression to ``[low, high]`` and narrow it to `dtype`."""
    if dtype == "int8":
        return clamp_int8(value, low, high)
    return _between(value, low, high).astype(dtype)


def _between(value: Expression, low: int, high: int) -> Expression:
    """Clamp an int32 expression to ``[low, high]``.

    TVM would replace its own functions by the only value of a range, and drop the accumulators
    from what an output reads: those of the whole layer would then be computed at each output.
    """
    if low == high:
        return larger(int32(low), tirx.min(value, int32(high)))
    return tirx.max(tirx.min(value, int32(high)), int32(low))


def affine(operands: Sequence[Expression], found: Affine, low: int, high: int) -> Expression:
    """Return the int8 result of an `Affine` of int32 operands."""
    total = int32(found.offset)
    for operand, factor in zip(operands, found.factors, strict=True):
        total = tirx.call_pure_extern(
            "int32", "tvmtiny_multiply_add", operand, int32(factor), total
        )
    if (low, high) == INT8_RANGE and found.shift:
        value = tirx.call_pure_extern(
            "int32", "tvmtiny_saturate_shifted", total, int32(found.shift)
        )
        return value.astype("int8")
    return clamp_int8(total >> int32(found.shift), low, high)


def quantized_output(value: Expression, node: Node) -> Expression:
    """Add the output's zero point to a requantized int32 value and clamp to the activation."""
    total = value + int32(node.output.zero_point)
    return clamp(total, *activation_range(node), node.output.dtype)


def float_output(value: Expression, node: Node) -> Expression:
    """Clamp an unquantized value of the output's dtype to the fused activation.

    Infinite floats become finite; NaN stays NaN.
    """
    low, high = float_activation_range(node)
    if node.output.dtype == "float32":
        ends = np.finfo(np.float32)
        if low is high is None:
            return call("tvmtiny_finite", value)
        low, high = (
            float(ends.min) if low is None else low,
            float(ends.max) if high is None else high,
        )
        return call("tvmtiny_clampf", value, float32(low), float32(high))
    if high is not None:
        value = tirx.min(value, tirx.const(high, node.output.dtype))
    if low is not None:
        value = tirx.max(value, tirx.const(low, node.output.dtype))
    return value


def total(a: Expression, b: Expression) -> Expression:
    """Return the sum of two numbers of one dtype; integers wrap around."""
    return _wrapping("sum", a, b) if _integers(a) else a + b


def difference(a: Expression, b: Expression) -> Expression:
    """Return the difference of two numbers of one dtype; integers wrap around."""
    return _wrapping("difference", a, b) if _integers(a) else a - b


def product(a: Expression, b: Expression) -> Expression:
    """Return the product of two numbers of one dtype; integers wrap around."""
    return _wrapping("product", a, b) if _integers(a) else a * b


def _integers(value: Expression) -> bool:
    return dtype_of(value).startswith("int")


def _wrapping(operation: str, a: Expression, b: Expression) -> Expression:
    # TVM assumes that unsigned arithmetic never overflows, and simplifies accordingly.
    dtype = dtype_of(a)
    assert dtype in ("int32", "int64"), dtype
    return tirx.call_pure_extern(dtype, f"tvmtiny_{operation}_{dtype}", a, b)


def dtype_of(value: Expression) -> str:
    """Return the dtype of an expression."""
    return str(tirx.convert(value).ty.dtype)


def elementwise(
    shape: tuple[int, ...], value: Callable[..., Expression], name: str = "out"
) -> te.Tensor:
    """Call ``te.compute``, also for the empty shape of a scalar."""
    return te.compute(shape or (1,), value, name=name)


def at(tensor: te.Tensor, indices: Sequence[Expression]) -> Expression:
    """Read `tensor` at `indices` of a shape that it broadcasts to (numpy's rules)."""
    aligned = indices[len(indices) - len(tensor.shape) :]
    return tensor(*(0 if int(d) == 1 else i for d, i in zip(tensor.shape, aligned, strict=True)))


def float32(value: float) -> Expression:
    """Return an exact float32 literal; the C printer keeps only seven digits of `tirx.const`."""
    bits = int(np.float32(value).view(np.uint32))
    return tirx.call_pure_extern("float32", "tvmtiny_float", tirx.const(bits, "uint32"))


def select(condition: Sequence[Expression], then: Expression, otherwise: Expression) -> Expression:
    """Return `then` if all of `condition` holds, evaluated only then; else `otherwise`."""
    return tirx.if_then_else(tirx.all(*condition), then, otherwise) if condition else then


def call(function: str, *arguments: Expression, dtype: str = "float32") -> Expression:
    """Call a function of the runtime."""
    return tirx.call_pure_extern(dtype, function, *arguments)


def saturate(node: Node, value: Expression) -> Expression:
    """Add the output's zero point to an int32 value, and clamp it to the output's dtype."""
    total = value + int32(node.output.zero_point)
    return clamp(total, *INTEGER_RANGES[node.output.dtype], node.output.dtype)


def constant(value: float, dtype: str) -> Expression:
    """Return an exact literal of any dtype."""
    # The C printer keeps seven digits, and cannot print infinity.
    short = np.float32(f"{value:.6e}") == np.float32(value) and np.isfinite(value)
    if dtype == "float32" and not short:
        return float32(value)
    # C has no literals for the most negative integers.
    if dtype in ("int32", "int64") and value == np.iinfo(dtype).min:
        return tirx.call_pure_extern(dtype, f"tvmtiny_lowest_{dtype}")
    return tirx.const(value, dtype)


def lowest(dtype: str) -> Expression:
    """Return the smallest finite value of a dtype."""
    return constant(_ends(dtype)[0], dtype)


def highest(dtype: str) -> Expression:
    """Return the largest finite value of a dtype."""
    return constant(_ends(dtype)[1], dtype)


def wrapped(
    operator: Callable[[Expression, Expression], Expression], a: Expression, b: Expression
) -> Expression:
    """Apply an operator to two elements; signed integers wrap around, which C leaves undefined."""
    dtype = str(tirx.convert(a).ty.dtype)
    if dtype == "float32":
        return operator(a, b)
    return operator(a.astype(f"u{dtype}"), b.astype(f"u{dtype}")).astype(dtype)


def _ends(dtype: str) -> tuple[float, float]:
    if dtype == "bool":
        return False, True
    if dtype == "float32":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
