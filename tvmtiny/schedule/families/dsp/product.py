"""BATCH_MATMUL around the tile kernels, with ``tvmtiny_dsp_product.h`` for the right operand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle, Tensor
from tvmtiny.ops.batch_matmul import adjoint_operands, product_multiplier
from tvmtiny.ops.shared.output_rounding import TwoRoundings
from tvmtiny.ops.shared.quantization import INT8_RANGE
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.int32_sums import HEADERS as SUMS_HEADERS
from tvmtiny.schedule.families.dsp.int32_sums import split_depth, sums_kernel
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import split_groups
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.requantize import solve
from tvmtiny.schedule.scaling import Scaling

HEADERS = (*SUMS_HEADERS, "tvmtiny_dsp_finish.h", "tvmtiny_dsp_product.h")

#: The factor of the left operand.
_GAIN = 256

#: Columns that are packed at a time, by goal, and the choices of a tuner; 0 means all.
_COLUMNS = {Goal.SPEED: 0, Goal.BALANCED: 32, Goal.SIZE: 32}
_COLUMN_CHOICES = (0, 64, 32, 16, 8)

#: The limit on unrolled groups, by goal, and the choices of a tuner.
_UNROLL = {Goal.SPEED: 16, Goal.BALANCED: 8, Goal.SIZE: 4}
_UNROLLS = (4, 8, 16)


#: Instructions per packed number, per expanded group, and per output.
_PACKING, _EXPANSION, _EPILOGUE = 5, 6, 6


def product_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """Sketches of a BATCH_MATMUL."""
    shape = _Shape.of(node)
    tiles = [] if shape is None else _tiles(shape, _scale(node) is None)
    if shape is None or not tiles:
        return ()
    columns = sorted({n for n in _COLUMN_CHOICES if n < shape.columns and (n == 0 or n >= 4)})
    decisions = (
        Decision("tile", tuple(tile.shape for tile in tiles)),
        Decision("columns", tuple(columns)),
        Decision("unroll", _UNROLLS),
    )
    return (Sketch("product", decisions),)


def smaller_product(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with fewer columns at a time, the largest number first."""
    shape = _Shape.of(node)
    assert shape is not None
    for columns in _COLUMN_CHOICES:
        if 0 < columns < (int(decisions["columns"]) or shape.columns):
            yield {**decisions, "columns": columns}


def implement_product(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement BATCH_MATMUL in int8.

    None if the left operand is transposed, or for single columns.
    """
    shape = _Shape.of(node)
    scaling = _scale(node) if shape is not None else None
    tiles = [] if shape is None else _tiles(shape, scaling is None)
    if shape is None or not tiles:
        return None
    chosen = dict(decisions) if decisions else _decide(shape, tiles, goal)
    tile = next((t for t in tiles if t.shape == chosen["tile"]), None)
    if tile is None:
        return None
    product = _Product(node, shape, tile, scaling, chosen)
    arguments: tuple[Tensor | np.ndarray, ...] = (node.input(0), node.input(1))
    if scaling is None:
        arguments = (*arguments, np.array(product_multiplier(node), np.int32))
    return Implementation(product.function(), arguments, chosen, product.instructions)


@dataclass(frozen=True)
class _Shape:
    """Sizes of one product, and distances between elements of the right operand."""

    rows: int
    depth: int
    columns: int
    along: int
    across: int

    @staticmethod
    def of(node: Node) -> _Shape | None:
        """The product of a node; None if the left operand is transposed."""
        left, right = adjoint_operands(node)
        rows, depth = node.input(0).shape[-2:]
        columns = node.output.shape[-1]
        if left or not min(rows, depth, columns, node.output.elements):
            return None
        along, across = (1, depth) if right else (columns, 1)
        return _Shape(rows, depth, columns, along, across)


def _tiles(shape: _Shape, sums: bool) -> list[packing.TileShape]:
    most = packing.MOST_SUMS_PITCH if sums else packing.MOST_PITCH
    return [
        tile
        for tile in packing.TILES.values()
        if not tile.direct
        and tile.pixels <= shape.rows
        and tile.channels <= shape.columns
        and (tile.pixels == 1 or tile.pixels * shape.columns <= most)
    ]


def _decide(shape: _Shape, tiles: Sequence[packing.TileShape], goal: Goal) -> dict[str, int | str]:
    """The default rule: the tile with the fewest cycles."""

    def cost(tile: packing.TileShape) -> int:
        steps = -(-shape.rows // tile.pixels) * -(-shape.columns // tile.channels)
        outputs = tile.pixels * tile.channels
        return steps * (packing.groups(shape.depth) * tile.cycles["w16"] + 20 + 3 * outputs)

    columns = _COLUMNS[goal] if _COLUMNS[goal] < shape.columns else 0
    tile = min(tiles, key=cost)
    return {"sketch": "product", "tile": tile.shape, "columns": columns, "unroll": _UNROLL[goal]}


def _reach(node: Node, depth: int) -> tuple[int, int]:
    """The smallest and the largest sum of `depth` products."""
    ends = [[end - node.input(i).zero_point for end in INT8_RANGE] for i in range(2)]
    products = [a * b for a in ends[0] for b in ends[1]]
    return depth * min(*products, 0), depth * max(*products, 0)


@per_node
def _scale(node: Node) -> Scaling | None:
    """Constants of all outputs; None if none are exact."""
    multiplier, shift = product_multiplier(node)
    rounding = TwoRoundings(
        node.output.zero_point, INT8_RANGE, np.array([multiplier]), np.array([shift])
    )
    low, high = _reach(node, node.input(0).shape[-1])
    if shift > 0:
        return None
    return solve(
        lambda acc: rounding(acc.T).T,
        rounding.scales,
        (np.array([low]), np.array([high])),
        np.array([0]),
        gain=_GAIN,
        identity=rounding.identity,
    )


class _Product:
    """The loops over batches, blocks of columns, and steps of rows."""

    def __init__(
        self,
        node: Node,
        shape: _Shape,
        tile: packing.TileShape,
        scaling: Scaling | None,
        decisions: Decisions,
    ) -> None:
        self._node, self._shape, self._tile, self._scaling = node, shape, tile, scaling
        self._decisions = decisions
        self._block = int(decisions["columns"]) or shape.columns
        #: The first column of each block; the last block may overlap the previous one.
        self._blocks = -(-shape.columns // self._block)
        self._steps = -(-shape.rows // tile.pixels)
        count = packing.groups(shape.depth)
        self._chunks = [(0, count)]
        if scaling is None:
            low, high = _reach(node, packing.GROUP)
            most = (2**31 - 1) // (_GAIN * max(-low, high))
            self._chunks = split_depth(count, most)
        self._preamble: list[str] = []
        self._batches = prod(node.output.shape[:-2])

    @property
    def instructions(self) -> int:
        """A rough estimate of the instructions."""
        shape, tile = self._shape, self._tile
        count = packing.groups(shape.depth)
        tiles = self._steps * -(-shape.columns // tile.channels)
        each = count * tile.instructions["w16"] + _EPILOGUE * tile.pixels * tile.channels
        packed = shape.depth * shape.columns * _PACKING
        expanded = self._blocks * shape.rows * count * _EXPANSION
        return self._batches * (tiles * each + packed + expanded)

    def function(self) -> tirx.PrimFunc:
        """Build the whole function."""
        node, shape, tile = self._node, self._shape, self._tile
        a = nest.buffer("a", node.input(0).elements, "int8")
        b = nest.buffer("b", node.input(1).elements, "int8")
        out = nest.buffer("out", node.output.elements, "int8")
        tiles = -(-self._block // tile.channels)
        streams = [tiles * tile.channels * self._words(groups) for _, groups in self._chunks]
        stream = nest.buffer("stream", sum(streams), "int32")
        most = max(groups for _, groups in self._chunks)
        patches = nest.buffer("patches", 2 * most * tile.pixels, "uint32")
        stride = tile.pixels * self._block
        sums = nest.buffer("sums", len(self._chunks) * stride, "int32")
        packs = [self._pack(first, groups) for first, groups in self._chunks]
        kernels = [self._kernel(groups) for _, groups in self._chunks]
        finish = self._finish(stride) if self._scaling is None else ""
        # If tiles do not divide the columns, the last tile overlaps the previous one.
        whole = self._block - self._block % tile.channels
        factors = nest.buffer("factors", 2, "int32")

        def one_product(left: nest.Argument, right: nest.Argument, to: nest.Argument) -> tirx.Stmt:
            return nest.loop(self._blocks, "block", lambda index: one_block(left, right, to, index))

        def one_block(
            left: nest.Argument, right: nest.Argument, to: nest.Argument, index: nest.Argument
        ) -> list[tirx.Stmt]:
            column = index * self._block
            if shape.columns % self._block:
                column = tirx.min(column, shape.columns - self._block)
            calls = []
            for number, (first, _) in enumerate(self._chunks):
                start = right + column * shape.across + first * packing.GROUP * shape.along
                target = nest.address(stream, sum(streams[:number]))
                calls.append(nest.call(packs[number], nest.address(b, start), target))

            def step(row: nest.Argument) -> list[tirx.Stmt]:
                position = row * tile.pixels
                if shape.rows % tile.pixels:
                    position = tirx.min(position, shape.rows - tile.pixels)
                return rows(left + position * shape.depth, to + position * shape.columns + column)

            return [*calls, nest.loop(self._steps, "step", step)]

        def rows(source: nest.Argument, to: nest.Argument) -> list[tirx.Stmt]:
            calls: list[tirx.Stmt] = []
            for number, (first, groups) in enumerate(self._chunks):
                start = first * packing.GROUP
                depth = min(shape.depth - start, groups * packing.GROUP)
                calls.append(nest.loop(tile.pixels, "lane", expand(source + start, depth)))
                word, words = sum(streams[:number]), streams[number]
                split = words * whole // (tiles * tile.channels)
                parts = [(0, split, 0)]
                if whole < self._block:
                    parts.append((split, words, self._block - tile.channels))
                for begin, end, channel in parts:
                    target = nest.address(out, to + channel)
                    if self._scaling is None:
                        target = nest.address(sums, number * stride + channel)
                    calls.append(
                        nest.call(
                            kernels[number],
                            nest.address(patches),
                            nest.address(stream, word + begin),
                            target,
                            nest.address(stream, word + end),
                        )
                    )
            if self._scaling is None:
                calls.append(nest.loop(tile.pixels, "lane", finished(source, to)))
            return calls

        def expand(source: nest.Argument, depth: int) -> Callable[[nest.Argument], list[tirx.Stmt]]:
            return lambda lane: [
                nest.call(
                    "tvmtiny_expand_any_x256",
                    nest.address(patches, lane),
                    nest.address(a, source + lane * shape.depth),
                    depth,
                    tile.pixels,
                )
            ]

        def finished(
            source: nest.Argument, to: nest.Argument
        ) -> Callable[[nest.Argument], list[tirx.Stmt]]:
            return lambda lane: [
                nest.call(
                    finish,
                    nest.address(a, source),
                    nest.address(sums, lane * self._block),
                    nest.address(factors),
                    nest.address(out, to + lane * shape.columns),
                )
            ]

        loops = self._over_batches(one_product)
        exact = self._scaling is not None
        signed = ", rounding by sign" if self._scaling is not None and self._scaling.signed else ""
        parts = "" if exact else f", sums in {len(self._chunks)} parts"
        return nest.function(
            [a, b, out] if exact else [a, b, factors, out],
            [stream, patches] if exact else [stream, patches, sums],
            [loops],
            operator=node.operator,
            schedule=f"dsp, tile {tile.name}, {self._block} columns at a time, "
            f"unroll {self._decisions['unroll']}{signed}{parts}",
            headers=HEADERS,
            preamble=list(dict.fromkeys(self._preamble)),
            overlaps=self._overlaps(),
        )

    def _words(self, groups: int) -> int:
        """Number of words of a channel in the stream of a chunk."""
        constants = 0 if self._scaling is None else 3 if self._scaling.signed else 1
        return 1 + 2 * groups + constants

    def _pack(self, first: int, groups: int) -> str:
        """The name of the function that packs a chunk of a block."""
        shape, node = self._shape, self._node
        depth = min(shape.depth - first * packing.GROUP, groups * packing.GROUP)
        constants = [0, 0, 0, 0, 0]
        if self._scaling is not None:
            scaling = self._scaling
            constants = [int(scaling.initial[0]), 1, int(scaling.multiplier[0]), 0, 0]
            if scaling.offset is not None and scaling.step is not None:
                constants[1:] = [3, constants[2], int(scaling.offset[0]), int(scaling.step[0])]
        zeros = [node.input(1).zero_point, node.input(0).zero_point]
        sizes = [shape.along, shape.across, depth, self._block, self._tile.channels]
        name, arguments = nest.macro_arguments("pack_columns", [*sizes, *zeros, *constants])
        self._preamble.append(f"TVMTINY_PACK_COLUMNS({name}, {arguments})")
        return name

    def _kernel(self, groups: int) -> str:
        """The name of the tile kernel of a chunk."""
        tile, unroll = self._tile, int(self._decisions["unroll"])
        if self._scaling is None:
            name, line = sums_kernel(self._block, groups, tile, "w16", unroll)
            self._preamble.append(line)
            return name
        shift, rounding = self._scaling.shift, "SIGNED" if self._scaling.signed else "PLAIN"
        sizes = (*split_groups(groups, unroll), shift, self._shape.columns)
        name = f"tile_{tile.name}_w16_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        arguments = ", ".join(map(str, (*sizes, 8 * groups * tile.pixels)))
        macro = f"TVMTINY_TILE_{tile.name.upper()}_W16"
        self._preamble.append(f"{macro}({name}, {arguments}, {rounding})")
        return name

    def _finish(self, stride: int) -> str:
        """The name of the function that scales a row of sums."""
        sizes = [0, self._block, len(self._chunks), stride, 0, 0]
        sizes += [self._node.output.zero_point, *INT8_RANGE]
        name, arguments = nest.macro_arguments(
            "finish", ["TVMTINY_FINISH_TWICE", "int32_t", *sizes]
        )
        self._preamble.append(f"TVMTINY_FINISH({name}, {arguments})")
        return name

    def _strides(self, operand: int) -> list[int]:
        """Elements between products along each leading dimension of the output."""
        dimensions = self._node.output.shape[:-2]
        given = self._node.input(operand).shape
        given = (*(1 for _ in range(len(dimensions) + 2 - len(given))), *given)
        return [0 if given[i] == 1 else prod(given[i + 1 :]) for i in range(len(dimensions))]

    def _over_batches(
        self, product: Callable[[nest.Argument, nest.Argument, nest.Argument], tirx.Stmt]
    ) -> tirx.Stmt:
        """Loops over the leading dimensions."""
        dimensions = self._node.output.shape[:-2]
        strides = [self._strides(0), self._strides(1)]
        matrix = self._shape.rows * self._shape.columns
        strides.append([prod(dimensions[i + 1 :]) * matrix for i in range(len(dimensions))])

        def nested(level: int, starts: list[nest.Argument]) -> tirx.Stmt:
            if level == len(dimensions):
                return product(*starts)
            return nest.loop(
                dimensions[level],
                f"batch{level}",
                lambda index: [
                    nested(
                        level + 1,
                        [
                            start + index * stride[level] if stride[level] else start
                            for start, stride in zip(starts, strides, strict=True)
                        ],
                    )
                ],
            )

        return nested(0, [0, 0, 0])

    def _overlaps(self) -> list[Overlap]:
        """The overlap that the order of steps allows: each step reads its rows before it writes."""
        shape, node, pixels = self._shape, self._node, self._tile.pixels
        reads = [np.full(node.input(i).elements, -1) for i in range(2)]
        writes = np.full(node.output.elements, np.iinfo(np.int64).max)
        strides = [self._strides(0), self._strides(1)]
        rows = np.minimum(np.arange(self._steps) * pixels, shape.rows - pixels)
        depth, time = np.arange(shape.depth), 0
        for number, batch in enumerate(np.ndindex(node.output.shape[:-2])):
            left, right = (int(np.dot(batch, stride)) if stride else 0 for stride in strides)
            for block in range(self._blocks):
                column = min(block * self._block, shape.columns - self._block)
                columns = np.arange(column, column + self._block)
                packed = right + columns[:, None] * shape.across + depth * shape.along
                reads[1][packed.ravel()] = time
                for row in rows:
                    time += 1
                    start = left + row * shape.depth
                    reads[0][start : start + pixels * shape.depth] = time
                    lines = (number * shape.rows + np.arange(row, row + pixels)) * shape.columns
                    written = (lines[:, None] + columns).ravel()
                    writes[written] = np.minimum(writes[written], time)
                time += 1
        return [Overlap("out", i, smallest_distance(read, writes)) for i, read in enumerate(reads)]
