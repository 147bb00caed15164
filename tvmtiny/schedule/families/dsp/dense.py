"""FULLY_CONNECTED and 1x1 CONV_2D of one pixel around ``tvmtiny_dsp_dense.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.implementation import Implementation, Sketch
from tvmtiny.schedule.matrix_layer import Layer, patch_distance
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.requantize import Scaling

HEADERS = (
    "tvmtiny_dsp.h",
    "tvmtiny_dsp_patch.h",
    "tvmtiny_dsp_tile.h",
    "tvmtiny_dsp_sums.h",
    "tvmtiny_dsp_dense.h",
)

_TILE = packing.TileShape(1, 8, {"p8": 36}, {"p8": 34})

#: Inputs are expanded sixteen at a time. All inputs of a part are unrolled, at 34 bytes of code
#: each, and take two bytes of the stack each. Sums of short parts are loaded and stored too often.
_EXPANDED, _LEAST_INPUTS, _MOST_INPUTS = 16, 64, 128

#: Cycles on Cortex-M4 (Arm DDI 0439, 3.3.1) of an expansion, of a tile's constants and outputs, and
#: of a call; of a tile's sums around all parts, and in each part. Instructions of the same.
_CYCLES = (27, 59, 45, 28, 29)
_INSTRUCTIONS = (16, 55, 20, 15, 9)


def dense_sketches(layer: Layer | None) -> tuple[Sketch, ...]:
    """Sketches of a layer, which has no weight zero points."""
    return (Sketch("dense", ()),) if layer is not None and _part(layer) else ()


def dense_cycles(layer: Layer) -> int | None:
    """Estimated cycles on Cortex-M4; None if the kernel does not support the layer."""
    part = _part(layer)
    return None if part is None else _total(layer, part, _TILE.cycles, _CYCLES)


def implement_dense(node: Node, layer: Layer, scaling: Scaling) -> Implementation | None:
    """Implement the layer; None if the kernels do not support it."""
    part = _part(layer)
    if part is None or scaling.signed:
        return None
    parts, tiles = layer.depth // part, layer.channels // _TILE.channels
    stream = packing.pack_pairs(layer.weights, scaling, _TILE)
    ends = np.cumsum([4, *[2 * part] * parts, 12]).tolist()
    if parts > 1:
        rows = stream.reshape(tiles, -1)
        stream = np.concatenate([p.ravel() for p in np.split(rows, ends[:-1], axis=1)])
    x = nest.buffer("x", node.input(0).elements, "int8")
    weights = nest.buffer("stream", stream.size, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    sums = nest.buffer("sums", _TILE.channels * tiles, "int32")
    first, *middle, last = (
        (nest.address(weights, tiles * start), nest.address(weights, tiles * end))
        for start, end in zip([0, *ends], ends, strict=False)
    )
    if parts == 1:
        name = f"dense_{layer.depth}_{scaling.shift}"
        preamble = [f"TVMTINY_DENSE_1X8_P8({name}, {layer.depth}, {scaling.shift})"]
        calls = [nest.call(name, nest.address(x), first[0], nest.address(out), last[1])]
    else:
        name, finish = f"dense_part_{part}", f"dense_finish_{scaling.shift}"
        preamble = [
            f"TVMTINY_DENSE_PART({name}, {part})",
            f"TVMTINY_DENSE_FINISH({finish}, {scaling.shift})",
        ]
        calls = [nest.call("tvmtiny_dense_start", nest.address(sums), *first)]
        for number, (start, end) in enumerate(middle):
            source = nest.address(x, number * part)
            calls.append(nest.call(name, source, start, nest.address(sums), end))
        calls.append(nest.call(finish, nest.address(sums), last[0], nest.address(out), last[1]))
    function = nest.function(
        [x, weights, out],
        [sums] if parts > 1 else [],
        calls,
        operator=node.operator,
        schedule=f"dsp, tile {_TILE.name}, p8, inputs on the stack"
        + f", sums in {parts} parts" * (parts > 1),
        headers=HEADERS,
        preamble=preamble,
        overlaps=[Overlap("out", 0, patch_distance(node, layer, 1))],
    )
    return Implementation(
        function,
        (node.input(0), stream),
        {"sketch": "dense"},
        _total(layer, part, _TILE.instructions, _INSTRUCTIONS),
        cycles=_total(layer, part, _TILE.cycles, _CYCLES),
    )


def _part(layer: Layer) -> int | None:
    """The inputs of a part; None if the kernels do not support the layer."""
    if (
        layer.pixels > 1
        or layer.geometry is not None
        or layer.groups > 1
        or layer.channels % _TILE.channels
        or layer.depth % _EXPANDED
    ):
        return None
    if layer.depth <= _MOST_INPUTS:
        return layer.depth
    sizes = range(_MOST_INPUTS, _LEAST_INPUTS - 1, -_EXPANDED)
    return next((size for size in sizes if layer.depth % size == 0), None)


def _total(layer: Layer, part: int, group: dict[str, int], costs: tuple[int, ...]) -> int:
    expansion, around, call, sums, each = costs
    parts, calls = layer.depth // part, 1
    if parts > 1:
        around, calls = around + sums + parts * each, parts + 2
    tile = packing.groups(layer.depth) * group["p8"] + around
    tiles = layer.channels // _TILE.channels
    return tiles * tile + layer.depth // _EXPANDED * expansion + calls * call
