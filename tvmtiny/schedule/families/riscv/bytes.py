"""Layers that read single pixels, with weights of a byte: ``tvmtiny_riscv_bytes.h``."""

from __future__ import annotations

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.riscv.packing import BYTES_TILE, fill_tiles, pack_bytes
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer, split_groups
from tvmtiny.schedule.requantize import Scaling

HEADERS = ("tvmtiny_riscv.h", "tvmtiny_riscv_bytes.h")

#: Of an input of a tile; instructions around a tile, and bytes of code around the inputs.
_INPUT, _TILE, _FRAME = 25, 150, 500


def estimate_bytes(layer: Layer, decisions: Decisions) -> tuple[float, float]:
    """Instructions, and bytes of code in assembly."""
    first, unroll, turns = split_groups(layer.depth, int(decisions["unroll"]))
    tiles = -(-layer.channels // BYTES_TILE)
    instructions = tiles * (_INPUT * layer.depth + _TILE + 3 * turns)
    code = _FRAME + 3.5 * _INPUT * (first + unroll)
    return float(layer.pixels * instructions), code


def implement_bytes(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """The layer pixel by pixel, without a workspace; None where a patch is no pixel."""
    if layer.geometry is not None:
        return None
    channels = fill_tiles({1: list(range(layer.channels))}, BYTES_TILE)[1]
    constants = pack_bytes(layer.weights, scaling, channels)
    counts = split_groups(layer.depth, int(decisions["unroll"]))
    sizes = ", ".join(map(str, (*counts, scaling.shift)))
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    by_sign = ", rounding by sign" * scaling.signed
    name = f"bytes_{sizes.replace(', ', '_')}_{rounding.lower()}"
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", constants.size, "int32")
    out = nest.buffer("out", node.output.elements, "int8")

    def pixel(position: nest.Argument) -> list[tirx.Stmt]:
        inputs = nest.address(x, position * layer.depth)
        outputs = nest.address(out, position * layer.channels)
        end = nest.address(stream, constants.size)
        return [nest.call(name, inputs, nest.address(stream), outputs, end)]

    function = nest.function(
        [x, stream, out],
        [],
        [nest.loop(layer.pixels, "pixel", pixel)],
        operator=node.operator,
        schedule=f"riscv, w8, unroll {counts[1] or counts[0]}{by_sign}",
        headers=HEADERS,
        preamble=[f"TVMTINY_RISCV_BYTES_OF({name}, {sizes}, {rounding})"],
    )
    instructions = round(estimate_bytes(layer, decisions)[0])
    return Implementation(function, (node.input(0), constants), decisions, instructions)
