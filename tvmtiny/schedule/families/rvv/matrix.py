"""CONV_2D and FULLY_CONNECTED with the kernels of ``tvmtiny_rvv_sums.h``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule import nest
from tvmtiny.schedule.assembly import text
from tvmtiny.schedule.families.rvv import packing
from tvmtiny.schedule.families.rvv.sparse import (
    SKETCHES,
    decide_sparse,
    plan_of,
    smaller_sparse,
    sparse_sketches,
)
from tvmtiny.schedule.families.rvv.strips import (
    Strips,
    copied_first,
    lying,
    patch_of,
    rows_of_strips,
)
from tvmtiny.schedule.families.rvv.tile import Tile, best_pixels, tile_code
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import Layer, matrix_scaling, plain_layer
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.per_node import per_layer
from tvmtiny.schedule.scaling import Scaling
from tvmtiny.targets import Cpu

HEADERS = ("tvmtiny_rvv.h", "tvmtiny_rvv_sums.h")

#: Sources of patches: contiguous runs of inputs, windows of the input, windows of padded strips.
PIXELS, DIRECT, STRIP = "rvv_pixels", "rvv_direct", "rvv_strip"

#: Most inputs that are unrolled, by goal, and the numbers that a tuner may choose.
_UNROLL = {Goal.SPEED: 16, Goal.BALANCED: 8, Goal.SIZE: 2}
_UNROLLS = (2, 4, 8, 16)

#: The inputs of an iteration are copied if that takes at most this share of its instructions.
_STAGED_SHARE = 1 / 64

#: Most rows of strips that a tuner may choose.
_ROWS = 8


@per_layer
def _scaling(node: Node, oracle: Oracle) -> Scaling | None:
    return packing.usable(matrix_scaling(node, oracle, 0, packing.USABLE_SHIFTS))


def implement_matrix(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement a layer; return None if the kernel does not apply or is not proven exact."""
    layer = _layer(node)
    if layer is None:
        return None
    scaling = _scaling(node, oracle)
    if scaling is None:
        return None
    if decisions and decisions["sketch"] in SKETCHES:
        plan = plan_of(node, layer, scaling, decisions)
        return None if plan is None else plan.implementation()
    chosen = dict(decisions) if decisions else _decide(node, layer, scaling, goal)
    matrix = _Matrix(node, layer, scaling, chosen)
    made = matrix.implementation()
    if decisions:
        return made
    return decide_sparse(node, layer, scaling, goal, made, matrix.code_bytes) or made


def matrix_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the ways to compute a CONV_2D or FULLY_CONNECTED."""
    layer = _layer(node)
    if layer is None:
        return ()
    kind = _kind(layer)
    decisions = [Decision("unroll", _UNROLLS)]
    if kind == PIXELS:
        decisions.append(Decision("staged", (0, 1)))
    if kind == STRIP:
        assert layer.geometry is not None
        rows = tuple(n for n in rows_of_strips(layer.geometry) if n <= _ROWS)
        decisions.append(Decision("rows", rows))
    return (Sketch(kind, tuple(decisions)), *sparse_sketches(layer))


def smaller_matrix(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with smaller strips or steps, the largest first."""
    layer = _layer(node)
    if layer is not None and decisions["sketch"] in SKETCHES:
        yield from smaller_sparse(node, layer, decisions)
        yield _plain(layer, Goal.BALANCED)
    elif layer is not None and layer.geometry is not None and "rows" in decisions:
        for rows in reversed(rows_of_strips(layer.geometry)):
            if rows < int(decisions["rows"]):
                yield {**decisions, "rows": rows}


def _layer(node: Node) -> Layer | None:
    layer = plain_layer(node)
    if layer is None or not layer.pixels:
        return None
    geometry = layer.geometry
    if geometry is None:
        return layer
    # A window that covers a whole image without padding is one run of inputs.
    whole = geometry.kernel == geometry.input and not geometry.padded
    row = lying(geometry)
    if geometry.dilation[1] > 1 or row.dilation[1] > 1:
        return None
    return replace(layer, geometry=None if whole else row)


def _kind(layer: Layer) -> str:
    if layer.geometry is None:
        return PIXELS
    return STRIP if layer.geometry.padded else DIRECT


def _decide(node: Node, layer: Layer, scaling: Scaling, goal: Goal) -> dict[str, int | str]:
    """Apply the default rule: strips of one row, and copied inputs if copies cost little."""
    decided = _plain(layer, goal)
    if decided["sketch"] != PIXELS:
        return decided
    staged = _Matrix(node, layer, scaling, {**decided, "staged": 1})
    return {**decided, "staged": int(staged.worth_staging)}


def _plain(layer: Layer, goal: Goal) -> dict[str, int | str]:
    """Return the default decisions without copied inputs."""
    kind = _kind(layer)
    others = {STRIP: {"rows": 1}, PIXELS: {"staged": 0}, DIRECT: {}}
    return {"sketch": kind, "unroll": _UNROLL[goal], **others[kind]}


class _Matrix:
    """Implements one layer."""

    def __init__(
        self, node: Node, layer: Layer, scaling: Scaling, decisions: dict[str, int | str]
    ) -> None:
        self._node, self._layer, self._scaling = node, layer, scaling
        self._decisions = decisions
        self._strips: Strips | None = None
        run, geometry = layer.pixels, layer.geometry
        if geometry is not None:
            self._strips = Strips(node, geometry, int(decisions.get("rows", 0)))
            run = geometry.output[1]
        patch = patch_of(layer, self._strips)
        self._run = run
        unroll = int(decisions["unroll"])
        tile = Tile(layer.channels, patch, scaling.shift, scaling.signed, 1, unroll)
        self._tile = best_pixels(tile, run)
        self._staged = bool(decisions.get("staged", 0))
        self._x = nest.buffer("x", node.input(0).elements, "int8")
        self._out = nest.buffer("out", node.output.elements, "int8")

    @property
    def _stage_cost(self) -> int:
        """Instructions that staging adds to an iteration."""
        return copied_first(self._tile.pixels * self._tile.patch.pitch)

    @property
    def worth_staging(self) -> bool:
        """Whether staging lets outputs lie closer to their inputs at little cost."""
        tile = self._tile
        several = tile.blocks > 1 and self._run > tile.pixels
        return several and self._stage_cost <= tile.cost * _STAGED_SHARE

    @property
    def code_bytes(self) -> int:
        """Bytes of code, none of whose instructions is compressed."""
        return 4 * len(tile_code(self._tile))

    def implementation(self) -> Implementation:
        """Return the layer's function and its constants."""
        tile, node = self._tile, self._node
        constants = packing.vectors(self._scaling)
        stream = packing.pack(self._layer.weights.T, constants)
        runs = self._layer.pixels // self._run
        turns = runs * -(-self._run // tile.pixels)
        each = tile.cost + (self._stage_cost if self._staged else 0)
        return Implementation(
            self._function(stream.size),
            (node.input(0), stream),
            self._decisions,
            turns * each + 60 * runs,
        )

    def _function(self, words: int) -> tirx.PrimFunc:
        tile, strips = self._tile, self._strips
        self._stream = nest.buffer("stream", words, "int32")
        workspaces = []
        if strips is None and self._staged:
            stage = nest.buffer("stage", tile.pixels * tile.patch.pitch, "int8")
            workspaces, body = [stage], self._staged_turns(stage)
            overlap, staging = self._run_overlap(late=0), "copied pixels"
        elif strips is None:
            body = self._row(self._x, 0, 0)
            # The outputs of the first block of channels are written before the last block reads.
            overlap, staging = self._run_overlap(late=int(tile.blocks > 1)), "pixels"
        else:
            strip = nest.buffer("strip", strips.workspace, "int8") if strips.rows else None
            workspaces = [strip] if strip is not None else []
            body = [strips.loops(self._x, strip, self._row)]
            overlap = strips.overlap(tile.pixels, 1, tile.blocks)
            staging = strips.description
        lanes = min(tile.channels, tile.group.lanes)
        by_sign = ", rounding by sign" * tile.signed
        return nest.function(
            [self._x, self._stream, self._out],
            workspaces,
            body,
            operator=self._node.operator,
            schedule=f"rvv, tile {tile.pixels}x{lanes}, {staging}, unroll {tile.turn}{by_sign}",
            headers=HEADERS,
            preamble=[self._instantiation()],
            overlaps=[overlap],
        )

    @property
    def _kernel(self) -> str:
        return f"rvv_tile_{self._tile.identifier}"

    def _instantiation(self) -> str:
        tile = self._tile
        sizes = [tile.channels, tile.group.lanes, *astuple(tile.patch), tile.pixels, tile.shift]
        rounding = "SIGNED" if tile.signed else "PLAIN"
        arguments = ", ".join(map(str, sizes))
        code = text(tile_code(tile))
        return f"TVMTINY_RVV_TILE({self._kernel}, {arguments}, {rounding}, {code})"

    def _row(
        self, source: tirx.Buffer, start: nest.Argument, first: nest.Argument
    ) -> list[tirx.Stmt]:
        """Compute adjacent pixels; the last iteration may repeat pixels of the previous one."""
        tile = self._tile

        def call(pixel: int, turns: int) -> tirx.Stmt:
            return nest.call(
                self._kernel,
                nest.address(source, start + pixel * tile.patch.pitch),
                nest.address(self._stream),
                nest.address(self._out, (first + pixel) * tile.channels),
                turns,
            )

        turns, rest = divmod(self._run, tile.pixels)
        return [call(0, turns), *([call(self._run - tile.pixels, 1)] if rest else [])]

    def _staged_turns(self, stage: tirx.Buffer) -> list[tirx.Stmt]:
        """Compute iterations whose inputs are copied first; the last one may repeat pixels."""
        tile = self._tile

        def turn(pixel: nest.Argument) -> list[tirx.Stmt]:
            source = nest.address(self._x, pixel * tile.patch.pitch)
            size = tile.pixels * tile.patch.pitch
            out = nest.address(self._out, pixel * tile.channels)
            return [
                nest.call("tvmtiny_rvv_copy", nest.address(stage), source, size),
                nest.call(self._kernel, nest.address(stage), nest.address(self._stream), out, 1),
            ]

        turns, rest = divmod(self._run, tile.pixels)
        loop = nest.loop(turns, "turn", lambda index: turn(index * tile.pixels))
        return [loop, *(turn(self._run - tile.pixels) if rest else [])]

    def _run_overlap(self, late: int) -> Overlap:
        """Return the overlap of adjacent pixels; `late` is 1 if some reads follow a write."""
        tile, pixels = self._tile, np.arange(self._run)
        turns = -(-self._run // tile.pixels)
        first = pixels // tile.pixels
        last = np.where(pixels >= self._run - tile.pixels, turns - 1, first)
        distance = smallest_distance(
            np.repeat(last + late, tile.patch.pitch), np.repeat(first, tile.channels)
        )
        return Overlap("out", 0, distance)
