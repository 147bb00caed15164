"""CONV_2D and FULLY_CONNECTED whose blocks of zeros are omitted, for all kernel families.

A family states its tile, its costs and the layout of its stream; the choice of the chunk, the
estimate and the function are the same for all. Layers with several pixels read packed patches like
those of `product_pairs`, and layers with one pixel the kernel of ``tvmtiny_blocks.h``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation
from tvmtiny.schedule.matrix_layer import Layer, plain_layer, plain_scaling
from tvmtiny.schedule.product_blocks import (
    BLOCK,
    BLOCK_CHUNKS,
    LEAST_GAIN,
    has_blocks,
    pack_blocks,
    stored_blocks,
)
from tvmtiny.schedule.product_chunks import ChunkPart, by_chunk, cheapest, provable
from tvmtiny.schedule.product_pairs import pairs_function
from tvmtiny.schedule.scaling import Scaling

#: Estimates instructions and bytes of code of a layer.
Estimate = Callable[[Layer, Decisions], tuple[float, float]]
#: Implements a layer; returns None if the decisions do not fit.
Implement = Callable[[Node, Layer, Scaling, Decisions], Implementation | None]

#: Channels of a block of the kernel for one pixel.
_PAIR = 2


@dataclass(frozen=True)
class SparsePairs:
    """The kernels ``TVMTINY_<FAMILY>_SPARSE`` of a family.

    Attributes
    ----------
    family, headers
        See `tvmtiny.schedule.product_pairs.pairs_function`.
    tile
        Channels of a block.
    block
        Instructions of a block by the length of its chunks and the number of pixels.
    step
        Instructions to find a block and to go on.
    channel
        Instructions around the blocks of a channel by the number of pixels.
    frame, code
        Bytes of code around a block, and bytes of an instruction.
    packing
        Instructions that pack an input of a pixel.
    pack
        Returns the stream of all channels for chunks of a length.
    """

    family: str
    headers: tuple[str, ...]
    tile: int
    block: Callable[[int, int], float]
    step: float
    channel: Callable[[int], float]
    frame: float
    code: float
    packing: float
    pack: Callable[[np.ndarray, Scaling, int], np.ndarray]

    def applies(self, layer: Layer) -> bool:
        """Return whether enough blocks of the layer are zero."""
        return has_blocks(layer, self.tile)

    def _part(self, layer: Layer, decisions: Decisions) -> ChunkPart:
        """Return the chunk with the fewest instructions that is proven for all channels."""

        def cost(chunk: int) -> float:
            return np.inf if BLOCK % chunk else self.block(chunk, 4)

        longest = min(int(decisions["chunk"]), max(BLOCK_CHUNKS))
        ((chunk, channels),) = by_chunk(layer, provable, longest, 1, cost).items()
        return ChunkPart(chunk, (), channels)

    def estimate(self, layer: Layer, decisions: Decisions) -> tuple[float, float]:
        """Estimate instructions, and bytes of assembly less those that weights save."""
        pixels, blocks = int(decisions["pixels"]), stored_blocks(layer, self.tile)
        block = self.block(self._part(layer, decisions).chunk, pixels)
        instructions = blocks * (block + self.step) + layer.channels * self.channel(pixels)
        stored = blocks * (1 + self.tile * BLOCK)
        code = self.frame + self.code * block + stored - layer.weights.size
        steps = -(-layer.pixels // pixels)
        return steps * (instructions + self.packing * pixels * layer.depth), code

    def implement(
        self, node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
    ) -> Implementation | None:
        """Implement the layer by steps of pixels; None if it has fewer or is not sparse."""
        pixels = int(decisions["pixels"])
        if layer.pixels < pixels or not self.applies(layer):
            return None
        part = self._part(layer, decisions)
        stream = self.pack(layer.weights, scaling, part.chunk)
        function = pairs_function(
            node,
            layer,
            scaling,
            pixels,
            [part],
            [stream.size],
            family=self.family,
            headers=self.headers,
            kernel="sparse",
        )
        instructions = round(self.estimate(layer, decisions)[0])
        return Implementation(function, (node.input(0), stream), decisions, instructions)


@dataclass(frozen=True)
class SparseSingle:
    """The kernel of ``tvmtiny_blocks.h`` with the requantization of a family.

    Attributes
    ----------
    family, headers
        See `tvmtiny.schedule.product_pairs.pairs_function`.
    block, channel
        Instructions of a block, and around the blocks of a channel.
    code
        Bytes of code.
    """

    family: str
    headers: Sequence[str]
    block: float
    channel: float
    code: float

    def applies(self, layer: Layer) -> bool:
        """Return whether the layer reads single pixels and enough of its blocks are zero."""
        return layer.geometry is None and has_blocks(layer, _PAIR)

    def estimate(self, layer: Layer, decisions: Decisions) -> tuple[float, float]:
        """Estimate instructions, and bytes of code less those that weights save."""
        blocks = stored_blocks(layer, _PAIR)
        instructions = blocks * self.block + layer.channels * self.channel
        stored = blocks * (1 + _PAIR * BLOCK)
        return layer.pixels * instructions, self.code + stored - layer.weights.size

    def implement(
        self, node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
    ) -> Implementation | None:
        """Implement the layer pixel by pixel without a workspace; None if it is not sparse."""
        if not self.applies(layer):
            return None
        packed = pack_blocks(layer.weights, scaling)
        rounding = "SIGNED" if scaling.signed else "PLAIN"
        sizes = (layer.channels, stored_blocks(layer, _PAIR), scaling.shift)
        name = f"{self.family}_blocks_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        arguments = [f"tvmtiny_{self.family}_output", *map(str, sizes)]
        arguments.append(f"TVMTINY_{self.family.upper()}_{rounding}")
        x = nest.buffer("x", node.input(0).elements, "int8")
        stream = nest.buffer("stream", packed.size, "int32")
        out = nest.buffer("out", node.output.elements, "int8")

        def pixel(position: nest.Argument) -> list[tirx.Stmt]:
            call = nest.call(
                name,
                nest.address(x, position * layer.depth),
                nest.address(stream),
                nest.address(out, position * layer.channels),
            )
            return [call]

        by_sign = ", rounding by sign" if scaling.signed else ""
        function = nest.function(
            [x, stream, out],
            [],
            [nest.loop(layer.pixels, "pixel", pixel)],
            operator=node.operator,
            schedule=f"{self.family}, blocks of a pixel{by_sign}",
            headers=self.headers,
            preamble=[f"TVMTINY_BLOCKS({name}, {', '.join(arguments)})"],
        )
        instructions = round(self.estimate(layer, decisions)[0])
        return Implementation(function, (node.input(0), packed), decisions, instructions)


@dataclass(frozen=True)
class ProductKernels:
    """The kernels of a family for all weights and for blocks of zeros, and the choice of one.

    Attributes
    ----------
    pairs, single
        Kernels that skip blocks.
    pairs_sketch, single_sketch
        Names of their sketches.
    dense
        The other kernels by sketch.
    """

    pairs: SparsePairs
    single: SparseSingle
    pairs_sketch: str
    single_sketch: str
    dense: Mapping[str, tuple[Estimate, Implement]]

    def _find(self, decisions: Decisions) -> tuple[Estimate, Implement]:
        sketch = str(decisions["sketch"])
        if sketch == self.pairs_sketch:
            return self.pairs.estimate, self.pairs.implement
        if sketch == self.single_sketch:
            return self.single.estimate, self.single.implement
        return self.dense[sketch]

    def implement(
        self, node: Node, oracle: Oracle, decide: Callable[[Layer], Decisions | None]
    ) -> Implementation | None:
        """Implement a layer by the decisions that `decide` returns.

        None if there are no decisions, or the kernels do not apply or are not proven exact.
        """
        layer = plain_layer(node)
        if layer is None:
            return None
        chosen, scaling = decide(layer), plain_scaling(node, oracle)
        if chosen is None or scaling is None:
            return None
        return self._find(chosen)[1](node, layer, scaling, chosen)

    def decide(
        self, layer: Layer, candidates: Sequence[Decisions], pixels: int | None, goal: Goal
    ) -> Decisions:
        """Return the cheapest of dense `candidates` and of kernels that skip blocks.

        Parameters
        ----------
        pixels
            Pixels of a step of the kernels that skip blocks; None for layers of single pixels.
        """
        costs = [self._find(chosen)[0](layer, chosen) for chosen in candidates]
        skipping: Decisions = {"sketch": self.single_sketch}
        if pixels is not None:
            chunk = max(BLOCK_CHUNKS)
            skipping = {"sketch": self.pairs_sketch, "pixels": pixels, "chunk": chunk}
        if (self.single if pixels is None else self.pairs).applies(layer):
            cost = self._find(skipping)[0](layer, skipping)
            if cost[0] < (1 - LEAST_GAIN) * min(instructions for instructions, _ in costs):
                candidates, costs = [*candidates, skipping], [*costs, cost]
        return cheapest(candidates, costs, layer, goal)

    def skips_pixels(self, node: Node) -> bool:
        """Return whether blocks of zeros of a layer that reads pixels can be skipped."""
        layer = plain_layer(node)
        return layer is not None and self.single.applies(layer)

    def smaller(self, node: Node, decisions: Decisions, fewest: int) -> Iterator[Decisions]:
        """Yield decisions of kernels that skip blocks with `fewest` packed pixels, or with none."""
        if decisions["sketch"] != self.pairs_sketch:
            return
        if int(decisions["pixels"]) > fewest:
            yield {**decisions, "pixels": fewest}
        if self.skips_pixels(node):
            yield {"sketch": self.single_sketch}
