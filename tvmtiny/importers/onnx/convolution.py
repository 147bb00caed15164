"""Convert convolutions and pools: windows that move over one or two axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tvmtiny.importers.onnx.context import Context, RefusedError, handles
from tvmtiny.importers.onnx.graph import Op
from tvmtiny.importers.onnx.quantization import Scales
from tvmtiny.importers.onnx.values import Value, channels_last

_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class _Window:
    """Numbers for height and width; a window over one axis has a height of 1.

    Attributes
    ----------
    begin, end
        Padding before and after the input.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    begin: tuple[int, int]
    end: tuple[int, int]

    @property
    def padded(self) -> bool:
        return any((*self.begin, *self.end))

    def same(self, size: Sequence[int]) -> bool:
        """Whether the padding is what TFLite calls SAME."""
        return all(
            (begin, end) == _same_padding(n, k, s, d)
            for n, k, s, d, begin, end in zip(
                size, self.kernel, self.strides, self.dilations, self.begin, self.end, strict=True
            )
        )

    def sizes(self, size: Sequence[int]) -> tuple[int, ...]:
        """Height and width of the output."""
        return tuple(
            (n + b + e - (k - 1) * d - 1) // s + 1
            for n, k, s, d, b, e in zip(
                size, self.kernel, self.strides, self.dilations, self.begin, self.end, strict=True
            )
        )


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _window(op: Op, kernel: Sequence[int], size: Sequence[int]) -> _Window:
    axes = len(kernel)
    if axes not in (1, 2):
        raise RefusedError(f"windows over {axes} axes", "one or two axes")

    def pair(values: Sequence[int], fill: int) -> tuple[int, int]:
        numbers = [int(v) for v in values]
        return (fill, numbers[0]) if axes == 1 else (numbers[0], numbers[1])

    strides = op.attributes.get("strides", [1] * axes)
    dilations = op.attributes.get("dilations", [1] * axes)
    pads = list(op.attributes.get("pads", [0] * 2 * axes))
    auto = op.attributes.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        both = [
            _same_padding(n, k, s, d)
            for n, k, s, d in zip(size, kernel, strides, dilations, strict=True)
        ]
        if auto == b"SAME_LOWER":
            both = [(end, begin) for begin, end in both]
        pads = [b for b, _ in both] + [e for _, e in both]
    elif auto == b"VALID":
        pads = [0] * 2 * axes
    if min(pads) < 0:
        raise RefusedError("negative padding", "padding of 0 or more")
    return _Window(
        pair(kernel, 1),
        pair(strides, 1),
        pair(dilations, 1),
        pair(pads[:axes], 0),
        pair(pads[axes:], 0),
    )


def _source(ctx: Context, value: Value) -> tuple[Value, int, tuple[int, int]]:
    """Return the value as a 4-D tensor with channels last, and its height and width."""
    if value.rank not in (3, 4):
        raise RefusedError(f"data with {value.rank} dimensions", "3 or 4 dimensions")
    value = ctx.arranged(value, channels_last(value.rank))
    batch, *size, channels = value.physical
    height, width = (1, size[0]) if len(size) == 1 else (size[0], size[1])
    return value, ctx.with_shape(value, (batch, height, width, channels)), (height, width)


def _padded(
    ctx: Context, value: Value, index: int, size: Sequence[int], window: _Window, fill: float
) -> tuple[int, tuple[int, int]]:
    """Return the tensor, with explicit padding if this is neither SAME nor VALID."""
    height, width = (n + b + e for n, b, e in zip(size, window.begin, window.end, strict=True))
    pads = np.array(
        [[0, 0], [window.begin[0], window.end[0]], [window.begin[1], window.end[1]], [0, 0]],
        np.int32,
    )
    shape = (value.physical[0], height, width, value.physical[-1])
    made = ctx.tensor(f"{value.name}/padded", shape, value.dtype, value.scales)
    amounts = ctx.constant("pads", pads)
    if fill == 0:
        ctx.emit("PAD", [index, amounts], [made], {})
        return made, (height, width)
    if value.scales is None:
        number = ctx.scalar(fill)
    else:
        lowest = np.array(np.iinfo(value.dtype).min, value.dtype)
        number = ctx.constant("lowest", lowest, value.scales)
    ctx.emit("PADV2", [index, amounts, number], [made], {})
    return made, (height, width)


def _options(window: _Window, padding: str, op: Op) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_h": window.strides[0],
        "stride_w": window.strides[1],
        "fused_activation_function": op.activation,
    }


def _finish(
    ctx: Context,
    op: Op,
    shape: Sequence[int],
    scales: Scales | None,
    emit: Any,
) -> None:
    """Emit a window operator and define its result; `emit` writes a 4-D tensor."""
    order = channels_last(len(shape))
    name = op.outputs[0]
    value = ctx.result(name, shape, order, scales)
    if len(shape) == 4:
        emit(value.index)
    else:
        batch, width, channels = value.physical
        inner = ctx.tensor(name, (batch, 1, width, channels), value.dtype, scales)
        emit(inner)
        numbers = ctx.shape_constant(value.physical)
        ctx.emit("RESHAPE", [inner, numbers], [value.index], {"new_shape": [*value.physical]})
    ctx.finish(op, value)


@handles("Conv")
def _conv(ctx: Context, op: Op) -> None:
    weights = ctx.known(op.inputs[1])
    if weights is None:
        raise RefusedError("weights that are computed when the model runs", "constant weights")
    values, scales = _conv_operands(ctx, op)
    value, index, size = _source(ctx, values[0])
    window = _window(op, weights.shape[2:], value.shape[2:])
    if not window.padded:
        padding = "VALID"
    elif window.same(size):
        padding = "SAME"
    else:
        padding = "VALID"
        index, size = _padded(ctx, value, index, size, window, 0)
    groups, channels = int(op.attributes.get("group", 1)), value.shape[1]
    if weights.shape[1] * groups != channels or weights.shape[0] % groups:
        raise RefusedError(
            f"weights of {list(weights.shape)} and {groups} groups for {channels} channels",
            "as many input channels as data has",
        )
    depthwise = groups == channels and groups > 1
    inputs = _weights(ctx, op, values[0].scales, scales, depthwise)
    options = _options(window, padding, op)
    options.update(dilation_h_factor=window.dilations[0], dilation_w_factor=window.dilations[1])
    operator = "CONV_2D"
    if depthwise:
        operator = "DEPTHWISE_CONV_2D"
        options["depth_multiplier"] = weights.shape[0] // channels
    elif groups > 1 and scales is not None and scales.dtype == "int16":
        raise RefusedError("groups with int16 data", "one group, or as many as channels")
    _finish(
        ctx,
        op,
        ctx.graph.shapes[op.outputs[0]],
        scales,
        lambda out: ctx.emit(operator, [index, *inputs], [out], options),
    )


def _conv_operands(ctx: Context, op: Op) -> tuple[list[Value], Scales | None]:
    """Return the data of an operator with weights, and its scales if it computes in integers."""
    weights = ctx.scaled_by_model(op.inputs[1])
    values, scales = ctx.operands(op, 0)
    if scales is not None and weights is None:
        return [ctx.real(values[0])], None
    if scales is not None and weights is not None:
        check_symmetric(weights)
    return values, scales


def check_symmetric(weights: Scales) -> None:
    """Refuse weights with zero points.

    Raises
    ------
    RefusedError
        If the weights have zero points.
    """
    if weights.zero_points.any() or weights.dtype != "int8":
        raise RefusedError(
            "weights with a zero point",
            "symmetric int8 weights (onnxruntime: weight_type=QuantType.QInt8 and "
            "extra_options={'WeightSymmetric': True})",
        )


def bias_constant(
    ctx: Context, op: Op, data: Scales | None, weights: Scales | None, channels: int, wide: bool
) -> int:
    """Return the bias of an operator with weights: int32, int64 with int16 data, or float32."""
    name = op.input(2)
    real = ctx.known(name) if name else np.zeros(channels, np.float32)
    if real is None:
        raise RefusedError("a bias that is computed when the model runs", "a constant bias")
    real = np.broadcast_to(real.reshape(-1), (channels,))
    if data is None or weights is None:
        return ctx.constant(name or f"{op.name}/bias", real.astype(np.float32))
    step = (data.scales.astype(np.float64) * weights.scales).astype(np.float32)
    own, integers = ctx.scaled_by_model(name), ctx.found.integers.get(name)
    if own is not None and integers is not None and not own.zero_points.any():
        close = np.allclose(own.scales, step, rtol=1e-5, atol=0)
        numbers = integers.reshape(-1) if close else np.rint(real / step.astype(np.float64))
    else:
        numbers = np.rint(real.astype(np.float64) / step)
    dtype = np.int64 if wide else np.int32
    limits = np.iinfo(np.int32) if not wide else np.iinfo(np.int64)
    clipped = np.clip(np.broadcast_to(numbers, (channels,)), limits.min, limits.max).astype(dtype)
    zeros = np.zeros(step.size, np.int64)
    return ctx.constant(name or f"{op.name}/bias", clipped, Scales(step, zeros, dtype.__name__))


def _weights(
    ctx: Context, op: Op, data: Scales | None, scales: Scales | None, depthwise: bool
) -> list[int]:
    """Return weights and bias in TFLite's form."""
    name = op.inputs[1]
    own = ctx.scaled_by_model(name) if scales is not None else None
    array = ctx.found.integers[name] if own is not None else ctx.graph.constants[name]
    if array.ndim == 3:
        array = array[:, :, None]
    channels = len(array)
    axis = 3 if depthwise else 0
    # Depthwise: 1, height, width, channels; else output channels, height, width, input channels.
    laid = array.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    if own is not None and own.per_channel and own.axis != 0:
        raise RefusedError(f"scales of weights along axis {own.axis}", "along axis 0")
    if own is None:
        laid = laid.astype(np.float32)
    filters = ctx.constant(name, np.ascontiguousarray(laid), own, axis)
    wide = scales is not None and scales.dtype == "int16"
    return [filters, bias_constant(ctx, op, data if own else None, own, channels, wide)]


@handles("ConvTranspose")
def _conv_transpose(ctx: Context, op: Op) -> None:
    weights = ctx.known(op.inputs[1])
    if weights is None:
        raise RefusedError("weights that are computed when the model runs", "constant weights")
    if int(op.attributes.get("group", 1)) != 1:
        raise RefusedError("groups", "one group")
    if op.attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or "output_shape" in op.attributes:
        raise RefusedError("padding that follows from the output's shape", "explicit pads")
    if any(d != 1 for d in op.attributes.get("dilations", ())):
        raise RefusedError("dilation", "none")
    values, scales = _conv_operands(ctx, op)
    value, index, size = _source(ctx, values[0])
    window = _window(op, weights.shape[2:], value.shape[2:])
    extra = op.attributes.get("output_padding", [0] * (weights.ndim - 2))
    extra = (0, *extra) if len(extra) == 1 else tuple(extra)
    own = ctx.scaled_by_model(op.inputs[1]) if scales is not None else None
    array = ctx.found.integers[op.inputs[1]] if own is not None else weights
    if own is not None and own.per_channel and own.axis != 1:
        raise RefusedError(f"scales of weights along axis {own.axis}", "along axis 1")
    if array.ndim == 3:
        array = array[:, :, None]
    laid = np.ascontiguousarray(array.transpose(1, 2, 3, 0))
    if own is None:
        laid = laid.astype(np.float32)
    filters = ctx.constant(op.inputs[1], laid, own)
    channels = len(laid)
    wide = scales is not None and scales.dtype == "int16"
    bias = bias_constant(ctx, op, values[0].scales if own else None, own, channels, wide)
    shape = ctx.graph.shapes[op.outputs[0]]
    out = (1, shape[2]) if len(shape) == 3 else (shape[2], shape[3])
    same = all(
        o == n * s and b == max(k - s, 0) // 2 and k >= s
        for o, n, s, k, b in zip(
            out, size, window.strides, window.kernel, window.begin, strict=True
        )
    )
    options = _options(window, "SAME" if same else "VALID", op)
    whole = tuple(
        (n - 1) * s + k for n, s, k in zip(size, window.strides, window.kernel, strict=True)
    )
    if not same and any(e > p for e, p in zip(extra, window.end, strict=True)):
        raise RefusedError("output_padding beyond what is cut off", "at most the end of pads")

    def emit(target: int) -> None:
        def write(made: int, size: Sequence[int]) -> None:
            full = ctx.shape_constant([value.shape[0], *size, channels])
            ctx.emit("TRANSPOSE_CONV", [full, filters, index, bias], [made], options)

        if same or whole == out:
            write(target, out)
            return
        inner = ctx.tensor(
            f"{op.name}/whole",
            (value.shape[0], *whole, channels),
            scales.dtype if scales is not None else "float32",
            scales,
        )
        write(inner, whole)
        begin = ctx.shape_constant([0, *window.begin, 0], "begin")
        sizes = ctx.shape_constant([value.shape[0], *out, channels], "size")
        ctx.emit("SLICE", [inner, begin, sizes], [target], {})

    _finish(ctx, op, shape, scales, emit)


@handles("MaxPool", "AveragePool")
def _pool(ctx: Context, op: Op) -> None:
    if len([name for name in op.outputs if name]) > 1:
        raise RefusedError("indices of the largest elements", "the first output alone")
    value, index, size = _source(ctx, ctx.value(op.inputs[0]))
    window = _window(op, op.attributes["kernel_shape"], value.shape[2:])
    if window.dilations != (1, 1):
        raise RefusedError("dilation", "none")
    shape = ctx.graph.shapes[op.outputs[0]]
    out = (1, shape[2]) if len(shape) == 3 else (shape[2], shape[3])
    largest = op.kind == "MaxPool"
    if window.sizes(size) != out:
        # With ceil_mode, the last window extends beyond the padding.
        end = tuple(
            max((o - 1) * s + k - n - b, e)
            for o, s, k, n, b, e in zip(
                out, window.strides, window.kernel, size, window.begin, window.end, strict=True
            )
        )
        if not largest:
            raise RefusedError("ceil_mode", "windows that fit without")
        window = replace(window, end=(end[0], end[1]))
    counted = bool(op.attributes.get("count_include_pad", 0))
    padding = "VALID"
    if window.padded:
        if window.same(size) and (largest or not counted):
            padding = "SAME"
        elif largest or counted:
            fill = _LOWEST if largest else 0.0
            index, size = _padded(ctx, value, index, size, window, fill)
        else:
            raise RefusedError(
                "padding that is not counted and no SAME", "count_include_pad=1, or SAME padding"
            )
    operator = "MAX_POOL_2D" if largest else "AVERAGE_POOL_2D"
    options = _options(window, padding, op)
    options.update(filter_height=window.kernel[0], filter_width=window.kernel[1])
    _finish(ctx, op, shape, value.scales, lambda out: ctx.emit(operator, [index], [out], options))


@handles("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(ctx: Context, op: Op) -> None:
    (value,), scales = ctx.operands(op)
    value = ctx.arranged(value, channels_last(value.rank))
    axes = [*range(1, value.rank - 1)]
    largest = op.kind == "GlobalMaxPool"
    shape = ctx.graph.shapes[op.outputs[0]]
    made = ctx.result(op.outputs[0], shape, value.order, value.scales if largest else scales)
    operator = "REDUCE_MAX" if largest else "MEAN"
    ctx.emit(
        operator, [value.index, ctx.shape_constant(axes, "axes")], [made.index], {"keep_dims": True}
    )
    ctx.finish(op, made)
