"""What a board tells of itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tvmtiny.errors import DeviceError

__all__ = ["LARGEST_REPEATS", "DeviceMemory", "parse_memory"]

#: Inferences that ``tvmtiny.time`` measures at once.
LARGEST_REPEATS = 1000

_MEMORY = struct.Struct("<7I")


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of a board, and what its side of the link has counted.

    Attributes
    ----------
    heap_bytes
        Size of the heap for tensors of the host.
    heap_free_bytes, largest_free_bytes
        What is free of it, and the largest piece of that.
    stack_bytes
        Deepest stack of the last inference; 0 where that is not measured.
    frames, frames_dropped, frames_repeated
        Of the link since the board was reset.
    """

    heap_bytes: int
    heap_free_bytes: int
    largest_free_bytes: int
    stack_bytes: int
    frames: int
    frames_dropped: int
    frames_repeated: int


def parse_memory(data: bytes) -> DeviceMemory:
    """Read what ``tvmtiny.memory`` returns.

    Raises
    ------
    DeviceError
        Its size is wrong.
    """
    if len(data) != _MEMORY.size:
        raise DeviceError(
            f"tvmtiny.memory returned {len(data)} bytes, not {_MEMORY.size}; flash firmware that "
            "was built with this version of tvmtiny"
        )
    return DeviceMemory(*_MEMORY.unpack(data))
