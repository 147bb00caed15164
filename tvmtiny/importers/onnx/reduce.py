"""Convert operators that reduce over axes, and operators composed of reductions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tvmtiny.importers.onnx.arithmetic import with_number
from tvmtiny.importers.onnx.context import Context, RefusedError, handles
from tvmtiny.importers.onnx.graph import Op
from tvmtiny.importers.onnx.quantization import Scales
from tvmtiny.importers.onnx.values import Value, channels_last

_REDUCING = {
    "ReduceMax": "REDUCE_MAX",
    "ReduceMean": "MEAN",
    "ReduceMin": "REDUCE_MIN",
    "ReduceProd": "REDUCE_PROD",
    "ReduceSum": "SUM",
}
#: Reductions that return one of the values, in its own scale.
_CHOOSING = ("ReduceMax", "ReduceMin")
#: The only scale and zero point of an int8 or int16 result.
_SOFTMAX = {
    ("SOFTMAX", "int8"): (1 / 256, -128),
    ("SOFTMAX", "int16"): (1 / 32768, 0),
    ("LOG_SOFTMAX", "int8"): (16 / 256, 127),
}


def _removed(value: Value, axes: Sequence[int], keep: bool) -> tuple[tuple[int, ...], ...]:
    """Remove axes from shape and order."""
    if keep:
        shape = tuple(1 if i in axes else n for i, n in enumerate(value.shape))
        return shape, value.order
    left = [i for i in range(len(value.shape)) if i not in axes]
    order = tuple(left.index(axis) for axis in value.order if axis in left)
    return tuple(value.shape[i] for i in left), order


@handles(*_REDUCING)
def _reduce(ctx: Context, op: Op) -> None:
    (value,), scales = ctx.operands(op, 0)
    value = ctx.ordered(value)
    axes = ctx.numbers(op, "axes", 1)
    if not axes:
        if op.attributes.get("noop_with_empty_axes", 0):
            ctx.finish(op, value)
            return
        axes = [*range(value.rank)]
    axes = [int(a) % value.rank for a in axes]
    keep = bool(op.attributes.get("keepdims", 1))
    ctx.finish(op, reduced(ctx, op, value, _REDUCING[op.kind], axes, keep, scales))


def reduced(
    ctx: Context,
    op: Op,
    value: Value,
    operator: str,
    axes: Sequence[int],
    keep: bool,
    scales: Scales | None,
) -> Value:
    """Emit a reduction over ONNX's axes."""
    shape, order = _removed(value, axes, keep)
    if op.kind in _CHOOSING:
        scales = value.scales
    made = ctx.result(op.outputs[0], shape, order, scales, value.dtype)
    places = ctx.shape_constant(sorted(value.axis(axis) for axis in axes), "axes")
    ctx.emit(operator, [value.index, places], [made.index], {"keep_dims": keep})
    return made


@handles("ArgMax", "ArgMin")
def _arg(ctx: Context, op: Op) -> None:
    if op.attributes.get("select_last_index", 0):
        raise RefusedError("select_last_index", "the first of equal elements")
    value = ctx.value(op.inputs[0])
    value = ctx.ordered(value)
    axis = int(op.attributes.get("axis", 0)) % value.rank
    shape, order = _removed(value, [axis], False)
    made = ctx.result(op.outputs[0], shape, order, None, "int64")
    place = ctx.constant("axis", np.array(value.axis(axis), np.int32))
    operator = "ARG_MAX" if op.kind == "ArgMax" else "ARG_MIN"
    ctx.emit(operator, [value.index, place], [made.index], {"output_type": 4})
    ctx.finish(op, ctx.reshaped(made, ctx.graph.shapes[op.outputs[0]]))


@handles("Softmax", "LogSoftmax")
def _softmax(ctx: Context, op: Op) -> None:
    (value,), scales = ctx.operands(op, 0)
    value = ctx.ordered(value)
    old = ctx.graph.opset < 13
    axis = int(op.attributes.get("axis", 1 if old else -1)) % value.rank
    if old and any(n != 1 for n in value.shape[axis + 1 :]):
        # All axes from this one on are treated as one.
        value = ctx.plain(value)
        axes = value.shape
        flat = ctx.reshaped(value, (*value.shape[:axis], int(np.prod(value.shape[axis:]))))
        made = _along_last(ctx, op, flat, scales)
        ctx.finish(op, ctx.reshaped(made, axes))
        return
    if value.order[-1] != axis:
        order = (*(a for a in value.order if a != axis), axis)
        value = ctx.arranged(value, order)
    ctx.finish(op, _along_last(ctx, op, value, scales))


def _along_last(ctx: Context, op: Op, value: Value, scales: Scales | None) -> Value:
    operator = "SOFTMAX" if op.kind == "Softmax" else "LOG_SOFTMAX"
    if scales is not None:
        if (operator, scales.dtype) not in _SOFTMAX:
            value, scales = ctx.real(value), None
        else:
            scale, zero = _SOFTMAX[operator, scales.dtype]
            scales = Scales(np.array([scale], np.float32), np.array([zero]), scales.dtype)
    made = ctx.result(op.outputs[0], value.shape, value.order, scales)
    options = {"beta": 1.0} if operator == "SOFTMAX" else {}
    ctx.emit(operator, [value.index], [made.index], options)
    return made


@handles("LayerNormalization", "InstanceNormalization")
def _normalization(ctx: Context, op: Op) -> None:
    value = ctx.real(ctx.value(op.inputs[0]))
    if len([name for name in op.outputs if name]) > 1:
        raise RefusedError("mean and deviation as outputs", "the first output alone")
    value = ctx.ordered(value)
    parameters = [ctx.known(name) for name in op.inputs[1:3]]
    if any(p is None for p in parameters):
        raise RefusedError("factors that are computed when the model runs", "constants")
    if op.kind == "InstanceNormalization":
        value = ctx.arranged(value, channels_last(value.rank))
        axes = [*range(2, value.rank)]
        shapes = [(-1, *[1] * (value.rank - 2))] * 2
    else:
        first = int(op.attributes.get("axis", -1)) % value.rank
        axes = [*range(first, value.rank)]
        shapes = [p.shape for p in parameters if p is not None]
    mean = reduced(ctx, op, value, "MEAN", axes, True, None)
    moved = _pair(ctx, op, "SUB", value, mean)
    square = _pair(ctx, op, "MUL", moved, moved)
    variance = reduced(ctx, op, square, "MEAN", axes, True, None)
    steady = with_number(ctx, op, "ADD", variance, float(op.attributes.get("epsilon", 1e-5)))
    factor = ctx.result(op.outputs[0], steady.shape, steady.order, None)
    ctx.emit("RSQRT", [steady.index], [factor.index])
    made = _pair(ctx, op, "MUL", moved, factor)
    for operator, parameter, shape in zip(("MUL", "ADD"), parameters, shapes, strict=False):
        assert parameter is not None
        data = parameter.astype(np.float32).reshape(shape)
        data = data.reshape((1,) * (value.rank - data.ndim) + data.shape)
        laid = np.ascontiguousarray(data.transpose(value.order))
        other = replace(made, shape=data.shape).at(ctx.constant(op.name, laid))
        made = _pair(ctx, op, operator, made, other)
    ctx.finish(op, made)


def _pair(ctx: Context, op: Op, operator: str, first: Value, second: Value) -> Value:
    """Emit a float operator of two operands with the same order of axes."""
    made = ctx.result(op.outputs[0], first.shape, first.order, None)
    ctx.emit(operator, [first.index, second.index], [made.index], {})
    return made
