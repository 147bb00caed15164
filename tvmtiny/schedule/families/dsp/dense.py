"""FULLY_CONNECTED and 1x1 CONV_2D of one pixel around ``tvmtiny_dsp_dense.h``."""

from __future__ import annotations

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.implementation import Decisions, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import Layer, patch_distance
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_patch.h", "tvmtiny_dsp_tile.h", "tvmtiny_dsp_dense.h")

_TILE = packing.TileShape(1, 8, {"p8": 36}, {"p8": 34})

#: Inputs are expanded in parts of this size. All of them are unrolled, at 34 bytes of code each,
#: and take two bytes of the stack each.
_PART, _MOST_INPUTS = 16, 128

#: Cycles on Cortex-M4 (Arm DDI 0439, 3.3.1) of a part of the inputs, of a tile's constants and
#: outputs, and of a call; and instructions.
_EXPANSION, _AROUND, _CALL = 27, 59, 45
_EXPANSION_I, _AROUND_I, _CALL_I = 16, 55, 20


def dense_sketches(layer: Layer | None) -> tuple[Sketch, ...]:
    """Sketches of a layer, which has no weight zero points."""
    return (Sketch("dense", ()),) if layer is not None and _fits(layer) else ()


def dense_cycles(layer: Layer) -> int | None:
    """Estimated cycles on Cortex-M4; None if the kernel does not support the layer."""
    return _cycles(layer) if _fits(layer) else None


def implement_dense(node: Node, layer: Layer, scaling: Scaling) -> Implementation | None:
    """Implement the layer; None if the kernel does not support it."""
    if not _fits(layer) or scaling.signed:
        return None
    stream = packing.pack_pairs(layer.weights, scaling, _TILE)
    name = f"dense_{layer.depth}_{scaling.shift}"
    x = nest.buffer("x", node.input(0).elements, "int8")
    weights = nest.buffer("stream", stream.size, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    body = nest.call(
        name,
        nest.address(x),
        nest.address(weights),
        nest.address(out),
        nest.address(weights, stream.size),
    )
    function = nest.function(
        [x, weights, out],
        [],
        [body],
        operator=node.operator,
        schedule=f"dsp, tile {_TILE.name}, p8, inputs on the stack",
        headers=HEADERS,
        preamble=[f"TVMTINY_DENSE_1X8_P8({name}, {layer.depth}, {scaling.shift})"],
        overlaps=[Overlap("out", 0, patch_distance(node, layer, 1))],
    )
    instructions = _total(layer, _TILE.instructions, _EXPANSION_I, _AROUND_I, _CALL_I)
    decisions: Decisions = {"sketch": "dense"}
    return Implementation(
        function, (node.input(0), stream), decisions, instructions, cycles=_cycles(layer)
    )


def _fits(layer: Layer) -> bool:
    return (
        layer.pixels == 1
        and layer.geometry is None
        and layer.groups == 1
        and layer.channels % _TILE.channels == 0
        and layer.depth % _PART == 0
        and layer.depth <= _MOST_INPUTS
    )


def _cycles(layer: Layer) -> int:
    return _total(layer, _TILE.cycles, _EXPANSION, _AROUND, _CALL)


def _total(layer: Layer, group: dict[str, int], part: int, around: int, call: int) -> int:
    tiles = layer.channels // _TILE.channels
    each = packing.groups(layer.depth) * group["p8"] + around
    return tiles * each + layer.depth // _PART * part + call
