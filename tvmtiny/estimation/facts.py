"""What the cost of a layer depends on: its key in the calibrated tables, and amounts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod

from tvmtiny.codegen.lower import Kernel
from tvmtiny.estimation.walk import count
from tvmtiny.ops import Node, find_operator
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.schedule import Implementation
from tvmtiny.schedule.matrix_layer import split_groups

_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")

#: What a schedule's text says of sizes and unrolling.
_SIZES = re.compile(
    r"(unroll|shift|strips of|blocks of|sums in) [^,]*|, (tuned|\d+ columns at a time)"
)

#: Names in the instantiation of a micro-kernel: its own, and that of its macro.
_INSTANTIATION = re.compile(r"(\w+)\((\w+)")


def keys(node: Node, kernel: Kernel) -> Iterator[str]:
    """Keys of a layer in the tables, from the most to the least specific.

    Schedules count with the shape of their tile, but without sizes of blocks and unrolling.
    """
    schedule = _SIZES.sub(r"\1", kernel.schedule)
    family = schedule.split(",")[0]
    dtype = node.output.dtype
    yield f"{node.operator} {dtype} {schedule}"
    yield f"{node.operator} {dtype} {family}"
    yield family
    yield "any"


def amounts(node: Node, made: Implementation | None, kernel: Kernel) -> Mapping[str, float]:
    """How much of what a layer does; of features that costs are linear in."""
    found = {"one": 1.0, "outputs": float(node.output.elements)}
    reads = [t for t in node.inputs if t is not None and t.data is None]
    found["inputs"] = float(sum(t.elements for t in reads))
    operator = find_operator(node.operator)
    found["macs"] = float(0 if operator is None else operator.macs(node))
    names = {match[2]: match[1] for match in map(_INSTANTIATION.match, kernel.preamble) if match}
    assert kernel.lowered is not None
    for name, amount in count(kernel.lowered, names).items():
        found[name] = amount
    if node.operator in _POOLS:
        found.update(_pool(node))
    if made is not None:
        found["estimate"] = float(made.instructions)
        found.update(_matrix(node, made))
        found.update(_depthwise(node, made))
    return found


def entry_amounts(calls: int, interface: int) -> Mapping[str, float]:
    """Amounts of the run function, for so many calls of kernels, and inputs and outputs."""
    return {"one": 1.0, "calls": float(calls), "interface": float(interface)}


def _tile(made: Implementation) -> tuple[int, int, int] | None:
    """Pixels and channels of a tile, and inputs of a group, of the families' matrix kernels."""
    chosen = made.decisions
    shape = str(chosen.get("tile", ""))
    if re.fullmatch(r"\d+x\d+", shape):
        pixels, channels = map(int, shape.split("x"))
        return pixels, channels, 4
    sketch = chosen.get("sketch")
    if sketch == "pairs":
        return int(chosen["pixels"]), 1, 1
    if sketch == "quads":
        return 1, 4, 1
    if sketch == "single":
        return 1, int(chosen["tile"]), 1
    return None


def _matrix(node: Node, made: Implementation) -> dict[str, float]:
    tile = _tile(made)
    if tile is None or node.operator not in ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):
        return {}
    pixels, channels, group = tile
    shape = node.input(1).shape
    if node.operator == "DEPTHWISE_CONV_2D":
        parts, filters = node.input(0).shape[3], shape[3] // node.input(0).shape[3]
        depth = prod(shape[1:3])
    else:
        filters, depth, parts = shape[0], prod(shape[1:]), 1
        if node.operator == "CONV_2D":
            parts = node.input(0).shape[3] // shape[3]
            filters //= parts
    positions = node.output.elements // (filters * parts)
    steps = parts * -(-positions // pixels)
    tiles = steps * -(-filters // channels)
    groups = -(-depth // group)
    unroll = int(made.decisions.get("unroll", groups))
    if made.decisions["sketch"] in ("block", "gathered"):
        turns = groups // unroll if unroll < groups else 0
    else:
        turns = split_groups(groups, max(unroll, 2))[2]
    chunk = max(1, int(made.decisions.get("chunk", 1)))
    found = {
        "steps": float(steps),
        "tiles": float(tiles),
        "groups": float(tiles * groups),
        "turns": float(tiles * turns),
        "chunks": float(tiles * -(-depth // chunk)),
        "calls": float(steps * (1 + (filters % channels > 0))),
        "patches": float(steps * pixels),
        "expanded": float(steps * pixels * groups),
        "tails": float(steps * pixels * (depth % 4)),
    }
    if node.operator != "FULLY_CONNECTED":
        rows = shape[1]
        geometry = window(node, (shape[1], shape[2]))
        inside = prod(
            sum(
                i * stride - pad >= 0 and i * stride - pad + (kernel - 1) * dilation < size
                for i in range(count)
            )
            for count, stride, pad, kernel, size, dilation in zip(
                geometry.output,
                geometry.stride,
                geometry.pad,
                geometry.kernel,
                geometry.input,
                geometry.dilation,
                strict=True,
            )
        )
        share = 1 - inside / max(1, prod(geometry.output))
        edges = share * steps * pixels
        found["patch rows"] = float(steps * pixels * rows)
        found["edges"] = edges
        found["edge rows"] = edges * rows
        found["edge words"] = edges * depth / 4
        found["edge bytes"] = edges * rows * (shape[2] * shape[-1] % 4 > 0) * depth / rows
    return found


def _pool(node: Node) -> dict[str, float]:
    """What windows cover of the input."""
    options = node.options
    geometry = window(node, (int(options["filter_height"]), int(options["filter_width"])))
    covered = [
        [min(i * stride - pad + kernel, size) - max(i * stride - pad, 0) for i in range(count)]
        for count, stride, pad, kernel, size in zip(
            geometry.output,
            geometry.stride,
            geometry.pad,
            geometry.kernel,
            geometry.input,
            strict=True,
        )
    ]
    images, channels = node.input(0).shape[0], node.input(0).shape[3]
    windows = float(images * prod(geometry.output))
    rows = float(images * sum(covered[0]) * geometry.output[1])
    taps = float(images * sum(covered[0]) * sum(covered[1]))
    found = {"windows": windows, "window rows": rows, "window taps": taps}
    for name, amount in list(found.items()):
        found[f"{name} words"] = amount * -(-channels // 4)
    return found


def _depthwise(node: Node, made: Implementation) -> dict[str, float]:
    if node.operator != "DEPTHWISE_CONV_2D" or "tile" in made.decisions:
        return {}
    height, width, channels = node.input(1).shape[1:]
    geometry = window(node, (height, width))
    rows, columns = geometry.output
    chosen = made.decisions
    strip = int(chosen.get("rows", rows))
    strips = -(-rows // strip)
    pairs = (min(strip, rows) - 1) * geometry.stride[0] // 2 + height // 2 + 1
    images = node.input(0).shape[0]
    unroll = max(1, int(chosen.get("unroll", columns)))
    # Two rows at a time share what they read.
    every = 2 if geometry.stride[0] == 1 else 1
    row_pairs = (strips - 1) * -(-strip // every) + -(-(rows - (strips - 1) * strip) // every)
    pair_outputs = float(images * row_pairs * columns * channels)
    block = int(chosen.get("channel_block", 4))
    return {
        "channel rows": float(images * rows * channels),
        "row turns": float(images * rows * channels * (columns // unroll)),
        "strip channels": float(images * strips * channels),
        "packed": float(images * strips * channels * pairs * geometry.input[1]),
        "pack calls": float(images * strips * -(-channels // 4)),
        "pack rows": float(images * strips * -(-channels // 4) * pairs),
        "blocks": float(images * strips * -(-channels // block)),
        "taps": float(node.output.elements * height * width),
        "words": float(node.output.elements * width * (height // 2 + 1)),
        "columns": float(node.output.elements * width),
        "row pairs": float(images * row_pairs * channels),
        "pair outputs": pair_outputs,
        "pair columns": pair_outputs * width,
        "pair words": pair_outputs * width * (height // 2 + 1),
        "odd words": pair_outputs * width * ((height // 2 + 1) % 2),
        "packed edges": float(
            images * strips * channels * pairs * (sum(geometry.pad) + sum(geometry.pad_after))
        ),
    }
