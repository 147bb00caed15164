"""Broadcast operands as calls of kernels for rows, for schedules of all kernel families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from tvm import tirx

from tvmtiny.schedule import nest


@dataclass(frozen=True)
class Rows:
    """The split of a broadcast of a small operand to a large one, which has the output's shape.

    Attributes
    ----------
    outer
        Extents of the loops around the calls, and the small operand's advance in each.
    rows, count
        Rows of a call, and elements of a row.
    values
        Whether the small operand has one element for each row, or one row for all of them.
    """

    outer: tuple[tuple[int, int], ...]
    rows: int
    count: int
    values: bool


def plan_rows(large: Sequence[int], small: Sequence[int]) -> Rows:
    """Split a broadcast into calls.

    Parameters
    ----------
    large, small
        Shapes; `small` broadcasts to `large`.
    """
    padded = (1,) * (len(large) - len(small)) + tuple(small)
    merged: list[tuple[int, bool]] = []
    for extent, own in zip(large, padded, strict=True):
        shared = own == 1
        if extent == 1:
            continue
        if merged and merged[-1][1] == shared:
            merged[-1] = merged[-1][0] * extent, shared
        else:
            merged.append((extent, shared))
    if not merged:
        return Rows((), 1, 1, False)
    (count, values), rest = merged[-1], merged[:-1]
    # Elements of the small operand inside the current dimension.
    step = 1 if values else count
    rows = 1
    if rest:
        # The small operand has one row for all rows, or one element for each.
        rows = rest[-1][0]
        step *= rows if values else 1
        rest = rest[:-1]
    outer = []
    for extent, shared in reversed(rest):
        outer.append((extent, 0 if shared else step))
        step *= 1 if shared else extent
    return Rows(tuple(reversed(outer)), rows, count, values)


def calls_of_rows(
    rows: Rows, call: Callable[[nest.Argument, nest.Argument], tirx.Stmt]
) -> tirx.Stmt:
    """Make the loops around the calls.

    Parameters
    ----------
    rows
        The split of the broadcast.
    call
        Makes a call from the positions of its first elements in the large and the small operand.
    """

    def inside(depth: int, at: nest.Argument, other: nest.Argument) -> tirx.Stmt:
        if depth == len(rows.outer):
            return call(at, other)
        extent, step = rows.outer[depth]
        size = prod(n for n, _ in rows.outer[depth + 1 :]) * rows.rows * rows.count
        return nest.loop(
            extent, f"i{depth}", lambda i: [inside(depth + 1, at + i * size, other + i * step)]
        )

    return inside(0, 0, 0)
