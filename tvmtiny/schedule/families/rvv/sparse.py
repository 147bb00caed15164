"""CONV_2D and FULLY_CONNECTED with the kernels of ``tvmtiny_rvv_sparse.h``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.schedule import nest
from tvmtiny.schedule.assembly import text
from tvmtiny.schedule.families.rvv.sparse_blocks import PAIR, REACH, fits
from tvmtiny.schedule.families.rvv.sparse_pairs import PairLanes
from tvmtiny.schedule.families.rvv.sparse_pixels import PixelLanes
from tvmtiny.schedule.families.rvv.strips import (
    Patch,
    Strips,
    copied_first,
    patch_of,
    rows_of_strips,
)
from tvmtiny.schedule.implementation import (
    FLASH_WEIGHT,
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.matrix_layer import Layer, read_patches
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.product_blocks import BLOCK, LEAST_GAIN, kept_blocks
from tvmtiny.schedule.scaling import Scaling

#: Sketches. The first two are for contiguous runs of inputs and have channels or pixels as lanes;
#: the others are for windows, of the input or of strips, and have pixels as lanes.
PAIRS, PIXELS = "rvv_sparse_pairs", "rvv_sparse_pixels"
DIRECT, STRIP = "rvv_sparse_direct", "rvv_sparse_strip"
SKETCHES = (PAIRS, PIXELS, DIRECT, STRIP)

HEADERS = ("tvmtiny_rvv.h", "tvmtiny_rvv_sparse.h")

#: Most pixels of a step, and the numbers that a tuner may choose.
_LANES = (32, 24, 16, 8)

#: What it is worth that outputs may lie over the inputs of their step, as a share of the layer's
#: instructions, if a step computes all pixels; in proportion less if it computes a part of them.
_OVER_SHARE = 0.5

#: What a workspace of the size of the layer's input and output costs, as a share of the same.
_SPACE_SHARE = 0.1

#: Layers of equal sizes share their code. Constants of a layer may grow by one part in this many of
#: the bytes that its code saves, so that as many layers take no more together.
_SHARED = 4

#: Instructions around a row of a strip, and around a call.
_ROW, _CALL = 60, 40


def sparse_sketches(layer: Layer) -> tuple[Sketch, ...]:
    """Return the ways to skip blocks of a layer with zeros."""
    channels, depth = (
        size // n * n for size, n in zip(layer.weights.shape, (PAIR, BLOCK), strict=True)
    )
    whole = layer.weights[:channels, :depth]
    if not whole.size or kept_blocks(whole, PAIR).mean() > 1 - LEAST_GAIN:
        return ()
    if layer.geometry is None:
        # The only pixel has no outputs that could lie over inputs still to be read.
        staged = Decision("staged", (0, 1) if layer.pixels > 1 else (0,))
        pairs = Sketch(PAIRS, (staged,))
        return (pairs, Sketch(PIXELS, (Decision("lanes", _LANES), staged)))
    rows = Decision("rows", rows_of_strips(layer.geometry))
    kinds = (STRIP,) if layer.geometry.padded else (DIRECT, STRIP)
    return tuple(Sketch(kind, (rows,)) for kind in kinds)


def decide_sparse(
    node: Node, layer: Layer, scaling: Scaling, goal: Goal, dense: Implementation, code: int
) -> Implementation | None:
    """Return the implementation that skips blocks if it takes less than `dense`, else None.

    Parameters
    ----------
    code
        Bytes of the code of `dense`.
    """
    fast = (1 - LEAST_GAIN) * dense.instructions

    def is_small(plan: SparsePlan) -> bool:
        saved = code - plan.code_bytes
        more = plan.constants_bytes - dense.constants_bytes
        return more < (saved / _SHARED if saved > 0 else saved)

    plans = [
        plan
        for plan in _plans(node, layer, scaling)
        if plan.is_possible and plan.instructions < fast and is_small(plan)
    ]
    if not plans:
        return None
    least = min(plan.instructions for plan in plans)

    def weighed(plan: SparsePlan) -> float:
        # Layers of one pixel have no outputs that could lie over inputs still to be read.
        apart = 0.0 if plan.lies_over or layer.pixels == 1 else _OVER_SHARE * plan.step_share
        space = _SPACE_SHARE * plan.workspace / (node.input(0).elements + node.output.elements)
        flash = (plan.constants_bytes + plan.code_bytes) / (dense.constants_bytes + code)
        return plan.instructions / least + apart + space + FLASH_WEIGHT[goal] * flash

    return min(plans, key=weighed).implementation()


def smaller_sparse(node: Node, layer: Layer, decisions: Decisions) -> Iterator[Decisions]:
    """Yield decisions with less and less workspace, the fastest first."""
    least = SparsePlan(node, layer, None, decisions).workspace
    plans = [plan for plan in _plans(node, layer, None) if plan.is_possible and plan.lies_over]
    for plan in sorted(plans, key=lambda plan: plan.instructions):
        if plan.workspace < least:
            least = plan.workspace
            yield plan.decisions


def plan_of(node: Node, layer: Layer, scaling: Scaling, decisions: Decisions) -> SparsePlan | None:
    """Return the plan of a layer; None if the kernel does not support it."""
    if all(sketch.name != decisions["sketch"] for sketch in sparse_sketches(layer)):
        return None
    plan = SparsePlan(node, layer, scaling, decisions)
    return plan if plan.is_possible else None


def _plans(node: Node, layer: Layer, scaling: Scaling | None) -> Iterator[SparsePlan]:
    for sketch in sparse_sketches(layer):
        names = [decision.name for decision in sketch.decisions]
        for values in product(*(decision.values for decision in sketch.decisions)):
            decisions = {"sketch": sketch.name, **dict(zip(names, values, strict=True))}
            yield SparsePlan(node, layer, scaling, decisions)


class SparsePlan:
    """Implements one layer; without its scaling, only the costs are known.

    Attributes
    ----------
    decisions
        The choices by name.
    """

    def __init__(
        self, node: Node, layer: Layer, scaling: Scaling | None, decisions: Decisions
    ) -> None:
        self._node, self._layer, self._scaling = node, layer, scaling
        self.decisions, geometry = decisions, layer.geometry
        self._strips: Strips | None = None
        self._run = layer.pixels
        self._staged = bool(decisions.get("staged", 0))
        lanes = 0 if self._staged else int(decisions.get("lanes", 0))
        patch, places = patch_of(layer, None), None
        if geometry is not None:
            rows = int(decisions["rows"])
            in_strips = decisions["sketch"] == STRIP
            self._strips = Strips(node, geometry, rows if in_strips else 0, rows)
            self._run = rows * geometry.output[1]
            patch = patch_of(layer, self._strips)
            lanes = 0 if in_strips else max(_LANES)
            patch, places = self._placed(patch, rows)
        self._patch, self._places = patch, places
        shift, signed = (scaling.shift, scaling.signed) if scaling is not None else (0, False)
        self._kernel: PairLanes | PixelLanes
        if decisions["sketch"] == PAIRS:
            self._kernel = PairLanes(layer.weights, patch, shift, signed)
            # A pixel is copied, or all are computed by one call.
            self._step = 1
        else:
            self._kernel = PixelLanes(layer.weights, patch, shift, signed, lanes, places)
            self._step = int(decisions.get("lanes", max(_LANES)))
        self._x = nest.buffer("x", node.input(0).elements, "int8")
        self._out = nest.buffer("out", node.output.elements, "int8")

    def _placed(self, patch: Patch, rows: int) -> tuple[Patch, np.ndarray | None]:
        """Return the patch, and where those of several rows of pixels are."""
        assert self._strips is not None
        geometry = self._strips.geometry
        step, width = geometry.stride[0] * self._strips.row_bytes, geometry.output[1]
        if rows == 1:
            return patch, None
        if width == 1:
            return Patch(patch.rows, patch.row_bytes, patch.row_pitch, step), None
        return patch, (np.arange(rows)[:, None] * step + np.arange(width) * patch.pitch).ravel()

    @property
    def is_possible(self) -> bool:
        """Return whether the kernel supports the layer."""
        if not fits(self._patch):
            return False
        if self._places is not None and self._places.max() > REACH:
            return False
        return not isinstance(self._kernel, PairLanes) or self._kernel.products > 0

    @property
    def lies_over(self) -> bool:
        """Whether outputs may lie over the inputs of their own step."""
        return self.workspace > 0 or not self._late

    @property
    def step_share(self) -> float:
        """Share of the pixels that a step computes."""
        return min(self._step, self._run) / self._layer.pixels

    @property
    def _late(self) -> bool:
        """Whether inputs of the last channels are read after outputs of the first are written."""
        return not isinstance(self._kernel, PairLanes) or self._kernel.groups > 1

    @property
    def instructions(self) -> int:
        """Estimated instructions of the layer."""
        run, runs = self._kernel.instructions(self._run), self._layer.pixels // self._run
        if self._staged:
            turn = self._kernel.instructions(self._step) + copied_first(self.workspace)
            return -(-self._run // self._step) * turn
        if self._strips is None:
            return run + _CALL
        rows = int(self.decisions["rows"]) if self._strips.rows else 0
        return runs * (run + _CALL + rows * _ROW)

    @property
    def workspace(self) -> int:
        """Bytes of a workspace."""
        if self._strips is not None:
            return self._strips.workspace
        return min(self._step, self._run) * self._patch.pitch if self._staged else 0

    @property
    def constants_bytes(self) -> int:
        """Bytes of the constants in flash."""
        return self._kernel.stream_bytes

    @property
    def code_bytes(self) -> int:
        """Bytes of code, none of whose instructions is compressed."""
        return 4 * len(self._kernel.code())

    def implementation(self) -> Implementation:
        """Return the layer's function and its constants."""
        assert self._scaling is not None
        stream = self._kernel.stream(self._scaling)
        return Implementation(
            self._function(stream.size),
            (self._node.input(0), stream),
            self.decisions,
            self.instructions,
        )

    def _function(self, words: int) -> tirx.PrimFunc:
        strips, size = self._strips, self.workspace
        self._stream = nest.buffer("stream", words, "int32")
        space = nest.buffer("strip" if strips is not None else "stage", size, "int8")
        if strips is not None:
            body = [strips.loops(self._x, space if size else None, self._call)]
            overlap = strips.overlap(1, 1, 1) if size else self._overlap(int(self._late))
            staging = strips.description
        elif self._staged:
            body, overlap, staging = self._turns(space), self._overlap(0), "copied pixels"
        else:
            body, overlap = self._call(self._x, 0, 0), self._overlap(int(self._late))
            staging = "pixels"
        by_sign = ", rounding by sign" * self._kernel.signed
        return nest.function(
            [self._x, self._stream, self._out],
            [space] if size else [],
            body,
            operator=self._node.operator,
            schedule=f"rvv, {self._kernel.description}, {staging}{by_sign}",
            headers=HEADERS,
            preamble=[self._instantiation()],
            overlaps=[overlap],
        )

    @property
    def _name(self) -> str:
        """Name of the kernel, whose code depends on the layer's sizes only."""
        kernel, rounding = self._kernel, "signed" if self._kernel.signed else "plain"
        return f"rvv_sparse_{kernel.macro.lower()}_{'_'.join(map(str, kernel.sizes))}_{rounding}"

    def _instantiation(self) -> str:
        kernel, rounding = self._kernel, "SIGNED" if self._kernel.signed else "PLAIN"
        arguments = ", ".join(map(str, kernel.sizes))
        code = text(kernel.code())
        return f"TVMTINY_RVV_SPARSE_{kernel.macro}({self._name}, {arguments}, {rounding}, {code})"

    def _call(
        self,
        source: tirx.Buffer,
        start: nest.Argument,
        first: nest.Argument,
        pixels: int | None = None,
    ) -> list[tirx.Stmt]:
        """Compute adjacent pixels, by default a run of them."""
        out = nest.address(self._out, first * self._layer.channels)
        source_address, stream = nest.address(source, start), nest.address(self._stream)
        return [nest.call(self._name, source_address, stream, out, pixels or self._run)]

    def _turns(self, stage: tirx.Buffer) -> list[tirx.Stmt]:
        """Compute steps of pixels whose inputs are copied first."""

        def turn(first: nest.Argument, pixels: int) -> list[tirx.Stmt]:
            pitch = self._patch.pitch
            source = nest.address(self._x, first * pitch)
            copy = nest.call("tvmtiny_rvv_copy", nest.address(stage), source, pixels * pitch)
            return [copy, *self._call(stage, 0, first, pixels)]

        turns, rest = divmod(self._run, self._step)
        body = []
        if turns:
            body = [nest.loop(turns, "turn", lambda i: turn(i * self._step, self._step))]
        return [*body, *(turn(turns * self._step, rest) if rest else [])]

    def _overlap(self, late: int) -> Overlap:
        """Return the overlap of steps of pixels; `late` is 1 if some reads follow a write."""
        node, layer = self._node, self._layer
        positions = np.arange(layer.pixels)
        each = -(-self._run // self._step)
        steps = positions // self._run * each + positions % self._run // self._step
        depth = layer.depth if layer.geometry is None else node.input(0).shape[3]
        last_read = np.full(node.input(0).elements // depth, -1)
        if layer.geometry is None:
            last_read[:] = steps
        else:
            read_patches(last_read, steps, layer.geometry, node.input(0).shape[0])
        last_read[last_read >= 0] += late
        distance = smallest_distance(np.repeat(last_read, depth), np.repeat(steps, layer.channels))
        return Overlap("out", 0, distance)
