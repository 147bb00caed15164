"""The order in which layers compute rows, and the slot of each row in its ring.

The order is driven by demand: before a layer computes rows, the missing rows of its window are
computed. If layers ran as soon as possible instead, rows would accumulate where branches meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tvmtiny.streaming.segment import (
    Event,
    Fill,
    Kind,
    MisalignedError,
    Move,
    Ring,
    Schedule,
    Segment,
)
from tvmtiny.streaming.window import WindowRows, Windows

#: A row number beyond every row.
_FAR = 1 << 30

#: A kind, or None for a row of padding; a layer or tensor; the first row and the number of rows.
_Work = tuple[Kind | None, int | str, int, int]


@dataclass
class _State:
    """Rows first..first+count-1 of a tensor are in memory; `unused` slots precede them."""

    first: int
    count: int
    capacity: int
    unused: int = 0
    made: int = 0
    #: The first and the last event of each time during which rows are needed.
    begun: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def keep(self, begun: int, ended: int) -> None:
        """Note that rows are needed from one event to another."""
        self.begun.append(begun)
        self.ended.append(ended)


class Order:
    """The order of the work of a segment.

    Parameters
    ----------
    rows
        How many rows each layer computes at a time; for a fold, how many rows it adds up.
    """

    def __init__(self, segment: Segment, rows: Sequence[int]) -> None:
        self._segment, self._rows = segment, tuple(rows)
        self._layers, self._tensors = segment.layers, segment.tensors
        self._producers, self._readers = segment.producers, segment.readers
        self._top = segment.tops
        #: The names and heights of each layer's inputs, and the name and height of its output.
        self._inputs = [
            [(name, self._tensors[name].height) for name in layer.reads] for layer in self._layers
        ]
        self._outputs = [
            (layer.writes, self._tensors[layer.writes].height) for layer in self._layers
        ]
        #: Number of output rows that each layer has computed, or of input rows that it has added
        #: up; and the first input row that it still needs.
        self._done = [0] * len(rows)
        self._lows = [0] * len(rows)
        #: Kind, layer or tensor, first row and number of rows of each event, in order.
        self._order: list[_Work] = []
        self._windows = Windows({})
        self._states = self._begin()
        self._demand()
        #: The number of rows that each ring must hold.
        self._capacities = {name: state.capacity for name, state in self._states.items()}

    def _begin(self) -> dict[str, _State]:
        for layer in range(len(self._rows)):
            self._done[layer] = 0
            self._advance(layer, 0)
        states = {}
        for name, tensor in self._tensors.items():
            top = self._top[name]
            states[name] = _State(-top, top, max(top, 1))
            if name in self._segment.whole and name not in self._producers:
                states[name] = _State(-_FAR, 2 * _FAR, 0, made=tensor.height)
        return states

    def _is_shared(self, name: str) -> bool:
        """Whether rows of a tensor can move into a window that shares memory."""
        if name in self._segment.whole:
            return False
        rules = [self._layers[k].rule for k in self._readers[name]]
        return len(rules) == 1 and not rules[0].fold and rules[0].reach >= rules[0].stride

    def _advance(self, layer: int, rows: int) -> None:
        """Count rows that a layer has computed or added up."""
        self._done[layer] = done = self._done[layer] + rows
        rule = self._layers[layer].rule
        if rule.fold:
            self._lows[layer] = done
        elif done >= self._outputs[layer][1]:
            self._lows[layer] = _FAR
        else:
            self._lows[layer] = rule.low(done)

    def _keep(self, name: str) -> int:
        """The first row of a tensor that any reader still needs."""
        readers = self._readers[name]
        if len(readers) == 1:
            return self._lows[readers[0]]
        return min([self._lows[k] for k in readers], default=_FAR)

    def _needed(self, name: str) -> int:
        """The first row of a tensor with a window that its reader still needs."""
        layer = self._readers[name][0]
        low = self._lows[layer]
        return max(low, 0) if self._layers[layer].rule.clips else low

    def _demand(self) -> None:
        """Determine the order of events, and how many rows each ring must hold."""
        for layer in (len(self._rows) - 1, *range(len(self._rows))):
            # The last layer demands the rows that it needs; rows that no layer needs come at the
            # end.
            while self._step(layer):
                pass
        pushed = self._segment.pushed
        while pushed is not None and self._states[pushed].made < self._tensors[pushed].height:
            self._make(pushed)

    def _room(self, name: str, rows: int) -> None:
        state = self._states[name]
        drop = min(max(self._keep(name) - state.first, 0), state.count)
        state.first, state.count = state.first + drop, state.count - drop
        state.capacity = max(state.capacity, state.count + rows)
        state.count += rows

    def _make(self, name: str) -> None:
        """Provide more rows of a tensor."""
        state, height = self._states[name], self._tensors[name].height
        if state.made >= height:
            self._order.append((None, name, state.made, 1))
            self._room(name, 1)
        elif name == self._segment.pushed:
            self._order.append((Kind.TAKE, name, state.made, 1))
            self._room(name, 1)
            state.made += 1
        else:
            assert self._step(self._producers[name])

    def _need(self, layer: int, end: int) -> None:
        clips = self._layers[layer].rule.clips
        for name, height in self._inputs[layer]:
            state = self._states[name]
            if clips:
                end = min(end, height)
            while state.first + state.count < end:
                self._make(name)

    def _step(self, layer: int) -> bool:
        """Compute the next rows; returns False if all rows are computed."""
        rule, done = self._layers[layer].rule, self._done[layer]
        if rule.fold:
            return self._fold(layer)
        name, height = self._outputs[layer]
        if done >= height:
            return False
        rows = min(self._rows[layer], height - done)
        if done == 0:
            rows = min(rows, self._first_rows(layer))
        self._need(layer, rule.span(done, rows)[1])
        self._order.append((Kind.CALL, layer, done, rows))
        self._room(name, rows)
        self._states[name].made += rows
        self._advance(layer, rows)
        return True

    def _first_rows(self, layer: int) -> int:
        """Return the rows that a layer computes first, so that all later rows complete a window.

        A reader with a stride of two whose first window has three rows needs two more rows for each
        further window. Pairs that begin with the first row would always be one row ahead.
        """
        readers, rows = self._readers[self._layers[layer].writes], self._rows[layer]
        rules = [self._layers[k].rule for k in readers]
        if len(rules) != 1 or rules[0].fold or rules[0].sources or rows % rules[0].stride:
            return rows
        return (rules[0].reach - rules[0].top) % rules[0].stride or rows

    def _fold(self, layer: int) -> bool:
        done, (name,) = self._done[layer], self._layers[layer].reads
        height = self._tensors[name].height
        if done > height:
            return False
        if done == height:
            self._order.append((Kind.FINISH, layer, 0, 1))
            self._advance(layer, 1)
            return True
        rows = min(self._rows[layer], height - done)
        self._need(layer, done + rows)
        self._order.append((Kind.FOLD, layer, done, rows))
        self._advance(layer, rows)
        return True

    def schedule(self, shared: bool = False) -> Schedule:
        """Place the rows of all events, now that the sizes of the rings are known.

        Parameters
        ----------
        shared
            Whether rows of tensors with a single reader move into windows that share memory with
            each other, so that rings hold only the rows between two windows. This takes additional
            copies of rows.

        Raises
        ------
        MisalignedError
            If a row that a kernel reads or writes would lie at an odd address.
        """
        self._windows = Windows(
            {
                name: WindowRows(t, self._producers.get(name, 0), self._readers[name][0])
                for name, t in self._tensors.items()
                if shared and self._is_shared(name)
            }
        )
        self._states = self._begin()
        for name, state in self._states.items():
            state.capacity = self._capacities[name]
        whole, windows = self._segment.whole, self._windows.rows
        events: list[Event] = []
        steps: list[int] = []
        before: list[Move | Fill] = []
        last_read = {
            name: np.full(self._tensors[name].height, -1, np.int64)
            for name in whole
            if name not in self._producers
        }
        first_write = np.zeros(self._tensors[self._segment.output].height, np.int64)
        written: dict[str, dict[int, int]] = {name: {} for name in self._tensors}
        for kind, what, row, rows in self._order:
            number = len(events)
            if kind is None or kind is Kind.TAKE:
                name = str(what)
                if kind is None and name in windows:
                    # The row is filled in the window when it is read.
                    continue
                if kind is not None:
                    self._windows.follow(0, number, self._needed, before)
                slot = self._write(name, row, rows, before)
                written[name][row] = number
                if kind is None:
                    before.append(Fill(name, slot))
                    continue
                events.append(Event(kind, -1, row, rows, tuple(before), (), slot))
                steps.append(0)
                before = []
                continue
            layer = int(what)
            rule, inputs = self._layers[layer].rule, self._inputs[layer]
            output = self._layers[layer].writes
            self._windows.follow(layer, number, self._needed, before)
            low, high = rule.span(row, rows)
            reads: list[int | None] = []
            above = below = 0
            for name, height in inputs if kind is not Kind.FINISH else ():
                last = last_read.get(name)
                if last is not None or rule.clips:
                    # A window may lie outside as a whole.
                    above = min(max(-low, 0), high - low)
                    below = min(max(high - height, 0), high - low - above)
                if rule.clips:
                    low, high = max(low, 0), min(high, height)
                if name in windows:
                    slot = windows[name].read(low, high, before)
                    self._check(name, slot)
                    reads.append(slot)
                    continue
                reads.append(self._read(name, low))
                if last is not None:
                    last[max(low, 0) : min(high, height)] = number
                elif name not in whole:
                    # Rows are written in ascending order, so the first one is the oldest.
                    begun = written[name].get(low, 0) if low < high else number
                    self._states[name].keep(begun, number)
            writes = None
            if kind is Kind.CALL:
                if output in whole:
                    self._check(output, row)
                else:
                    writes = self._write(output, row, rows, before)
                    if output not in windows:
                        self._states[output].keep(number, number)
                    self._check(output, writes)
                    written[output].update(dict.fromkeys(range(row, row + rows), number))
            if output == self._segment.output and kind is not Kind.FOLD:
                first_write[row : row + rows] = number
            self._advance(layer, rows)
            if windows:
                for name, _ in inputs:
                    if name in windows:
                        windows[name].drop(self._needed(name))
            places = tuple(before), tuple(reads), writes
            outside = above, below, rule.variant(row, rows)
            events.append(Event(kind, layer, row, rows, *places, *outside))
            steps.append(layer)
            before = []
        rings = self._rings(np.array(steps, np.int64))
        return Schedule(
            *(self._segment, self._rows, shared, tuple(events), rings),
            *(last_read, first_write),
        )

    def _write(self, name: str, row: int, rows: int, before: list[Move | Fill]) -> int:
        """Return the slot of rows that are written; append the moves that make room to `before`."""
        window = self._windows.rows.get(name)
        if window is None:
            return self._place(name, rows, before)
        needed = self._needed(name)
        slot = window.write(row, rows, needed, before)
        window.drop(needed)
        return slot

    def _place(self, name: str, rows: int, before: list[Move | Fill]) -> int:
        """Return the slot of the next rows of a tensor.

        Append the moves that make room to `before`.
        """
        state = self._states[name]
        drop = min(max(self._keep(name) - state.first, 0), state.count)
        state.first, state.count = state.first + drop, state.count - drop
        state.unused += drop
        if not state.count:
            state.unused = 0
        if state.unused + state.count + rows > state.capacity:
            before.append(Move(name, state.unused, state.count))
            state.unused = 0
        slot = state.unused + state.count
        state.count += rows
        return slot

    def _read(self, name: str, low: int) -> int | None:
        if name in self._segment.whole:
            self._check(name, max(low, 0))
            return None
        state = self._states[name]
        slot = low - state.first + state.unused
        self._check(name, slot)
        return slot

    def _check(self, name: str, slot: int) -> None:
        tensor = self._tensors[name]
        if slot * tensor.row_bytes % tensor.alignment:
            raise MisalignedError(name)

    def _rings(self, steps: np.ndarray) -> dict[str, Ring]:
        """Describe each ring, and the layers between which it holds rows."""
        rings = {}
        windows = self._windows.rings(steps.tolist(), len(self._rows))
        for name, tensor in self._tensors.items():
            if name in self._segment.whole:
                continue
            if name in windows:
                rings[name] = windows[name]
                continue
            state = self._states[name]
            if self._top[name] or name == self._segment.pushed:
                # Its padding is stored from the start; a row may arrive while any layer waits.
                span = 0, len(self._rows) - 1
            else:
                span = _span(state.begun, state.ended, steps)
            rings[name] = Ring(tensor, state.capacity, (span,), self._top[name])
        return rings


def _span(begun: Sequence[int], ended: Sequence[int], steps: np.ndarray) -> tuple[int, int]:
    """Return the first and the last layer of the events in some ranges."""
    count = len(steps) + 1
    begins = np.bincount(np.array(begun, np.int64), minlength=count)
    ends = np.bincount(np.array(ended, np.int64) + 1, minlength=count)
    found = steps[np.cumsum(begins - ends)[:-1] > 0]
    return (int(found.min()), int(found.max())) if len(found) else (0, 0)
