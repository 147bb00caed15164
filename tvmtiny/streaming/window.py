"""Rows of a tensor that move into a window while it is written or read, and are kept elsewhere.

A tensor of this kind has memory in two places. While its producer or its reader works, all of its
rows are in a *window*, where the rows that a kernel reads lie side by side. While other layers of
the segment work, only the rows that a later window needs exist, in the *kept* place. Windows of
different tensors can therefore share memory, and the kept place of a tensor is free while its
window is in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tvmtiny.streaming.segment import WINDOW, Fill, Move, Ring, RowTensor


class WindowRows:
    """The rows of one tensor that are in memory, and where they are.

    Parameters
    ----------
    tensor
        A tensor with a single reader.
    first, last
        The layers that write and read the tensor, by position; 0 for an input.
    """

    def __init__(self, tensor: RowTensor, first: int, last: int) -> None:
        self.tensor, self.first, self.last = tensor, first, last
        #: The row after the last row in memory, and the number of rows in memory.
        self._end, self.count = 0, 0
        self._inside = False
        #: The row of the window's first slot.
        self._base = 0
        self._capacity, self._window = 0, 0
        #: The events between which rows are kept; the last one may be open.
        self._kept: list[tuple[int, int]] = []
        self._since = 0

    def is_open(self, layer: int) -> bool:
        """Whether the tensor has a window while a layer works."""
        return self.first <= layer <= self.last

    def move(self, low: int, number: int) -> Move:
        """Move all rows into the window, or out of it.

        Parameters
        ----------
        low
            The first row that the reader still needs.
        number
            The number of the event that follows the move.
        """
        name = self.tensor.name
        if self._inside:
            self._inside = False
            self._since = number
            self._capacity = max(self._capacity, self.count)
            return Move(name, WINDOW + self._end - self.count - self._base, self.count)
        self._inside, self._base = True, low
        self._kept.append((self._since, number))
        return Move(name, 0, self.count, WINDOW + self._end - self.count - low)

    def write(self, row: int, rows: int, low: int, before: list[Move | Fill]) -> int:
        """Return the slot for rows that an event computes; append what makes room to `before`."""
        base = min(low, row)
        if self.count and base != self._base:
            kept = WINDOW + self._end - self.count
            before.append(Move(self.tensor.name, kept - self._base, self.count, kept - base))
        self._inside, self._base, self._end = True, base, row + rows
        self.count += rows
        self._window = max(self._window, row + rows - base)
        return WINDOW + row - base

    def read(self, low: int, high: int, before: list[Move | Fill]) -> int:
        """Return the slot of a window's first row; append its fills and moves to `before`."""
        if not self.count:
            self._base = low
        elif low > self._base and high - self._base > self._window:
            first = WINDOW + self._end - self.count
            before.append(Move(self.tensor.name, first - self._base, self.count, first - low))
            self._base = low
        self._inside = True
        self._window = max(self._window, high - self._base)
        for row in range(low, high):
            if not 0 <= row < self.tensor.height:
                before.append(Fill(self.tensor.name, WINDOW + row - self._base))
        return WINDOW + low - self._base

    def drop(self, low: int) -> None:
        """Forget rows before `low`."""
        self.count = max(0, min(self.count, self._end - low))

    def ring(self, steps: Sequence[int], layers: int) -> Ring:
        """Describe the memory of the kept rows and of the window.

        Parameters
        ----------
        steps
            The layer of each event.
        layers
            The number of layers of the segment.
        """
        visited = [steps[begin:end] for begin, end in self._kept]
        spans = []
        if any(min(layer) < self.first for layer in visited):
            spans.append((0, self.first - 1))
        if any(max(layer) > self.last for layer in visited):
            spans.append((self.last + 1, layers - 1))
        capacity = self._capacity if spans else 0
        return Ring(self.tensor, capacity, tuple(spans), 0, self._window, self.first, self.last)


class Windows:
    """The tensors of a segment whose rows move, and their moves between two events.

    Attributes
    ----------
    rows
        The tensors, by name.
    """

    def __init__(self, rows: Mapping[str, WindowRows]) -> None:
        self.rows = rows
        self._layer = 0
        self._changes: dict[tuple[int, int], list[tuple[str, WindowRows]]] = {}
        #: The tensors that move between the same two events, in order, and whether into windows.
        self._together: set[tuple[tuple[str, bool], ...]] = set()

    def follow(
        self, layer: int, number: int, low: Callable[[str], int], before: list[Move | Fill]
    ) -> None:
        """Append the moves that are needed before an event of a layer to `before`.

        Parameters
        ----------
        number
            The number of the event.
        low
            A function that returns the first row of a tensor that its reader still needs.
        """
        if layer == self._layer or not self.rows:
            return
        moved = []
        for name, rows in self._changing(self._layer, layer):
            opens = rows.is_open(layer)
            if rows.count:
                before.append(rows.move(low(name), number))
                moved.append((name, opens))
        if len(moved) > 1:
            self._together.add(tuple(moved))
        self._layer = layer

    def _changing(self, before: int, after: int) -> list[tuple[str, WindowRows]]:
        """Return the tensors with a window in one of two layers only, in the order of their moves.

        A move must not write over rows that another tensor moves later. Memory is disjoint if two
        tensors hold it in the same layer: a window that opens may lie where another one closes, and
        of two that close, the kept rows of one may lie in the window of the other.
        """
        key = before, after
        if key not in self._changes:
            changing = [
                (name, rows)
                for name, rows in self.rows.items()
                if rows.is_open(before) != rows.is_open(after)
            ]
            closing = [c for c in changing if c[1].is_open(before)]
            opening = [c for c in changing if c[1].is_open(after)]
            if after > before:
                closing.sort(key=lambda c: (c[1].last, -c[1].first))
                opening.sort(key=lambda c: c[1].first)
            else:
                closing.sort(key=lambda c: -c[1].first)
                opening.sort(key=lambda c: -c[1].last)
            self._changes[key] = [*closing, *opening]
        return self._changes[key]

    def rings(self, steps: Sequence[int], layers: int) -> dict[str, Ring]:
        """Describe the memory of all tensors; see `WindowRows.ring`."""
        rings = {name: rows.ring(steps, layers) for name, rows in self.rows.items()}
        for moved in sorted(self._together):
            for position, (name, opens) in enumerate(moved):
                for other, other_opens in moved[position + 1 :]:
                    target = rings[name].layers(opens)
                    if not target & rings[other].layers(not other_opens):
                        # The first move could write over the rows of the second one.
                        held = other if opens else name
                        rings[held] = replace(rings[held], spans=((0, layers - 1),))
        return rings
