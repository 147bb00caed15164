"""Segments of layers that run row by row, and the events of their schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tvmtiny.streaming.rows import RowRule

#: Slots of a tensor from this number on belong to its window.
WINDOW = 1 << 24


class MisalignedError(ValueError):
    """A kernel would get an unaligned address."""


@dataclass(frozen=True)
class RowTensor:
    """An activation of a segment.

    Attributes
    ----------
    height
        Number of rows.
    row_bytes
        Bytes of one row.
    alignment
        Alignment of the addresses that kernels get, in bytes.
    """

    name: str
    height: int
    row_bytes: int
    alignment: int = 4

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor."""
        return self.height * self.row_bytes


@dataclass(frozen=True)
class RowLayer:
    """A layer of a segment.

    Attributes
    ----------
    reads
        Names of the activations that the layer reads, each once.
    writes
        The name of the output.
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
        The layers, in a valid order.
    tensors
        All tensors that the layers read and write, by name.
    whole
        The tensors that are stored as a whole: inputs of the segment, and its output.
    pushed
        The input whose rows come one by one, or None.
    """

    layers: tuple[RowLayer, ...]
    tensors: Mapping[str, RowTensor]
    whole: frozenset[str]
    pushed: str | None = None

    @property
    def output(self) -> str:
        """The name of the segment's output, which its last layer writes."""
        return self.layers[-1].writes

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """The layer that writes each tensor, by position."""
        return {layer.writes: k for k, layer in enumerate(self.layers)}

    @cached_property
    def readers(self) -> Mapping[str, tuple[int, ...]]:
        """The layers that read each tensor, by position."""
        return {
            name: tuple(k for k, layer in enumerate(self.layers) if name in layer.reads)
            for name in self.tensors
        }

    @cached_property
    def tops(self) -> Mapping[str, int]:
        """Rows of padding above each tensor; see `margins`."""
        return {name: self.margins(name)[0] for name in self.tensors}

    def margins(self, tensor: str) -> tuple[int, int]:
        """Rows of padding above and below a tensor that its readers read.

        A tensor that is stored as a whole has none: kernels for its first and last rows clip.
        """
        if tensor in self.whole:
            return 0, 0
        reached = [self._reached(layer, tensor) for layer in self.layers if tensor in layer.reads]
        return max((top for top, _ in reached), default=0), max((b for _, b in reached), default=0)

    def pad_of(self, tensor: str) -> int | None:
        """The byte value of padding rows; None if readers need different values."""
        pads = {
            layer.rule.pad
            for layer in self.layers
            if tensor in layer.reads and any(self._reached(layer, tensor))
        }
        return next(iter(pads), 0) if len(pads) < 2 else None

    def _reached(self, layer: RowLayer, tensor: str) -> tuple[int, int]:
        """Rows above and below a tensor that one reader reads."""
        if layer.rule.fold or layer.rule.clips:
            return 0, 0
        low, end = layer.rule.span(0, self.tensors[layer.writes].height)
        return max(-low, 0), max(end - self.tensors[tensor].height, 0)


class Kind(IntEnum):
    """The kind of an event."""

    CALL = 0
    TAKE = 1
    FOLD = 2
    FINISH = 3


class Move(NamedTuple):
    """A move of rows; positions are slots of one row."""

    tensor: str
    source: int
    rows: int
    target: int = 0


class Fill(NamedTuple):
    """A slot to fill with a row of padding."""

    tensor: str
    slot: int
    rows: int = 1


class Event(NamedTuple):
    """One piece of work; a planner makes millions, which is why this is a tuple.

    Attributes
    ----------
    layer
        The position of the layer in the segment; -1 if the event takes an input row.
    row, rows
        The first row that is computed, taken or added up, and the number of rows.
    before
        Moves and fills that make room before the work, in order.
    reads
        The slot of the first row of each input; None for a tensor that is stored as a whole.
    writes
        The slot of the first row of the output; None as in `reads`, and for sums.
    above, below
        Number of rows of the window that are outside of an input that is stored as a whole or whose
        windows are clipped; together at most those of the window.
    variant
        The variant of the rows; see `RowRule.variant`.
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
    variant: int = 0


@dataclass(frozen=True)
class Ring:
    """The memory for the needed rows of one tensor.

    Attributes
    ----------
    capacity
        Number of rows.
    spans
        The first and the last layer, by position in the segment, of each range of layers during
        which the ring holds rows.
    top
        Number of rows of padding at the beginning.
    window
        The number of rows of a window, in which the rows are while `window_first` to `window_last`
        work; 0 if the rows are always in the ring.
    """

    tensor: RowTensor
    capacity: int
    spans: tuple[tuple[int, int], ...]
    top: int
    window: int = 0
    window_first: int = 0
    window_last: int = 0

    def layers(self, window: bool) -> set[int]:
        """The layers during which the window, or the ring, holds rows."""
        spans = ((self.window_first, self.window_last),) if window else self.spans
        return {layer for first, last in spans for layer in range(first, last + 1)}

    @property
    def size(self) -> int:
        """Bytes of the ring."""
        return -(-self.capacity * self.tensor.row_bytes // 4) * 4

    @property
    def window_size(self) -> int:
        """Bytes of the window."""
        return -(-self.window * self.tensor.row_bytes // 4) * 4


@dataclass(frozen=True)
class Schedule:
    """All events of a segment, in order.

    Attributes
    ----------
    rows
        How many rows each layer computes at a time.
    shared
        Whether rows move into windows that share memory.
    rings
        The rings, by tensor.
    last_read
        For each row of an input that is stored as a whole, the event that reads it last.
    first_write
        For each row of the output, the event that writes it.
    """

    segment: Segment
    rows: tuple[int, ...]
    shared: bool
    events: tuple[Event, ...]
    rings: Mapping[str, Ring]
    last_read: Mapping[str, np.ndarray]
    first_write: np.ndarray
