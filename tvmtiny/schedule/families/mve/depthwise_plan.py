"""Division of a DEPTHWISE_CONV_2D into strips of rows, whose channels have planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule.families.mve.window import LANES, WindowKernel, window_kernels
from tvmtiny.schedule.implementation import Decision, Decisions, Sketch

#: Number of channels that are copied to planes together.
_LANES = 8

#: The limits on bytes of planes of whole images and of strips, if strips can be small enough. Whole
#: images take fewer instructions, because the padding of their planes is filled only once.
_WHOLE_BYTES, _STRIP_BYTES = 6144, 4096

#: Additional instructions of a row in pairs over a single row, and the number of gathered elements
#: that costs as much as an instruction.
_PAIRED_ROW, _ELEMENTS = 6, 4

#: Bytes of two columns of a pair of rows.
_WORD = 4

#: The limit on output columns of a strip without pairs of rows, from the reach of the widest patch,
#: three rows down.
_WIDEST = 60

#: Numbers of strips that the search for a smaller arena tries.
_STRIPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)


@dataclass(frozen=True)
class Strip:
    """Outputs that are computed from one content of the planes.

    Attributes
    ----------
    top, left
        The first output row and column.
    rows
        Number of output rows.
    moved
        Input rows from the first row of the previous strip; 0 if planes are copied anew.
    kept
        Input rows that are in the planes already.
    """

    top: int
    left: int
    rows: int
    moved: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Plan:
    """The computation of one layer.

    Attributes
    ----------
    geometry
        The window.
    channels, multiplier
        Number of input channels, and of outputs per channel.
    lanes
        Number of channels that are copied together.
    rows, columns
        Output rows and columns of a strip.
    paired
        Whether planes hold pairs of rows: see `WindowKernel`.
    """

    geometry: Window
    channels: int
    multiplier: int
    lanes: int
    rows: int
    columns: int
    paired: bool

    def read(self, rows: int) -> tuple[int, int]:
        """Rows and columns of a plane that the outputs of a strip need."""
        return self._extent(0, rows), self._extent(1, self.columns)

    def _extent(self, axis: int, outputs: int) -> int:
        window = self.geometry
        return (
            (outputs - 1) * window.stride[axis]
            + (window.kernel[axis] - 1) * window.dilation[axis]
            + 1
        )

    def _size(self, axis: int) -> int:
        """Rows or columns of a plane, an even number for pairs.

        A block may have one surplus output.
        """
        outputs = (self.rows, self.columns)[axis]
        if not self.paired:
            return self._extent(axis, outputs)
        found = self._extent(axis, outputs + (outputs > 1 and outputs % 2))
        return found + found % 2

    @property
    def _own(self) -> int:
        """Columns of a pair of rows, up to the padding that also begins the next pair."""
        found = self.geometry.pad[1] + self.geometry.input[1]
        return found + found % 2

    @property
    def _whole(self) -> bool:
        """Whether a strip has all columns."""
        return self.columns == self.geometry.output[1]

    @property
    def shares(self) -> bool:
        """Whether right padding is also left padding of the next pair of rows or plane."""
        left = self.geometry.pad[1]
        return (
            self.paired
            and self._whole
            and self._own < self._size(1)
            and self._extent(1, self.columns) <= self._own + left
        )

    @property
    def pitch(self) -> int:
        """Bytes of a row of a plane."""
        return self._own if self.shares else self._size(1)

    @property
    def plane(self) -> int:
        """Bytes of a plane."""
        return self._size(0) * self.pitch

    @property
    def planes_bytes(self) -> int:
        """Bytes of all planes, and of bytes that are read behind the last plane."""
        behind = 2 * (self._size(1) - self.pitch)
        return self.lanes * self.plane + -(-behind // _WORD) * _WORD

    @property
    def keeps(self) -> bool:
        """Whether planes keep the rows that the next strip also needs.

        The strips of a group of channels then follow each other; otherwise, the groups of a strip
        do. If there are several outputs for a channel, outputs of one group would be written over
        inputs of another.
        """
        return self._whole and (self.multiplier == 1 or self.channels <= self.lanes)

    @property
    def usable(self) -> bool:
        """Whether all planes are in reach, and strips begin with a whole pair of rows."""
        several = self.keeps and self.rows < self.geometry.output[0]
        split = self.paired and several and self.rows * self.geometry.stride[0] % 2
        return self.plane * _LANES < 2**16 and not split

    @property
    def beside(self) -> int:
        """Number of strips beside each other; the last one overlaps the previous one."""
        return -(-self.geometry.output[1] // self.columns)

    @property
    def repeated(self) -> int:
        """Number of equal strips below each other."""
        return self.geometry.output[0] // self.rows

    @property
    def following(self) -> Strip:
        """A strip with the rows that planes keep from the previous one."""
        moved = self.rows * self.geometry.stride[0]
        return Strip(self.rows, 0, self.rows, moved, self._kept(self.rows, moved))

    @property
    def last(self) -> Strip | None:
        """The strip of the remaining rows, if there are any.

        Pairs of rows have a kernel for fewer rows. Otherwise, the strip overlaps the previous one.
        """
        height, stride = self.geometry.output[0], self.geometry.stride[0]
        rest = height % self.rows
        if not rest:
            return None
        if not self.keeps:
            return Strip(height - self.rows, 0, self.rows)
        moved = (self.rows if self.paired else rest) * stride
        rows = rest if self.paired else self.rows
        return Strip(height - rows, 0, rows, moved, self._kept(self.rows, moved))

    def _kept(self, rows: int, moved: int) -> int:
        """Rows that planes keep; moving half of a pair costs more than copying the row again."""
        found = max(0, self._extent(0, rows) - moved)
        return 0 if self.paired and found % 2 else found

    @property
    def strips(self) -> list[Strip]:
        """The strips below each other in their order."""
        following = self.following if self.keeps else Strip(self.rows, 0, self.rows)
        found = [replace(following, top=n * self.rows) for n in range(self.repeated)]
        found[0] = Strip(0, 0, self.rows)
        return found + ([] if self.last is None else [self.last])

    @property
    def groups(self) -> list[tuple[int, int, int]]:
        """First channel, lanes that are copied before it, and number of channels of each group.

        The incomplete group comes first: it is copied with channels that must not be overwritten
        yet.
        """
        rest = self.channels % self.lanes
        found = [(self.channels - rest, self.lanes - rest, rest)] if rest else []
        return found + [(c, 0, self.lanes) for c in range(0, self.channels - rest, self.lanes)]

    def kernels(self, shift: int, signed: bool) -> list[WindowKernel]:
        """Kernels for a strip, the cheapest first."""
        window, outputs = self.geometry, self.channels * self.multiplier
        return window_kernels(
            WindowKernel(
                (self.rows, self.columns),
                window.kernel,
                window.stride,
                window.dilation,
                self.pitch,
                self.plane if self.multiplier == 1 else 0,
                self.lanes * self.plane,
                window.output[1] * outputs,
                outputs,
                shift,
                signed,
                (1, 1),
                (1, 1),
                self.paired,
            )
        )


def kernel_of_rows(kernel: WindowKernel, rows: int) -> WindowKernel:
    """The kernel of a strip of fewer rows, with the same weights; for pairs of rows."""
    if rows == kernel.outputs[0]:
        return kernel
    high, wide = min(rows, kernel.unit[0]), kernel.unit[1]
    if high < kernel.unit[0]:
        wide = min(LANES // high, kernel.outputs[1])
    return replace(kernel, outputs=(rows, kernel.outputs[1]), unit=(high, wide))


def geometry_of(node: Node) -> Window:
    """The window of a DEPTHWISE_CONV_2D."""
    return window(node, (node.input(1).shape[1], node.input(1).shape[2]))


def plan_of(node: Node, decisions: Decisions | None) -> Plan | None:
    """The sizes that follow from the decisions; None if no kernel supports them."""
    if decisions is None:
        return None
    channels = node.input(0).shape[3]
    made = Plan(
        geometry_of(node),
        channels,
        node.input(1).shape[3] // channels,
        min(channels, _LANES),
        int(decisions["rows"]),
        int(decisions["columns"]),
        True,
    )
    plans = [plan for plan in (made, replace(made, paired=False)) if plan.usable]
    kernels = {plan: plan.kernels(1, False) for plan in plans}

    def cost(plan: Plan) -> int:
        kernel = kernels[plan][0]
        each = kernel.cost + kernel.gathered // _ELEMENTS
        paired = plan.paired * plan.read(plan.rows)[0] * _PAIRED_ROW
        return plan.lanes * plan.multiplier * each + paired

    return min((plan for plan in plans if kernels[plan]), key=cost, default=None)


def decide(node: Node) -> dict[str, int | str] | None:
    """The default rule: the highest strips that the memory for planes allows.

    Each strip loads the weights anew, so fewer strips take fewer instructions.
    """
    height, width = geometry_of(node).output
    strips = -(-width // _WIDEST)
    for columns in (width, -(-width // strips), min(width, 24), min(width, 8), 1):
        for rows in range(height, 0, -1):
            decided: dict[str, int | str] = {
                "sketch": "mve_windows",
                "rows": _equal(node, -(-height // rows)),
                "columns": columns,
            }
            plan = plan_of(node, decided)
            if plan is None or (columns > _WIDEST and not plan.paired):
                continue
            most = _WHOLE_BYTES if plan.rows == height else _STRIP_BYTES
            if rows <= 2 or plan.lanes * plan.plane <= most:
                return decided
    return None


def _equal(node: Node, strips: int) -> int:
    """Output rows of strips of about the same height that begin with whole pairs of rows."""
    geometry = geometry_of(node)
    rows = -(-geometry.output[0] // strips)
    return rows if strips == 1 else rows + rows * geometry.stride[0] % 2


def depthwise_sketches(node: Node) -> tuple[Sketch, ...]:
    """The sketch of a DEPTHWISE_CONV_2D, whose decisions are the outputs of a strip."""
    decided = decide(node)
    if decided is None:
        return ()
    height, width = geometry_of(node).output
    rows = {min(height, n) for n in (1, 2, 4, 8, 16, height)} | {int(decided["rows"])}
    rows |= {int(smaller["rows"]) for smaller in smaller_depthwise(node, decided)}
    usable = [n for n in sorted(rows) if plan_of(node, {**decided, "rows": n}) is not None]
    columns = tuple(sorted({int(decided["columns"]), min(width, 8), min(width, 16)}))
    return (Sketch("mve_windows", (Decision("rows", tuple(usable)), Decision("columns", columns))),)


def smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller strips, the largest strip first."""
    rows = int(decisions["rows"])
    for fewer in dict.fromkeys(_equal(node, n) for n in _STRIPS):
        if fewer < rows:
            yield {**decisions, "rows": fewer}
