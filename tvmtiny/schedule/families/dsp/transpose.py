"""TRANSPOSE_CONV around the tile kernels: a convolution for each phase of the stride."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.transpose_conv import Axis, as_convolution, axes
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.layer import scale
from tvmtiny.schedule.families.dsp.patches import HEADERS
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation
from tvmtiny.schedule.matrix_layer import split_groups, weight_zero_points
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.scaling import Scaling

#: The limit on unrolled groups.
_UNROLL = 8


@dataclass(frozen=True)
class _Phase:
    """The outputs of a row or column that use the same taps.

    Attributes
    ----------
    first, count
        The first output, and the number of outputs.
    start
        The start of the first output's patch in the input; it can be outside of the input.
    taps
        The taps, in the order of the input.
    """

    first: int
    count: int
    start: int
    taps: tuple[int, ...]


def _phases(axis: Axis) -> Iterator[_Phase]:
    for first in range(min(axis.stride, axis.output)):
        origin, tap = divmod(first + axis.pad, axis.stride)
        taps = tuple(range(tap, axis.kernel, axis.stride))[::-1]
        count = -(-(axis.output - first) // axis.stride)
        yield _Phase(first, count, origin - len(taps) + 1, taps)


def implement_transpose(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement TRANSPOSE_CONV in int8.

    None if the micro-kernels cannot be used or proven exact.
    """
    inner = replace(as_convolution(node), operator="CONV_2D")
    if decisions is not None or np.any(weight_zero_points(inner)):
        return None
    down, across = (list(_phases(axis)) for axis in axes(node))
    channels, width = inner.input(1).shape[0], min(phase.count for phase in across)
    pitch = axes(node)[1].stride * channels
    tile = next(
        (
            packing.TILES[name]
            for name in ("3x2", "2x2", "1x4")
            if packing.TILES[name].pixels <= width
            and packing.TILES[name].channels <= channels
            and packing.TILES[name].pixels * pitch <= packing.MOST_PITCH
        ),
        None,
    )
    if tile is None or not all(phase.taps for phase in (*down, *across)):
        return None
    for weight_format in ("w8", "w16"):
        scaling = scale(inner, oracle, weight_format)
        if scaling is None:
            continue
        made = _Function(node, inner, tile, weight_format, scaling)
        if all(made.add(rows, columns) for rows in down for columns in across):
            arguments = (inner.input(0), made.stream)
            function, chosen = made.finish(), {"sketch": "phases"}
            return Implementation(function, arguments, chosen, made.instructions)
    return None


class _Function:
    """Builds the function, phase by phase."""

    def __init__(
        self,
        node: Node,
        inner: Node,
        tile: packing.TileShape,
        weight_format: str,
        scaling: Scaling,
    ) -> None:
        self._node, self._inner, self._tile, self._scaling = node, inner, tile, scaling
        self._format = weight_format
        data = inner.input(1).data
        assert data is not None
        self._weights = data
        self._streams: list[np.ndarray] = []
        self._body: list[tuple[_Phase, _Phase, int, int]] = []
        self.instructions = 0

    @property
    def stream(self) -> np.ndarray:
        """The stream of all phases, one after the other."""
        return np.concatenate(self._streams)

    def add(self, rows: _Phase, columns: _Phase) -> bool:
        """Add a phase; returns False if its constants or weights do not fit."""
        part = self._weights[:, list(rows.taps)][:, :, list(columns.taps)]
        flat = np.ascontiguousarray(part).reshape(len(part), -1)
        whole = self._weights.reshape(len(part), -1)
        # The proof covers the sum over all taps, which exceeds the sum of any phase. The amounts
        # that inputs at their zero point and the weight format add are computed from the taps of
        # the phase.
        missing = whole.sum(axis=1, dtype=np.int64) - flat.sum(axis=1, dtype=np.int64)
        initial = self._scaling.initial.astype(np.int64)
        initial += 256 * self._inner.input(0).zero_point * missing
        initial += packing.excess(whole, self._format) - packing.excess(flat, self._format)
        if np.abs(initial).max() >= 2**31 or not packing.storable(flat, self._format):
            return False
        scaling = replace(self._scaling, initial=initial.astype(np.int32))
        stream = packing.pack_stream(flat, scaling, self._tile, self._format)
        offset = sum(s.size for s in self._streams)
        self._streams.append(stream)
        self._body.append((rows, columns, offset, stream.size))
        return True

    def finish(self) -> tirx.PrimFunc:
        """Loop over all phases of all images."""
        node, inner, tile = self._node, self._inner, self._tile
        (images, height, width, depth), channels = inner.input(0).shape, len(self._weights)
        axis_y, axis_x = axes(node)
        x = nest.buffer("x", inner.input(0).elements, "int8")
        stream = nest.buffer("stream", self.stream.size, "int32")
        out = nest.buffer("out", node.output.elements, "int8")
        most = max(len(r.taps) * len(c.taps) for r, c, _, _ in self._body) * depth
        patches = nest.buffer("patches", 2 * packing.groups(most) * tile.pixels, "uint32")
        rounding = "SIGNED" if self._scaling.signed else "PLAIN"
        pad = inner.input(0).zero_point
        whole = channels - channels % tile.channels
        preamble: dict[str, None] = {}

        def phase(
            entry: tuple[_Phase, _Phase, int, int],
        ) -> Callable[[nest.Argument, nest.Argument], tirx.Stmt]:
            """Return a function that computes a row of the phase of an image."""
            rows, columns, offset, words = entry
            kernel = (len(rows.taps), len(columns.taps))
            count = packing.groups(kernel[0] * kernel[1] * depth)
            split, pitch = split_groups(count, _UNROLL), axis_x.stride * channels
            sizes = (*split, self._scaling.shift, pitch, 8 * count * tile.pixels)
            name = f"tile_{tile.name}_{self._format}_{'_'.join(map(str, sizes))}_{rounding.lower()}"
            macro = f"TVMTINY_TILE_{tile.name.upper()}_{self._format.upper()}"
            preamble[f"{macro}({name}, {', '.join(map(str, sizes))}, {rounding})"] = None
            by_words = kernel[1] * depth % packing.GROUP == 0
            area = (height, width, depth, *kernel)
            gather = f"gather_{self._format}_{'_'.join(map(str, area))}_{tile.pixels}_"
            gather += str(pad).replace("-", "m")
            macro = "TVMTINY_GATHER" if by_words else "TVMTINY_GATHER_BYTES"
            preamble[
                f"{macro}({gather}, {self._format}, {', '.join(map(str, area))}, ({pad}), "
                f"{tile.pixels})"
            ] = None
            whole_words = words * whole // len(packing.channel_order(channels, tile))
            steps = -(-columns.count // tile.pixels)
            self.instructions += (
                images
                * rows.count
                * steps
                * (
                    count * tile.pixels * 7
                    + -(-channels // tile.channels) * (count * tile.instructions[self._format] + 40)
                )
            )

            def step(
                image: nest.Argument, row: nest.Argument, index: nest.Argument
            ) -> list[tirx.Stmt]:
                position = index * tile.pixels
                if columns.count % tile.pixels:
                    position = tirx.min(position, columns.count - tile.pixels)
                y = rows.first + row * axis_y.stride
                pixel = columns.first + position * axis_x.stride
                target = ((image * axis_y.output + y) * axis_x.output + pixel) * channels

                def expand(lane: nest.Argument) -> list[tirx.Stmt]:
                    return [
                        nest.call(
                            gather,
                            nest.address(x, image * (height * width * depth)),
                            rows.start + row,
                            columns.start + position + lane,
                            nest.address(patches, lane),
                        )
                    ]

                def call(first: int, last: int, channel: int) -> tirx.Stmt:
                    return nest.call(
                        name,
                        nest.address(patches),
                        nest.address(stream, offset + first),
                        nest.address(out, target + channel),
                        nest.address(stream, offset + last),
                    )

                calls = [nest.loop(tile.pixels, "lane", expand), call(0, whole_words, 0)]
                if whole < channels:
                    calls.append(call(whole_words, words, channels - tile.channels))
                return calls

            return lambda image, row: nest.loop(
                steps, "step", lambda index: step(image, row, index)
            )

        phases = [(entry[0], phase(entry)) for entry in self._body]
        # Rows of all phases alternate, so that outputs can replace inputs that are not read again.
        common = min(rows.count for rows, _ in phases)

        def one_image(image: nest.Argument) -> list[tirx.Stmt]:
            together = nest.loop(
                common, "row", lambda row: [compute(image, row) for _, compute in phases]
            )
            more = [
                compute(image, row) for rows, compute in phases for row in range(common, rows.count)
            ]
            return [together, *more]

        body = nest.loop(images, "image", one_image)
        by_sign = ", rounding by sign" if self._scaling.signed else ""
        return nest.function(
            [x, stream, out],
            [patches],
            [body],
            operator=node.operator,
            schedule=f"dsp, tile {tile.name}, {self._format}, {len(self._body)} phases{by_sign}",
            headers=HEADERS,
            preamble=list(preamble),
            overlaps=[self._overlap(common)],
        )

    def _overlap(self, common: int) -> Overlap:
        """The overlap that the order allows: a row may be read after a part of it was written."""
        (images, height, width, depth) = self._inner.input(0).shape
        axis_y, axis_x = axes(self._node)
        last_read = np.full((images, height), -1)
        first_write = np.zeros((images, axis_y.output, axis_x.output), np.int64)
        time = 0
        for image in range(images):
            turns = [(row, entry) for row in range(common) for entry in self._body]
            turns += [(row, entry) for entry in self._body for row in range(common, entry[0].count)]
            for row, (rows, columns, _, _) in turns:
                first = rows.start + row
                last_read[image, max(0, first) : max(0, first + len(rows.taps))] = time + 1
                written = first_write[image, rows.first + row * axis_y.stride]
                written[columns.first :: axis_x.stride] = time
                time += 2
        reads = np.repeat(last_read.ravel(), width * depth)
        writes = np.repeat(first_write.ravel(), len(self._weights))
        return Overlap("out", 0, smallest_distance(reads, writes))
