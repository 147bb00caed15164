"""Runs of adjacent elements in the operands of an operator that broadcasts two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx

from tvmtiny.schedule import nest


@dataclass(frozen=True)
class Runs:
    """The split of an output into runs.

    Attributes
    ----------
    count
        Elements of a run, at least one.
    moving
        For each operand, whether a run reads adjacent elements, or the same one repeatedly.
    loops
        For each loop around the runs, outermost first: extent, and advance of each operand.
    """

    count: int
    moving: tuple[bool, bool]
    loops: tuple[tuple[int, tuple[int, int]], ...]

    def statements(
        self, body: Callable[[tuple[nest.Argument, nest.Argument], nest.Argument], tirx.Stmt]
    ) -> list[tirx.Stmt]:
        """Make the loops around the runs.

        Parameters
        ----------
        body
            Makes a run from the first elements of both operands and of the output.
        """

        def inner(
            depth: int, first: tuple[nest.Argument, nest.Argument], at: nest.Argument
        ) -> list[tirx.Stmt]:
            if depth == len(self.loops):
                return [body(first, at)]
            extent, steps = self.loops[depth]
            size = self.count
            for other, _ in self.loops[depth + 1 :]:
                size *= other

            def turn(i: nest.Argument) -> list[tirx.Stmt]:
                moved = (first[0] + i * steps[0], first[1] + i * steps[1])
                return inner(depth + 1, moved, at + i * size)

            return [nest.loop(extent, f"i{depth}", turn)]

        return inner(0, (0, 0), 0)


def broadcast_runs(left: Sequence[int], right: Sequence[int], output: Sequence[int]) -> Runs | None:
    """Find the runs for two shapes that broadcast to `output`.

    Returns
    -------
    Runs or None
        The longest runs; None if the output has no elements.
    """
    axes: list[tuple[int, tuple[int, int]]] = []
    padded = [(1,) * (len(output) - len(shape)) + tuple(shape) for shape in (left, right)]
    strides = [1, 1]
    for size, *sizes in reversed(list(zip(output, *padded, strict=True))):
        if size == 0:
            return None
        steps = tuple(0 if n == 1 else s for n, s in zip(sizes, strides, strict=True))
        strides = [s * n for n, s in zip(sizes, strides, strict=True)]
        if size == 1:
            continue
        if axes:
            extent, inner = axes[-1]
            if all(s == extent * i for s, i in zip(steps, inner, strict=True)):
                axes[-1] = (extent * size, inner)
                continue
        axes.append((size, (steps[0], steps[1])))
    if not axes:
        return Runs(1, (True, True), ())
    (count, first), *rest = axes
    return Runs(count, (first[0] != 0, first[1] != 0), tuple(reversed(rest)))
