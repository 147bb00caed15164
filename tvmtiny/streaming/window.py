"""Rows of a tensor that are laid out for each window of its reader, in shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvmtiny.streaming.segment import WINDOW, Fill, Move, Ring, RowTensor


class WindowRows:
    """The slots of rows that are kept between windows, and the moves into and out of each window.

    Parameters
    ----------
    tensor
        A tensor with a single reader.
    """

    def __init__(self, tensor: RowTensor) -> None:
        self._tensor = tensor
        #: The slot of each kept row, and the event since which it is kept.
        self._slots: dict[int, int] = {}
        self._since: dict[int, int] = {}
        #: The slots of rows that were computed for the next window.
        self._direct: dict[int, int] = {}
        self._laid: dict[int, int] = {}
        self._alive: list[tuple[int, int]] = []
        self._capacity, self._window = 0, 0

    def write(self, row: int, rows: int, number: int, low: int | None) -> int:
        """Return the slot for rows that an event computes.

        Parameters
        ----------
        number
            The number of the event.
        low
            The first row of the window that the next event reads; None if the next event reads
            another tensor.
        """
        made = range(row, row + rows)
        if low is not None and row >= low:
            self._direct = {r: r - low for r in made}
            self._window = max(self._window, row + rows - low)
            return WINDOW + row - low
        slot = self._free(rows)
        self._slots.update(zip(made, range(slot, slot + rows), strict=True))
        self._since.update(dict.fromkeys(made, number))
        self._alive.append((number, number))
        return slot

    def _free(self, rows: int) -> int:
        """Find the first of `rows` consecutive free slots."""
        used, slot = set(self._slots.values()), 0
        while used & set(range(slot, slot + rows)):
            slot += 1
        self._capacity = max(self._capacity, slot + rows)
        return slot

    def read(self, low: int, high: int, number: int, before: list[Move | Fill]) -> int:
        """Return the slot of a window's first row; append the moves that lay it out to `before`."""
        name, height = self._tensor.name, self._tensor.height
        there = [self._slots.get(r) for r in range(low, high)]
        for row in range(max(low, 0), min(high, height)):
            if row in self._slots:
                self._alive.append((self._since[row], number))
        first = there[0]
        if first is not None and there == list(range(first, first + high - low)):
            self._laid, self._direct = self._direct, {}
            return first
        self._window = max(self._window, high - low)
        row = low
        while row < high:
            target, rows = WINDOW + row - low, 1
            if row in self._slots:
                while self._slots.get(row + rows) == self._slots[row] + rows and row + rows < high:
                    rows += 1
                before.append(Move(name, self._slots[row], rows, target))
            elif not 0 <= row < height:
                before.append(Fill(name, target))
            else:
                assert self._direct[row] == row - low
            row += rows
        self._laid, self._direct = self._direct, {}
        return WINDOW

    def keep(self, low: int, number: int, after: list[Move]) -> None:
        """Drop rows before `low`, and keep the other rows that were computed for the window."""
        for row in [r for r in self._slots if r < low]:
            del self._slots[row], self._since[row]
        for row, slot in self._laid.items():
            if row >= low:
                target = self._free(1)
                self._slots[row], self._since[row] = target, number
                self._alive.append((number, number))
                after.append(Move(self._tensor.name, WINDOW + slot, 1, target))
        self._laid = {}

    def ring(
        self,
        span: Callable[[Sequence[tuple[int, int]]], tuple[int, int]],
        producer: int,
        reader: int,
    ) -> Ring:
        """Describe the memory of the ring and its window.

        Parameters
        ----------
        span
            A function that returns the first and the last layer of the events in some ranges.
        producer, reader
            The layers that write and read the tensor, by position.
        """
        first, last = span(self._alive)
        return Ring(self._tensor, self._capacity, first, last, 0, self._window, producer, reader)
