"""Convert elementwise operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tvmtiny.importers.onnx.context import Context, RefusedError, handles
from tvmtiny.importers.onnx.fusing import CLIPS, clip_range
from tvmtiny.importers.onnx.graph import Op
from tvmtiny.importers.onnx.quantization import ROUND, Scales
from tvmtiny.importers.onnx.values import Value

#: TFLite's operators, each with the only scale and zero point that its int8 results may have.
_UNARY: dict[str, str] = {
    "Abs": "ABS",
    "Ceil": "CEIL",
    "Cos": "COS",
    "Elu": "ELU",
    "Exp": "EXP",
    "Floor": "FLOOR",
    "HardSwish": "HARD_SWISH",
    "Log": "LOG",
    "Neg": "NEG",
    "Not": "LOGICAL_NOT",
    "Relu": "RELU",
    "Round": "ROUND",
    "Sigmoid": "LOGISTIC",
    "Sign": "SIGN",
    "Sin": "SIN",
    "Sqrt": "SQRT",
    "Tanh": "TANH",
}
#: Operators that have int8 kernels.
_INTEGERS = ("Abs", "Elu", "Exp", "HardSwish", "Log", "Neg", "Relu", "Sigmoid", "Sqrt", "Tanh")
_FIXED = {
    ("Sigmoid", "int8"): (1 / 256, -128),
    ("Sigmoid", "int16"): (1 / 32768, 0),
    ("Tanh", "int8"): (1 / 128, 0),
    ("Tanh", "int16"): (1 / 32768, 0),
}
_BINARY = {
    "Add": "ADD",
    "And": "LOGICAL_AND",
    "Div": "DIV",
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "Max": "MAXIMUM",
    "Min": "MINIMUM",
    "Mul": "MUL",
    "Or": "LOGICAL_OR",
    "Sub": "SUB",
}
_COMPARING = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or")
_FUSING = ("Add", "Div", "Mul", "Sub")
#: TFLite computes these operators in integers if all operands have the scale of the result.
_ONE_SCALE = ("Max", "Min")


def fixed_scales(kind: str, scales: Scales | None) -> Scales | None:
    """The scales that an operator's integer results have in TFLite."""
    if scales is None or (kind, scales.dtype) not in _FIXED:
        return scales
    scale, zero = _FIXED[kind, scales.dtype]
    return Scales(np.array([scale], np.float32), np.array([zero]), scales.dtype)


@handles(*_UNARY)
def _unary(ctx: Context, op: Op) -> None:
    (value,), scales = ctx.operands(op, 0)
    if op.kind == "Elu" and float(op.attributes.get("alpha", 1.0)) != 1.0:
        raise RefusedError(f"alpha of {op.attributes['alpha']:g}", "1")
    if scales is not None and op.kind not in _INTEGERS:
        value, scales = ctx.real(value), None
    unary(ctx, op, value, _UNARY[op.kind], fixed_scales(op.kind, scales))


def unary(ctx: Context, op: Op, value: Value, operator: str, scales: Scales | None) -> None:
    """Emit an operator of one operand, whatever the order of its axes."""
    made = _like(ctx, op.outputs[0], value, scales, value.dtype)
    ctx.emit(operator, [value.index], [made.index], _no_options(operator))
    ctx.finish(op, made)


def _no_options(operator: str) -> dict[str, object] | None:
    return {} if operator in ("ABS", "EXP", "HARD_SWISH", "LOGICAL_NOT", "NEG", "SIGN") else None


def _like(ctx: Context, name: str, value: Value, scales: Scales | None, dtype: str) -> Value:
    if scales is None and value.scales is not None:
        dtype = "float32"
    made = ctx.result(name, value.shape, value.order, scales, dtype)
    return replace(made, view=value.view)


@handles("Identity", "Dropout")
def _identity(ctx: Context, op: Op) -> None:
    ctx.finish(op, ctx.value(op.inputs[0]))


@handles(ROUND)
def _round(ctx: Context, op: Op) -> None:
    ctx.finish(op, ctx.value(op.inputs[0]))


@handles("Cast")
def _cast(ctx: Context, op: Op) -> None:
    value = ctx.value(op.inputs[0])
    dtype = ctx.graph.dtypes.get(op.outputs[0], "float32")
    if value.scales is not None or value.dtype == dtype:
        ctx.finish(op, ctx.real(value) if dtype == "float32" else value)
        return
    made = ctx.result(op.outputs[0], value.shape, value.order, None, dtype)
    ctx.emit("CAST", [value.index], [made.index], {})
    ctx.finish(op, replace(made, view=value.view))


@handles("Gelu")
def _gelu(ctx: Context, op: Op) -> None:
    (value,), scales = ctx.operands(op, 0)
    made = _like(ctx, op.outputs[0], value, scales, value.dtype)
    approximate = op.attributes.get("approximate", b"none") == b"tanh"
    ctx.emit("GELU", [value.index], [made.index], {"approximate": approximate})
    ctx.finish(op, made)


@handles("LeakyRelu")
def _leaky_relu(ctx: Context, op: Op) -> None:
    (value,), scales = ctx.operands(op, 0)
    made = _like(ctx, op.outputs[0], value, scales, value.dtype)
    alpha = float(op.attributes.get("alpha", 0.01))
    ctx.emit("LEAKY_RELU", [value.index], [made.index], {"alpha": alpha})
    ctx.finish(op, made)


@handles("Clip")
def _clip(ctx: Context, op: Op) -> None:
    limits = clip_range(ctx.graph, op)
    if limits is None:
        raise RefusedError("limits that are computed when the model runs", "constant limits")
    known = {**CLIPS, (0.0, 1.0): "RELU_0_TO_1"}
    (value,), scales = ctx.operands(op, 0)
    if limits in known:
        unary(ctx, op, value, known[limits], scales)
        return
    value = ctx.real(value)
    for operator, limit in zip(("MAXIMUM", "MINIMUM"), limits, strict=True):
        if np.isfinite(limit):
            value = with_number(ctx, op, operator, value, limit)
    ctx.finish(op, value)


def with_number(
    ctx: Context, op: Op, operator: str, value: Value, number: float, first: bool = False
) -> Value:
    """Emit a float operator with a number as its second or first operand."""
    made = _like(ctx, op.outputs[0], value, None, "float32")
    inputs = [value.index, ctx.scalar(number)]
    ctx.emit(operator, inputs[::-1] if first else inputs, [made.index], {})
    return made


@handles("HardSigmoid")
def _hard_sigmoid(ctx: Context, op: Op) -> None:
    value = ctx.real(ctx.value(op.inputs[0]))
    value = with_number(ctx, op, "MUL", value, float(op.attributes.get("alpha", 0.2)))
    value = with_number(ctx, op, "ADD", value, float(op.attributes.get("beta", 0.5)))
    unary(ctx, op, value, "RELU_0_TO_1", None)


@handles("Reciprocal")
def _reciprocal(ctx: Context, op: Op) -> None:
    value = ctx.real(ctx.value(op.inputs[0]))
    ctx.finish(op, with_number(ctx, op, "DIV", value, 1.0, first=True))


@handles("Pow")
def _pow(ctx: Context, op: Op) -> None:
    exponent = ctx.known(op.inputs[1])
    value = ctx.value(op.inputs[0])
    if exponent is not None and exponent.size == 1 and float(exponent.reshape(-1)[0]) == 2:
        value = ctx.real(value)
        made = _like(ctx, op.outputs[0], value, None, value.dtype)
        ctx.emit("MUL", [value.index, value.index], [made.index], {})
        ctx.finish(op, made)
        return
    if exponent is not None and exponent.size == 1 and float(exponent.reshape(-1)[0]) == 0.5:
        unary(ctx, op, ctx.real(value), "SQRT", None)
        return
    first, second = (ctx.real(ctx.value(name)) for name in op.inputs)
    _emit_binary(ctx, op, "POW", [first, second], None, "float32")


@handles(*_BINARY)
def _binary(ctx: Context, op: Op) -> None:
    values, scales = ctx.operands(op)
    dtype = values[0].dtype
    comparing = op.kind in _COMPARING
    if comparing:
        values = [ctx.real(v) for v in values]
        scales, dtype = None, "bool"
    if op.kind in _ONE_SCALE and scales is not None:
        values = [ctx.scaled(v, scales) for v in values]
    if len(values) == 1:
        ctx.finish(op, values[0])
        return
    *most, last = values
    value = most[0]
    for other in most[1:]:
        value = _combined(ctx, op, [value, other], scales, dtype)
    _emit_binary(ctx, op, _BINARY[op.kind], [value, last], scales, dtype)


@handles("Sum")
def _sum(ctx: Context, op: Op) -> None:
    _binary(ctx, replace(op, kind="Add"))


def _combined(
    ctx: Context, op: Op, values: Sequence[Value], scales: Scales | None, dtype: str
) -> Value:
    """Combine all but the last two operands of Max and Min, which can have many."""
    if scales is not None and op.kind not in _ONE_SCALE:
        raise RefusedError(f"{len(op.inputs)} quantized operands", "two")
    first, second, shape, order = _aligned(ctx, values)
    made = ctx.result(op.outputs[0], shape, order, scales, dtype)
    options = _binary_options(op) if op.kind not in _FUSING else {}
    ctx.emit(_BINARY[op.kind], [first, second], [made.index], options)
    return made


def _binary_options(op: Op) -> dict[str, object]:
    return {"fused_activation_function": op.activation} if op.kind in _FUSING else {}


def _emit_binary(
    ctx: Context,
    op: Op,
    operator: str,
    values: Sequence[Value],
    scales: Scales | None,
    dtype: str,
) -> None:
    first, second, shape, order = _aligned(ctx, values)
    made = ctx.result(op.outputs[0], shape, order, scales, dtype)
    ctx.emit(operator, [first, second], [made.index], _binary_options(op))
    view = next((v.view for v in values if v.view is not None), None)
    one_sized = view is not None and any(np.prod(v.shape) == 1 for v in values)
    ctx.finish(op, replace(made, view=view) if one_sized else made)


def _aligned(
    ctx: Context, values: Sequence[Value]
) -> tuple[int, int, tuple[int, ...], tuple[int, ...]]:
    """Return the tensors of two operands with matching axes, and shape and order of the result."""
    numbers = [v for v in values if np.prod(v.logical) == 1]
    if len(numbers) == 1:
        # A number has no axes.
        other = next(v for v in values if v is not numbers[0])
        if len(numbers[0].logical) <= other.rank:
            alone = ctx.with_shape(numbers[0], ())
            indices = [alone if v is numbers[0] else v.index for v in values]
            return indices[0], indices[1], other.shape, other.order
    values = [ctx.ordered(v) for v in values]
    rank = max(v.rank for v in values)
    widened = [ctx.reshaped(v, (1,) * (rank - v.rank) + v.shape) for v in values]
    widened = [ctx.ordered(v) for v in widened]
    # Keep the order of the larger operand; of two equal ones, that of the computed operand.
    leading = max(widened, key=lambda v: (np.prod(v.shape), not v.plain))
    first, second = (ctx.arranged(v, leading.order) for v in widened)
    shape = tuple(np.broadcast_shapes(first.shape, second.shape))
    return first.index, second.index, shape, leading.order


@handles("PRelu")
def _prelu(ctx: Context, op: Op) -> None:
    values, scales = ctx.operands(op)
    value, slopes = values
    value = ctx.ordered(value)
    widened = ctx.reshaped(slopes, (1,) * (value.rank - slopes.rank) + slopes.logical)
    slopes = ctx.arranged(ctx.plain(widened), value.order)
    made = _like(ctx, op.outputs[0], value, scales, value.dtype)
    # TFLite's slopes lack the batch.
    alpha = ctx.with_shape(slopes, slopes.physical[1:])
    ctx.emit("PRELU", [value.index, alpha], [made.index])
    ctx.finish(op, made)


@handles("Where")
def _where(ctx: Context, op: Op) -> None:
    condition = ctx.plain(ctx.value(op.inputs[0]))
    values, scales = ctx.operands(op, 1, 2)
    plain = [ctx.plain(ctx.scaled(v, scales) if scales else v) for v in values]
    shape = ctx.graph.shapes[op.outputs[0]]
    order = tuple(range(len(shape)))
    made = ctx.result(op.outputs[0], shape, order, scales, values[0].dtype)
    ctx.emit("SELECT_V2", [condition.index, *(v.index for v in plain)], [made.index], {})
    ctx.finish(op, made)
