"""Description of the segments that run row by row, and of the interface to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from tvmtiny.errors.choices import parse_choice

#: Name of the request for the progress of the work, and prefix of the names of rings.
STATE = "stream"
RING = "ring."
#: Prefix of the names of rings that hold rows again, after layers that had the rows in a window.
LATER = "later."
#: Prefix of the names of windows that share memory.
WINDOW = "window."


class StreamMode(str, Enum):
    """The way in which a model runs.

    ``NONE`` runs layer by layer. ``INSIDE`` takes a whole input and runs some layers row by row.
    With ``ROWS`` the caller pushes the rows of an input as they arrive. With ``TIME`` rows arrive
    without end: each one completes another window over the most recent rows. ``AUTO`` means
    ``INSIDE`` if a RAM budget requires it, else ``NONE``.
    """

    NONE = "none"
    AUTO = "auto"
    INSIDE = "inside"
    ROWS = "rows"
    TIME = "time"

    @property
    def pushes(self) -> bool:
        """Whether the caller pushes the rows of the input."""
        return self in (StreamMode.ROWS, StreamMode.TIME)


def parse_stream(name: StreamMode | str) -> StreamMode:
    """Return the mode called `name`.

    Raises
    ------
    InputError
        If there is no mode of that name.
    """
    return parse_choice(StreamMode, name, "no model can be streamed in mode {}")


@dataclass(frozen=True)
class RingInfo:
    """The ring that holds the most recent rows of an activation.

    Attributes
    ----------
    tensor
        Name of the request in the plan.
    rows, bytes
        Capacity in rows, and size in bytes.
    first, last
        The layers during which it holds rows.
    window_bytes
        Where rows are only kept here, the size of the window that a layer reads.
    """

    tensor: str
    rows: int
    bytes: int
    first: int
    last: int
    window_bytes: int = 0


@dataclass(frozen=True)
class SegmentInfo:
    """Consecutive layers that run row by row.

    Attributes
    ----------
    first, last
        First and last layer.
    rows
        How many rows each makes at a time; a pool over the whole image, how many it adds up.
    rings_bytes
        The most bytes of rings and windows that hold rows while one layer works.
    shared
        Whether rows move into windows that share memory.
    peak
        Bytes that were planned for all that is alive.
    """

    first: int
    last: int
    rows: tuple[int, ...]
    rings: tuple[RingInfo, ...]
    rings_bytes: int
    shared: bool = False
    peak: int = 0


@dataclass(frozen=True)
class StreamInfo:
    """The segments of a model and the steps of an inference.

    Attributes
    ----------
    mode
        How the model runs.
    segments
        The segments, in order.
    pushes
        Rows of an input that the caller pushes; 0 if it passes a whole input.
    row_bytes
        Bytes of a pushed row.
    state_bytes
        Bytes of the arena that record the progress of an inference.
    pieces
        For each piece of work with an output, in order: the layer, and bytes of the output.
    visits
        The layer of each piece of work, in order, including pieces without an output.
    counted
        Index of the first piece that counts for an inference: with sliding windows, the one that
        takes the last row.
    slices
        Steps of an inference; with sliding windows, steps of each further row.
    longest_slice_cycles
        Estimated cycles of the longest step.
    """

    mode: StreamMode
    segments: tuple[SegmentInfo, ...]
    pushes: int
    row_bytes: int
    state_bytes: int
    pieces: tuple[tuple[int, int], ...]
    visits: tuple[int, ...]
    counted: int = 0
    slices: int = 0
    longest_slice_cycles: int = 0

    @property
    def rings_bytes(self) -> int:
        """The most bytes of rings and windows that hold rows while one layer works."""
        return max((segment.rings_bytes for segment in self.segments), default=0)

    def summary(self) -> dict[str, Any]:
        """Return the entries of ``--json``."""
        return {
            "mode": self.mode.value,
            "segments": [
                {"first": s.first, "last": s.last, "rows": list(s.rows)} for s in self.segments
            ],
            "rings_bytes": self.rings_bytes,
            "pushes": self.pushes,
            "slices": self.slices,
            "longest_slice_estimated_cycles": self.longest_slice_cycles,
        }
