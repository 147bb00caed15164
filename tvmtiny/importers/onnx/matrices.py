"""Convert Gemm and MatMul."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from tvmtiny.importers.onnx.context import Context, RefusedError, handles
from tvmtiny.importers.onnx.convolution import bias_constant, check_symmetric
from tvmtiny.importers.onnx.graph import Op
from tvmtiny.importers.onnx.quantization import Scales
from tvmtiny.importers.onnx.values import Value


@handles("Gemm")
def _gemm(ctx: Context, op: Op) -> None:
    alpha, beta = (float(op.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    weights = ctx.known(op.inputs[1])
    bias = op.input(2)
    if weights is None or (bias and ctx.known(bias) is None):
        raise RefusedError("weights or bias that are computed when the model runs", "constants")
    if op.attributes.get("transA", 0):
        raise RefusedError("transA", "data that is not transposed")
    scaled = alpha != 1 or (beta != 1 and bool(bias))
    if scaled:
        # This case is rare: no exporter writes it for a layer with quantized weights.
        weights = weights * np.float32(alpha)
        if bias:
            ctx.graph.constants[bias] = ctx.graph.constants[bias] * np.float32(beta)
    own = None if scaled else ctx.scaled_by_model(op.inputs[1])
    array = weights if own is None else ctx.found.integers[op.inputs[1]]
    _dense(ctx, op, array, own, bool(op.attributes.get("transB", 0)))


@handles("MatMul")
def _matmul(ctx: Context, op: Op) -> None:
    weights = ctx.known(op.inputs[1])
    if weights is not None and weights.ndim == 2:
        own = ctx.scaled_by_model(op.inputs[1])
        array = weights if own is None else ctx.found.integers[op.inputs[1]]
        _dense(ctx, op, array, own, False)
        return
    values, scales = ctx.operands(op, 0, 1)
    left, right = (ctx.plain(value) for value in values)
    if left.rank < 2 or right.rank < 2:
        raise RefusedError("an operand with one dimension", "two or more dimensions")
    shape = ctx.graph.shapes[op.outputs[0]]
    made = ctx.result(op.outputs[0], shape, tuple(range(len(shape))), scales)
    options = {"adj_x": False, "adj_y": False}
    ctx.emit("BATCH_MATMUL", [left.index, right.index], [made.index], options)
    ctx.finish(op, made)


def _dense(ctx: Context, op: Op, array: np.ndarray, own: Scales | None, transposed: bool) -> None:
    """Emit a FULLY_CONNECTED.

    Parameters
    ----------
    array
        Weights; integers if `own` has their scales.
    transposed
        Whether the first dimension of the weights is that of the outputs.
    """
    values, scales = ctx.operands(op, 0)
    value = values[0]
    if scales is not None and own is None:
        value, scales = ctx.real(value), None
    if scales is None and own is not None:
        array = ctx.graph.constants[op.inputs[1]]
        own = None
    if own is not None:
        check_symmetric(own)
        if own.per_channel and own.axis != (0 if transposed else 1):
            raise RefusedError(f"scales of weights along axis {own.axis}", "one for each output")
    laid = array if transposed else array.T
    if own is None:
        laid = laid.astype(np.float32)
    shape = ctx.graph.shapes[op.outputs[0]]
    index, laid = _rows(ctx, value, laid)
    outputs = len(laid)
    filters = ctx.constant(op.inputs[1], np.ascontiguousarray(laid), own)
    wide = scales is not None and scales.dtype == "int16"
    bias = bias_constant(ctx, op, value.scales if own else None, own, outputs, wide)
    made = ctx.result(op.outputs[0], shape, tuple(range(len(shape))), scales)
    rows = prod(shape[:-1])
    flat = made.index
    if len(shape) != 2:
        flat = ctx.tensor(f"{op.name}/rows", (rows, outputs), made.dtype, scales)
    options = {"fused_activation_function": op.activation, "keep_num_dims": False}
    ctx.emit("FULLY_CONNECTED", [index, filters, bias], [flat], options)
    if flat != made.index:
        numbers = ctx.shape_constant(shape)
        ctx.emit("RESHAPE", [flat, numbers], [made.index], {"new_shape": [*shape]})
    ctx.finish(op, made)


def _rows(ctx: Context, value: Value, weights: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the data as a matrix, and the weights in the order of its columns."""
    size = value.logical[-1] if value.rank else 1
    inner = _flattened(value, size)
    if inner is not None:
        # The columns are pixels with all their channels, so the weights are arranged in the same
        # way.
        axes = [axis for axis in value.order if axis in inner]
        sizes = [value.shape[axis] for axis in inner]
        whole = weights.reshape(len(weights), *sizes)
        order = [0, *(1 + inner.index(axis) for axis in axes)]
        weights = whole.transpose(order).reshape(len(weights), size)
        value = replace(value, view=None)
    else:
        value = ctx.plain(value)
    rows = prod(value.physical) // size
    return ctx.with_shape(value, (rows, size)), weights


def _flattened(value: Value, size: int) -> Sequence[int] | None:
    """The axes that were flattened to the last dimension, if all other axes precede them."""
    if value.view is None:
        return None
    axes: list[int] = []
    for axis in reversed(range(len(value.shape))):
        if prod(value.shape[a] for a in axes) == size:
            break
        axes.insert(0, axis)
    if prod(value.shape[a] for a in axes) != size:
        return None
    outer = [axis for axis in range(len(value.shape)) if axis not in axes]
    kept = [axis for axis in value.order if axis in outer and value.shape[axis] != 1]
    in_front = value.order[: len(outer)]
    sorted_outer = [axis for axis in outer if value.shape[axis] != 1]
    if kept != sorted_outer or any(a not in outer and value.shape[a] != 1 for a in in_front):
        return None
    return axes
