"""CONV_2D and FULLY_CONNECTED around the kernels of ``tvmtiny_dsp_sums.h``.

These kernels are for layers whose outputs two instructions cannot scale exactly. The tiles store
sums, which a slower epilogue scales as the oracle does. Long sums are composed of several shorter
sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.output_rounding import DoubleProduct, OneRounding, TwoRoundings
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.int32_sums import HEADERS as SUMS_HEADERS
from tvmtiny.schedule.families.dsp.int32_sums import Chunk, SumsTile, pack_sums
from tvmtiny.schedule.families.dsp.patches import Gather
from tvmtiny.schedule.implementation import Decisions, Implementation
from tvmtiny.schedule.matrix_layer import Layer, exact_rounding, patch_distance
from tvmtiny.schedule.overlap import Overlap

HEADERS = (*SUMS_HEADERS, "tvmtiny_double.h", "tvmtiny_dsp_finish.h")

#: Instructions that expand a group of one pixel, and instructions of one output's epilogue.
_EXPANSION = 7
_EPILOGUE = 30


def implement_sums(
    node: Node,
    layer: Layer,
    oracle: Oracle,
    shape: packing.TileShape,
    decisions: Decisions,
    weight_zero_point: int,
) -> Implementation | None:
    """Implement the layer with the oracle's own rounding; None if weights do not fit the format.

    Parameters
    ----------
    weight_zero_point
        The zero point that is subtracted from all weights.
    """
    bias = bias_values(node, layer.channels).astype(np.int64)
    weights = layer.weights.astype(np.int64)
    bias = bias - node.input(0).zero_point * (weights - weight_zero_point).sum(axis=1)
    unroll = int(decisions["unroll"])
    tile = pack_sums(weights, bias, shape, str(decisions["weights"]), unroll)
    if tile is None:
        return None
    scale, factors, each = _factors(node, oracle)
    function = _Function(node, layer, tile).build(scale, factors, each, weight_zero_point)
    count = packing.groups(layer.depth)
    steps = -(-layer.pixels // shape.pixels)
    tiles = steps * -(-layer.channels // shape.channels)
    each_tile = count * shape.instructions[tile.weight_format]
    expansion = 0 if shape.direct else steps * shape.pixels * count * _EXPANSION
    instructions = tiles * each_tile + expansion
    return Implementation(
        function,
        (node.input(0), tile.stream, factors),
        decisions,
        instructions + _EPILOGUE * node.output.elements,
    )


def _factors(node: Node, oracle: Oracle) -> tuple[str, np.ndarray, int]:
    """The kind of rounding, its factors, and the number of factors per channel."""
    rounding = exact_rounding(node, oracle)
    if isinstance(rounding, DoubleProduct):
        return "DOUBLE", rounding.factors, min(1, len(rounding.factors) - 1)
    assert isinstance(rounding, OneRounding | TwoRoundings)
    pairs = np.stack([rounding.multiplier, rounding.shift.astype(np.int32)], axis=1)
    kind = "ONCE" if isinstance(rounding, OneRounding) else "TWICE"
    return kind, pairs.astype(np.int32).ravel(), 2 if len(pairs) > 1 else 0


class _Function:
    """The loop over steps of a tile."""

    def __init__(self, node: Node, layer: Layer, tile: SumsTile) -> None:
        self._node, self._layer, self._tile = node, layer, tile
        self._pixels = tile.tile.pixels
        #: If a patch consists of consecutive inputs, each chunk is expanded separately.
        self._apart = layer.geometry is None
        most = max(chunk.groups for chunk in tile.chunks)
        groups = most if self._apart else packing.groups(layer.depth)
        self._x = nest.buffer("x", node.input(0).elements, "int8")
        self._stream = nest.buffer("stream", tile.stream.size, "int32")
        self._out = nest.buffer("out", node.output.elements, "int8")
        self._patches = nest.buffer("patches", 2 * groups * self._pixels, "uint32")
        sums = len(tile.chunks) * self._pixels * layer.channels
        self._sums = nest.buffer("sums", sums, "int32")

    def build(self, scale: str, factors: np.ndarray, each: int, zero: int) -> tirx.PrimFunc:
        node, layer, tile = self._node, self._layer, self._tile
        gather = Gather(node, layer, tile.tile, tile.weight_format)
        dtype = str(factors.dtype)
        constants = nest.buffer("factors", factors.size, dtype)
        sizes = [
            each,
            layer.channels,
            len(tile.chunks),
            self._pixels * layer.channels,
            zero,
            layer.depth,
        ]
        sizes += [node.output.zero_point, *activation_range(node)]
        kind = "double" if scale == "DOUBLE" else "int32_t"
        finish, arguments = nest.macro_arguments(
            "finish", [f"TVMTINY_FINISH_{scale}", kind, *sizes]
        )

        def step(index: nest.Argument) -> list[tirx.Stmt]:
            # If tiles do not divide the pixels, the last tile overlaps the previous one.
            position = index * self._pixels
            if layer.pixels % self._pixels:
                position = tirx.min(position, layer.pixels - self._pixels)
            calls = [] if self._apart else [gather.calls(self._x, position, 0, self._patches)]
            for number, chunk in enumerate(tile.chunks):
                calls += self._chunk(position, number, chunk)

            def lane(pixel: nest.Argument) -> Sequence[tirx.Stmt]:
                return [
                    nest.call(
                        finish,
                        nest.address(self._x, (position + pixel) * layer.depth),
                        nest.address(self._sums, pixel * layer.channels),
                        nest.address(constants),
                        nest.address(self._out, (position + pixel) * layer.channels),
                    )
                ]

            return [*calls, nest.loop(self._pixels, "lane", lane)]

        kernels = dict.fromkeys(chunk.preamble for chunk in tile.chunks)
        staging = (
            "no patches" if tile.tile.direct else "pixels" if self._apart else gather.description
        )
        return nest.function(
            [self._x, self._stream, constants, self._out],
            [self._sums] if tile.tile.direct else [self._patches, self._sums],
            [nest.loop(-(-layer.pixels // self._pixels), "step", step)],
            operator=node.operator,
            schedule=f"dsp, tile {tile.tile.name}, {tile.weight_format}, {staging}, sums in "
            f"{len(tile.chunks)} parts, rounded {scale.lower().replace('double', 'in double')}",
            headers=HEADERS if scale == "DOUBLE" else [h for h in HEADERS if "double" not in h],
            preamble=[*kernels, *gather.preamble, f"TVMTINY_FINISH({finish}, {arguments})"],
            overlaps=[Overlap("out", 0, patch_distance(node, layer, self._pixels))],
        )

    def _chunk(self, position: nest.Argument, number: int, chunk: Chunk) -> list[tirx.Stmt]:
        """Compute the sums of a chunk."""
        tile, layer = self._tile.tile, self._layer
        calls, patch = [], 2 * chunk.first * self._pixels
        source = nest.address(self._patches, patch)
        if tile.direct:
            start = chunk.first * packing.GROUP
            source = nest.address(self._x, position * layer.depth + start)
        elif self._apart:
            source = nest.address(self._patches)
            start = chunk.first * packing.GROUP
            depth = min(layer.depth - start, chunk.groups * packing.GROUP)

            def expand(lane: nest.Argument) -> Sequence[tirx.Stmt]:
                pixel = nest.address(self._x, (position + lane) * layer.depth + start)
                target = nest.address(self._patches, lane)
                name = f"tvmtiny_expand_{self._tile.weight_format}"
                return [nest.call(name, target, pixel, depth, self._pixels)]

            calls.append(nest.loop(self._pixels, "lane", expand))
        # If tiles do not divide the channels, the last tile overlaps the previous one.
        whole = layer.channels - layer.channels % tile.channels
        split = chunk.words * whole // len(packing.channel_order(layer.channels, tile))
        parts = [(0, split, 0)]
        if whole < layer.channels:
            parts.append((split, chunk.words, layer.channels - tile.channels))
        for start, end, channel in parts:
            calls.append(
                nest.call(
                    chunk.kernel,
                    source,
                    nest.address(self._stream, chunk.word + start),
                    nest.address(self._sums, number * self._pixels * layer.channels + channel),
                    nest.address(self._stream, chunk.word + end),
                )
            )
        return calls
