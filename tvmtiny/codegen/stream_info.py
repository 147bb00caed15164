"""What runs row by row, and in which form the generated code offers it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted

#: Name of the request for what says how far the work is, and what names of rings begin with.
STATE = "stream"
RING = "ring."


class StreamMode(str, Enum):
    """How a model runs.

    ``NONE`` runs layer by layer. ``INSIDE`` takes a whole input, and runs some layers row by row.
    With ``ROWS`` the caller pushes the rows of the input as they come. With ``TIME`` rows never
    end: each one completes another window over the last ones. ``AUTO`` is ``INSIDE`` where a RAM
    budget asks for it, and else ``NONE``.
    """

    NONE = "none"
    AUTO = "auto"
    INSIDE = "inside"
    ROWS = "rows"
    TIME = "time"

    @property
    def pushes(self) -> bool:
        """Whether the rows of the input are pushed."""
        return self in (StreamMode.ROWS, StreamMode.TIME)


def parse_stream(name: StreamMode | str) -> StreamMode:
    """The mode called `name`.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return StreamMode(name)
    except ValueError:
        known = ", ".join(mode.value for mode in StreamMode)
        raise InputError(
            f"no model can be streamed in mode {quoted(name)}; known: {known}"
        ) from None


@dataclass(frozen=True)
class RingInfo:
    """Memory of the rows of one activation that are needed.

    Attributes
    ----------
    tensor
        Name of its request in the plan.
    rows, bytes
        How many rows it holds, and its size.
    first, last
        The layers during which it holds rows.
    """

    tensor: str
    rows: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class SegmentInfo:
    """Consecutive layers that run row by row.

    Attributes
    ----------
    first, last
        The layers.
    rows
        How many rows each makes at a time; a pool over the whole image, how many it adds up.
    """

    first: int
    last: int
    rows: tuple[int, ...]
    rings: tuple[RingInfo, ...]


@dataclass(frozen=True)
class StreamInfo:
    """All segments of a model.

    Attributes
    ----------
    pushes
        Rows of the input that are pushed; 0 where the input is a whole.
    row_bytes
        Bytes of such a row.
    state_bytes
        Of the arena: what says how far the work is.
    pieces
        For each piece of work that makes something, in order: the layer, and bytes of its output.
    visits
        The layer of each piece of work, in order, whether it makes something or not.
    counted
        The first of these that counts for an inference: where windows slide, that of the last row.
    slices
        How many steps an inference takes; where windows slide, how many each further row.
    longest_slice_cycles
        Of the longest step, an estimate.
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
        """Bytes of all rings of the segment that has most."""
        return max((sum(r.bytes for r in s.rings) for s in self.segments), default=0)

    def summary(self) -> dict[str, Any]:
        """What ``--json`` prints."""
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
