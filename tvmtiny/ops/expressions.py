"""TIR expressions that several operators share; each calls a helper of ``runtime/tvmtiny.h``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tvm import ir, te, tirx

from tvmtiny.ops.node import Node
from tvmtiny.ops.quantization import activation_range, float_activation_range

#: What TVM's operators take and return; `ir.Expr` has no type information.
Expression: TypeAlias = ir.Expr


def int32(value: Expression | int) -> Expression:
    """Widen `value` to int32."""
    return tirx.const(value, "int32") if isinstance(value, int) else value.astype("int32")


def requantize(acc: Expression, multiplier: Expression, shift: Expression) -> Expression:
    """`quantization.requantize` of int32 `acc`: two roundings, any shift."""
    return tirx.call_pure_extern(
        "int32", "tvmtiny_requantize", acc, int32(multiplier), int32(shift)
    )


def requantize_once(acc: Expression, multiplier: Expression, shift: Expression) -> Expression:
    """`quantization.requantize_once` of int32 `acc`: one rounding, any shift."""
    return tirx.call_pure_extern(
        "int32", "tvmtiny_requantize_once", acc, int32(multiplier), int32(shift)
    )


def clamp_int8(value: Expression, low: int, high: int) -> Expression:
    """Clamp an int32 expression to ``[low, high]`` and narrow it to int8."""
    return tirx.max(tirx.min(value, int32(high)), int32(low)).astype("int8")


def quantized_output(value: Expression, node: Node) -> Expression:
    """Add the output's zero point to a requantized int32 value and clamp to the activation."""
    return clamp_int8(value + int32(node.output.zero_point), *activation_range(node))


def float_output(value: Expression, node: Node) -> Expression:
    """Clamp a float32 value to the fused activation."""
    low, high = float_activation_range(node)
    if high is not None:
        value = tirx.min(value, tirx.const(high, "float32"))
    if low is not None:
        value = tirx.max(value, tirx.const(low, "float32"))
    return value


def elementwise(
    shape: tuple[int, ...], value: Callable[..., Expression], name: str = "out"
) -> te.Tensor:
    """``te.compute`` that also accepts the empty shape of a scalar."""
    return te.compute(shape or (1,), value, name=name)
