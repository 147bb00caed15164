"""Convert operators that move values or select some of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tvmtiny.importers.onnx.context import Context, RefusedError, handles
from tvmtiny.importers.onnx.graph import Op
from tvmtiny.importers.onnx.values import Value, channels_last


@handles("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _reshape(ctx: Context, op: Op) -> None:
    shape = ctx.graph.shapes[op.outputs[0]]
    if min(shape, default=1) < 0:
        raise RefusedError("a shape that is computed when the model runs", "a constant shape")
    ctx.finish(op, ctx.reshaped(ctx.value(op.inputs[0]), shape))


@handles("Transpose")
def _transpose(ctx: Context, op: Op) -> None:
    value = ctx.value(op.inputs[0])
    value = ctx.ordered(value)
    axes = op.attributes.get("perm", [*range(value.rank)][::-1])
    order = tuple(axes.index(axis) for axis in value.order)
    shape = tuple(value.shape[axis] for axis in axes)
    ctx.finish(op, replace(value, shape=shape, order=order))


@handles("Concat")
def _concat(ctx: Context, op: Op) -> None:
    values, scales = ctx.operands(op)
    if scales is not None:
        values = [ctx.scaled(v, scales) for v in values]
    values = [ctx.ordered(v) for v in values]
    order = max(values, key=lambda v: (np.prod(v.shape), not v.plain)).order
    values = [ctx.arranged(v, order) for v in values]
    axis = order.index(int(op.attributes["axis"]) % len(order))
    shape = ctx.graph.shapes[op.outputs[0]]
    made = ctx.result(op.outputs[0], shape, order, scales, values[0].dtype)
    options = {"axis": axis, "fused_activation_function": "NONE"}
    ctx.emit("CONCATENATION", [v.index for v in values], [made.index], options)
    ctx.finish(op, made)


@handles("Split")
def _split(ctx: Context, op: Op) -> None:
    value = ctx.ordered(ctx.value(op.inputs[0]))
    axis = int(op.attributes.get("axis", 0)) % value.rank
    sizes = [ctx.graph.shapes[name][axis] for name in op.outputs]
    made = []
    for name, size in zip(op.outputs, sizes, strict=True):
        shape = [*value.shape]
        shape[axis] = size
        made.append(ctx.result(name, shape, value.order, value.scales, value.dtype))
    lengths = ctx.constant("sizes", np.array(sizes, np.int32))
    place = ctx.constant("axis", np.array(value.axis(axis), np.int32))
    ctx.emit(
        "SPLIT_V",
        [value.index, lengths, place],
        [v.index for v in made],
        {"num_splits": len(made)},
    )
    for position, part in enumerate(made):
        ctx.finish(op, part, position)


@handles("Slice")
def _slice(ctx: Context, op: Op) -> None:
    value = ctx.ordered(ctx.value(op.inputs[0]))
    starts = ctx.numbers(op, "starts", 1) or []
    ends = ctx.numbers(op, "ends", 2) or []
    axes = ctx.numbers(op, "axes", 3) or [*range(len(starts))]
    steps = ctx.numbers(op, "steps", 4) or [1] * len(starts)
    ranges = [range(size) for size in value.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        ranges[axis] = range(value.shape[axis])[start:end:step]
    shape = [len(r) for r in ranges]
    if min(shape, default=1) < 1:
        raise RefusedError("a result without elements", "at least one element")
    made = ctx.result(op.outputs[0], shape, value.order, value.scales, value.dtype)
    laid = [ranges[axis] for axis in value.order]
    if all(r.step == 1 for r in laid):
        begin = ctx.shape_constant([r.start for r in laid], "begin")
        size = ctx.shape_constant([len(r) for r in laid], "size")
        ctx.emit("SLICE", [value.index, begin, size], [made.index], {})
    else:
        # An end before the first element cannot be written as a number, as -1 is the last element.
        masks = sum(1 << i for i, r in enumerate(laid) if r.stop < 0)
        numbers = [
            ctx.shape_constant(n, name)
            for name, n in (
                ("begin", [r.start for r in laid]),
                ("end", [max(r.stop, 0) for r in laid]),
                ("strides", [r.step for r in laid]),
            )
        ]
        ctx.emit("STRIDED_SLICE", [value.index, *numbers], [made.index], {"end_mask": masks})
    ctx.finish(op, made)


@handles("Gather")
def _gather(ctx: Context, op: Op) -> None:
    value = ctx.ordered(ctx.value(op.inputs[0]))
    axis = int(op.attributes.get("axis", 0)) % value.rank
    indices = ctx.known(op.inputs[1])
    shape = ctx.graph.shapes[op.outputs[0]]
    if indices is not None:
        indices = np.where(indices < 0, indices + value.shape[axis], indices).astype(np.int32)
    if indices is not None and indices.ndim < 2:
        kept = [*value.shape]
        kept[axis] = indices.size
        made = ctx.result(op.outputs[0], kept, value.order, value.scales, value.dtype)
        place = value.axis(axis)
        if indices.size == 1:
            begin = [0] * len(kept)
            begin[place] = int(indices.reshape(-1)[0])
            numbers = [ctx.shape_constant(n) for n in (begin, made.physical)]
            ctx.emit("SLICE", [value.index, *numbers], [made.index], {})
        else:
            chosen = ctx.constant("indices", indices)
            ctx.emit("GATHER", [value.index, chosen], [made.index], {"axis": place})
        ctx.finish(op, ctx.reshaped(made, shape))
        return
    value = ctx.plain(value)
    if indices is not None:
        index = ctx.constant(op.inputs[1], indices)
    else:
        index = _int32(ctx, ctx.plain(ctx.value(op.inputs[1])))
    made = ctx.result(op.outputs[0], shape, tuple(range(len(shape))), value.scales, value.dtype)
    ctx.emit("GATHER", [value.index, index], [made.index], {"axis": axis})
    ctx.finish(op, made)


def _int32(ctx: Context, value: Value) -> int:
    if value.dtype == "int32":
        return value.index
    index = ctx.tensor(f"{value.name}/int32", value.physical, "int32")
    ctx.emit("CAST", [value.index], [index], {})
    return index


@handles("Pad")
def _pad(ctx: Context, op: Op) -> None:
    value = ctx.ordered(ctx.value(op.inputs[0]))
    pads = ctx.numbers(op, "pads", 1) or []
    axes = ctx.numbers(op, "axes", 3)
    mode = op.attributes.get("mode", b"constant").decode()
    chosen = [a % value.rank for a in axes] if axes is not None else [*range(value.rank)]
    amounts = np.zeros((value.rank, 2), np.int32)
    for position, axis in enumerate(chosen):
        amounts[axis] = pads[position], pads[position + len(chosen)]
    if amounts.min() < 0:
        raise RefusedError("negative padding", "padding of 0 or more")
    laid = np.ascontiguousarray(amounts[list(value.order)])
    shape = ctx.graph.shapes[op.outputs[0]]
    made = ctx.result(op.outputs[0], shape, value.order, value.scales, value.dtype)
    index = ctx.constant("pads", laid)
    if mode == "constant":
        fill = float((ctx.numbers(op, "value", 2) or [0.0])[0])
        if fill == 0:
            ctx.emit("PAD", [value.index, index], [made.index], {})
        else:
            number = _filling(ctx, value, fill)
            ctx.emit("PADV2", [value.index, index, number], [made.index], {})
    elif mode == "reflect":
        ctx.emit("MIRROR_PAD", [value.index, index], [made.index], {"mode": "REFLECT"})
    else:
        raise RefusedError(f"mode {mode}", "constant or reflect")
    ctx.finish(op, made)


def _filling(ctx: Context, value: Value, fill: float) -> int:
    if value.scales is None:
        return ctx.constant("fill", np.array(fill, value.dtype))
    limits = np.iinfo(value.dtype)
    step = np.rint(fill / value.scales.scales[0]) + value.scales.zero_points[0]
    number = np.array(np.clip(step, limits.min, limits.max), value.dtype)
    return ctx.constant("fill", number, value.scales)


@handles("Tile")
def _tile(ctx: Context, op: Op) -> None:
    value = ctx.ordered(ctx.value(op.inputs[0]))
    repeats = ctx.numbers(op, "repeats", 1) or []
    shape = ctx.graph.shapes[op.outputs[0]]
    made = ctx.result(op.outputs[0], shape, value.order, value.scales, value.dtype)
    laid = ctx.shape_constant([repeats[axis] for axis in value.order], "repeats")
    ctx.emit("TILE", [value.index, laid], [made.index], {})
    ctx.finish(op, made)


@handles("Expand")
def _expand(ctx: Context, op: Op) -> None:
    value = ctx.ordered(ctx.value(op.inputs[0]))
    shape = ctx.graph.shapes[op.outputs[0]]
    value = ctx.reshaped(value, (1,) * (len(shape) - value.rank) + value.shape)
    value = ctx.ordered(value)
    made = ctx.result(op.outputs[0], shape, value.order, value.scales, value.dtype)
    laid = ctx.shape_constant(made.physical)
    ctx.emit("BROADCAST_TO", [value.index, laid], [made.index], {})
    ctx.finish(op, made)


@handles("DepthToSpace", "SpaceToDepth")
def _blocks(ctx: Context, op: Op) -> None:
    value = ctx.arranged(ctx.value(op.inputs[0]), channels_last(4))
    mode = op.attributes.get("mode", b"DCR")
    if op.kind == "DepthToSpace" and mode != b"DCR":
        raise RefusedError("mode CRD", "DCR")
    shape = ctx.graph.shapes[op.outputs[0]]
    made = ctx.result(op.outputs[0], shape, value.order, value.scales, value.dtype)
    operator = "DEPTH_TO_SPACE" if op.kind == "DepthToSpace" else "SPACE_TO_DEPTH"
    options = {"block_size": int(op.attributes["blocksize"])}
    ctx.emit(operator, [value.index], [made.index], options)
    ctx.finish(op, made)


@handles("Resize", "Upsample")
def _resize(ctx: Context, op: Op) -> None:
    value = ctx.value(op.inputs[0])
    if value.rank != 4:
        raise RefusedError(f"data with {value.rank} dimensions", "4 dimensions")
    value = ctx.arranged(value, channels_last(4))
    shape = ctx.graph.shapes[op.outputs[0]]
    if shape[:2] != value.shape[:2]:
        raise RefusedError("another number of channels", "new heights and widths")
    default = b"asymmetric" if op.kind == "Upsample" else b"half_pixel"
    places = op.attributes.get("coordinate_transformation_mode", default).decode()
    mode = op.attributes.get("mode", b"nearest").decode()
    corners = places == "align_corners"
    halves = places in ("half_pixel", "pytorch_half_pixel")
    if not corners and not halves and places != "asymmetric":
        raise RefusedError(f"coordinates {places}", "half_pixel, align_corners or asymmetric")
    if mode == "nearest":
        rounding = op.attributes.get("nearest_mode", b"round_prefer_floor").decode()
        if op.kind == "Upsample":
            rounding = "floor"
        for size, new in zip(value.shape[2:], shape[2:], strict=True):
            if not _same_places(size, new, places, rounding):
                raise RefusedError(
                    f"{places} with nearest_mode {rounding} from {size} to {new}",
                    "asymmetric with floor, or a whole factor",
                )
        operator = "RESIZE_NEAREST_NEIGHBOR"
    elif mode == "linear":
        operator = "RESIZE_BILINEAR"
    else:
        raise RefusedError(f"mode {mode}", "nearest or linear")
    made = ctx.result(op.outputs[0], shape, value.order, value.scales, value.dtype)
    size = ctx.shape_constant(shape[2:], "size")
    options = {"align_corners": corners, "half_pixel_centers": halves}
    ctx.emit(operator, [value.index, size], [made.index], options)
    ctx.finish(op, made)


def _same_places(size: int, new: int, places: str, rounding: str) -> bool:
    """Whether ONNX and TFLite select the same elements."""
    i = np.arange(new, dtype=np.float64)
    if places == "align_corners":
        at = i * (size - 1) / max(new - 1, 1)
        lite = np.floor(at + 0.5)
    elif places == "asymmetric":
        at = i * size / new
        lite = np.floor(at)
    else:
        at = (i + 0.5) * size / new - 0.5
        lite = np.floor(at + 0.5)
    rounded = {
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
    }[rounding]
    return bool(np.array_equal(np.clip(rounded, 0, size - 1), np.clip(lite, 0, size - 1)))
