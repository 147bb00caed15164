"""The order in which layers make rows, and where each row lies in its ring.

Whoever needs rows asks for them: before a layer makes rows, those that its window lacks are made.
Layers that ran as soon as they could would pile rows up where branches meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from tvmtiny.streaming.rows import RowRule

#: Beyond every row.
_FAR = 1 << 30


class MisalignedError(ValueError):
    """A kernel would get an address that is not aligned."""


@dataclass(frozen=True)
class RowTensor:
    """An activation of a segment.

    Attributes
    ----------
    height
        Rows.
    row_bytes
        Bytes of one.
    alignment
        Of the addresses that kernels get, in bytes.
    """

    name: str
    height: int
    row_bytes: int
    alignment: int = 4

    @property
    def nbytes(self) -> int:
        """All of it."""
        return self.height * self.row_bytes


@dataclass(frozen=True)
class RowLayer:
    """A layer of a segment.

    Attributes
    ----------
    reads
        Names of activations, each once.
    writes
        Name of the output.
    """

    reads: tuple[str, ...]
    writes: str
    rule: RowRule


@dataclass(frozen=True)
class Segment:
    """Consecutive layers that run row by row.

    Attributes
    ----------
    layers
        In a valid order.
    tensors
        By name, all that the layers read and write.
    whole
        Which of them exist as a whole: inputs of the segment, and its output.
    pushed
        The input whose rows come one by one, or None.
    """

    layers: tuple[RowLayer, ...]
    tensors: Mapping[str, RowTensor]
    whole: frozenset[str]
    pushed: str | None = None

    @property
    def output(self) -> str:
        """Name of what the segment is for: the output of its last layer."""
        return self.layers[-1].writes

    def margins(self, tensor: str) -> tuple[int, int]:
        """Rows of padding above and below a tensor that its readers reach.

        A tensor that exists as a whole has none: kernels for its first and last rows clip.
        """
        if tensor in self.whole:
            return 0, 0
        reached = [self._reached(layer, tensor) for layer in self.layers if tensor in layer.reads]
        return max((top for top, _ in reached), default=0), max((b for _, b in reached), default=0)

    def pad_of(self, tensor: str) -> int | None:
        """The byte of padding rows; None where readers want different ones."""
        pads = {
            layer.rule.pad
            for layer in self.layers
            if tensor in layer.reads and any(self._reached(layer, tensor))
        }
        return next(iter(pads), 0) if len(pads) < 2 else None

    def _reached(self, layer: RowLayer, tensor: str) -> tuple[int, int]:
        """Rows above and below a tensor that one reader reaches."""
        if layer.rule.fold:
            return 0, 0
        rule, height = layer.rule, self.tensors[layer.writes].height
        end = (height - 1) * rule.stride - rule.top + rule.reach
        return rule.top, max(end - self.tensors[tensor].height, 0)


class Kind(IntEnum):
    """What an event is."""

    CALL = 0
    TAKE = 1
    FOLD = 2
    FINISH = 3


@dataclass(frozen=True)
class Move:
    """Rows that go to the start of their ring; in slots of a row."""

    tensor: str
    source: int
    rows: int


@dataclass(frozen=True)
class Fill:
    """A slot that becomes a row of padding."""

    tensor: str
    slot: int
    rows: int = 1


@dataclass(frozen=True)
class Event:
    """One piece of work.

    Attributes
    ----------
    layer
        Position in the segment; -1 where a row is taken.
    row, rows
        First row that is made or taken, or added up, and how many.
    before
        Moves and fills that make room, in order.
    reads
        The slot of the first row of each input; None in a tensor that exists as a whole.
    writes
        The slot of the first row of the output; None as for `reads`, and for sums.
    above, below
        How many rows of the window lie outside of an input that exists as a whole.
    """

    kind: Kind
    layer: int
    row: int
    rows: int
    before: tuple[Move | Fill, ...] = ()
    reads: tuple[int | None, ...] = ()
    writes: int | None = None
    above: int = 0
    below: int = 0


@dataclass(frozen=True)
class Ring:
    """Memory of the rows of one tensor that are needed.

    Attributes
    ----------
    capacity
        Rows.
    first, last
        The layers, by position in the segment, while the ring holds rows.
    top
        Rows of padding that it begins with.
    """

    tensor: RowTensor
    capacity: int
    first: int
    last: int
    top: int

    @property
    def size(self) -> int:
        """Bytes."""
        return -(-self.capacity * self.tensor.row_bytes // 4) * 4


@dataclass(frozen=True)
class Schedule:
    """All that a segment does, in order.

    Attributes
    ----------
    rows
        How many rows each layer makes at a time.
    rings
        By tensor.
    last_read
        For each row of a whole input the event that reads it last.
    first_write
        For each row of the output the event that writes it.
    """

    segment: Segment
    rows: tuple[int, ...]
    events: tuple[Event, ...]
    rings: Mapping[str, Ring]
    last_read: Mapping[str, np.ndarray]
    first_write: np.ndarray


def schedule(segment: Segment, rows: Sequence[int]) -> Schedule:
    """Order the work of a segment.

    Parameters
    ----------
    rows
        How many rows each layer makes at a time; folds, how many they add up.

    Raises
    ------
    MisalignedError
        If a row that a kernel reads or writes would lie at an odd address.
    """
    run = _Run(segment, tuple(rows))
    run.order()
    return run.schedule()


@dataclass
class _State:
    """Rows first..first+count-1 of a tensor are there; `unused` slots are in front of them."""

    first: int
    count: int
    capacity: int
    unused: int = 0
    made: int = 0
    alive: list[tuple[int, int]] = field(default_factory=list)


class _Run:
    def __init__(self, segment: Segment, rows: tuple[int, ...]) -> None:
        self._segment, self._rows = segment, rows
        self._layers, self._tensors = segment.layers, segment.tensors
        self._producers = {layer.writes: k for k, layer in enumerate(segment.layers)}
        self._readers = {
            name: [k for k, layer in enumerate(segment.layers) if name in layer.reads]
            for name in segment.tensors
        }
        self._top = {name: segment.margins(name)[0] for name in segment.tensors}
        #: Output rows that each layer has made, or input rows that it has added up.
        self._done = [0] * len(rows)
        #: Kind, layer or tensor, row and rows, in order.
        self._order: list[tuple[Kind | None, int | str, int, int]] = []

    def _begin(self) -> dict[str, _State]:
        self._done = [0] * len(self._rows)
        states = {}
        for name, tensor in self._tensors.items():
            top = self._top[name]
            states[name] = _State(-top, top, max(top, 1))
            if name in self._segment.whole and name not in self._producers:
                states[name] = _State(-_FAR, 2 * _FAR, 0, made=tensor.height)
        return states

    def _low(self, layer: int) -> int:
        """The first input row that a layer still needs."""
        rule, done = self._layers[layer].rule, self._done[layer]
        if rule.fold:
            return done
        if done >= self._tensors[self._layers[layer].writes].height:
            return _FAR
        return done * rule.stride - rule.top

    def order(self) -> None:
        """Find the order of events, and how many rows each ring has to hold."""
        self._states = self._begin()
        for layer in (len(self._rows) - 1, *range(len(self._rows))):
            # The last one asks for what it needs; the rest is what nobody needs.
            while self._step(layer):
                pass
        pushed = self._segment.pushed
        while pushed is not None and self._states[pushed].made < self._tensors[pushed].height:
            self._make(pushed)

    def _room(self, name: str, rows: int) -> None:
        state = self._states[name]
        keep = min((self._low(k) for k in self._readers[name]), default=_FAR)
        drop = min(max(keep - state.first, 0), state.count)
        state.first, state.count = state.first + drop, state.count - drop
        state.capacity = max(state.capacity, state.count + rows)
        state.count += rows

    def _make(self, name: str) -> None:
        """More rows of a tensor."""
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
        for name in self._layers[layer].reads:
            state = self._states[name]
            while state.first + state.count < end:
                self._make(name)

    def _step(self, layer: int) -> bool:
        """Make the next rows; False where all are made."""
        rule, done = self._layers[layer].rule, self._done[layer]
        name = self._layers[layer].writes
        if rule.fold:
            return self._fold(layer)
        height = self._tensors[name].height
        if done >= height:
            return False
        rows = min(self._rows[layer], height - done)
        self._need(layer, done * rule.stride - rule.top + rule.window(rows))
        self._order.append((Kind.CALL, layer, done, rows))
        self._room(name, rows)
        self._states[name].made += rows
        self._done[layer] += rows
        return True

    def _fold(self, layer: int) -> bool:
        done, (name,) = self._done[layer], self._layers[layer].reads
        height = self._tensors[name].height
        if done > height:
            return False
        if done == height:
            self._order.append((Kind.FINISH, layer, 0, 1))
            self._done[layer] += 1
            return True
        rows = min(self._rows[layer], height - done)
        self._need(layer, done + rows)
        self._order.append((Kind.FOLD, layer, done, rows))
        self._done[layer] += rows
        return True

    def schedule(self) -> Schedule:
        """Go through the events again, now that the rings' sizes are known."""
        capacities = {name: state.capacity for name, state in self._states.items()}
        self._states = self._begin()
        for name, state in self._states.items():
            state.capacity = capacities[name]
        whole = self._segment.whole
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
                slot = self._place(name, rows, before)
                written[name][row] = number
                if kind is None:
                    before.append(Fill(name, slot))
                    continue
                events.append(Event(kind, -1, row, rows, tuple(before), (), slot))
                steps.append(0)
                before = []
                continue
            layer = int(what)
            rule, output = self._layers[layer].rule, self._layers[layer].writes
            low = row if rule.fold else row * rule.stride - rule.top
            high = low + (rows if rule.fold else rule.window(rows))
            reads: list[int | None] = []
            above = below = 0
            for name in self._layers[layer].reads if kind is not Kind.FINISH else ():
                reads.append(self._read(name, low))
                height = self._tensors[name].height
                if name in last_read:
                    above, below = max(-low, 0), max(high - height, 0)
                    last_read[name][max(low, 0) : min(high, height)] = number
                elif name not in whole:
                    self._use(name, low, high, number, written[name])
            writes = None
            if kind is Kind.CALL:
                if output in whole:
                    self._check(output, row)
                else:
                    writes = self._place(output, rows, before)
                    self._check(output, writes)
                    for made in range(row, row + rows):
                        written[output][made] = number
                    self._states[output].alive.append((number, number))
            if output == self._segment.output and kind is not Kind.FOLD:
                first_write[row : row + rows] = number
            events.append(
                Event(kind, layer, row, rows, tuple(before), tuple(reads), writes, above, below)
            )
            steps.append(layer)
            before = []
            self._done[layer] += rows
        rings = self._rings(np.array(steps, np.int64))
        return Schedule(self._segment, self._rows, tuple(events), rings, last_read, first_write)

    def _use(self, name: str, low: int, high: int, number: int, written: dict[int, int]) -> None:
        begun = min((written.get(row, 0) for row in range(low, high)), default=number)
        self._states[name].alive.append((begun, number))

    def _place(self, name: str, rows: int, before: list[Move | Fill]) -> int:
        """The slot of the next rows of a tensor; what makes room goes to `before`."""
        state = self._states[name]
        keep = min((self._low(k) for k in self._readers[name]), default=_FAR)
        drop = min(max(keep - state.first, 0), state.count)
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
        """Each ring, and between which layers it holds rows."""
        rings = {}
        for name, tensor in self._tensors.items():
            if name in self._segment.whole:
                continue
            state = self._states[name]
            change = np.zeros(len(steps) + 1, np.int64)
            for begun, ended in state.alive:
                change[begun] += 1
                change[ended + 1] -= 1
            alive = steps[np.cumsum(change)[:-1] > 0]
            first, last = (int(alive.min()), int(alive.max())) if len(alive) else (0, 0)
            if self._top[name] or name == self._segment.pushed:
                # Its padding is there from the start; a row may come while any layer waits.
                first, last = 0, len(self._rows) - 1
            rings[name] = Ring(tensor, state.capacity, first, last, self._top[name])
        return rings
