"""Segments of layers that run row by row, and what they do in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from tvmtiny.streaming.rows import RowRule

#: Slots of a tensor from here on are those of its window.
WINDOW = 1 << 24


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
        if layer.rule.fold or layer.rule.clips:
            return 0, 0
        low, end = layer.rule.span(0, self.tensors[layer.writes].height)
        return max(-low, 0), max(end - self.tensors[tensor].height, 0)


class Kind(IntEnum):
    """What an event is."""

    CALL = 0
    TAKE = 1
    FOLD = 2
    FINISH = 3


@dataclass(frozen=True)
class Move:
    """Rows that go elsewhere; in slots of a row."""

    tensor: str
    source: int
    rows: int
    target: int = 0


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
        How many rows of the window lie outside of an input that exists as a whole, or whose
        windows are clipped.
    after
        Moves of what is kept from a window.
    variant
        Of the rows that are made; see `RowRule.variant`.
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
    after: tuple[Move, ...] = ()
    variant: int = 0


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
    window
        Where rows are only kept here, and the kernel reads them elsewhere: how many rows it reads.
    window_first, window_last
        Like `first` and `last`, of that memory.
    """

    tensor: RowTensor
    capacity: int
    first: int
    last: int
    top: int
    window: int = 0
    window_first: int = 0
    window_last: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return -(-self.capacity * self.tensor.row_bytes // 4) * 4

    @property
    def window_size(self) -> int:
        """Bytes of the window."""
        return -(-self.window * self.tensor.row_bytes // 4) * 4


@dataclass(frozen=True)
class Schedule:
    """All that a segment does, in order.

    Attributes
    ----------
    rows
        How many rows each layer makes at a time.
    shared
        Whether windows share memory.
    rings
        By tensor.
    last_read
        For each row of a whole input the event that reads it last.
    first_write
        For each row of the output the event that writes it.
    """

    segment: Segment
    rows: tuple[int, ...]
    shared: bool
    events: tuple[Event, ...]
    rings: Mapping[str, Ring]
    last_read: Mapping[str, np.ndarray]
    first_write: np.ndarray
