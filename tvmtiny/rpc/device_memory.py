"""Memory and link counters that a board reports."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tvmtiny.errors import DeviceError

__all__ = ["DeviceMemory", "parse_memory"]

_MEMORY = struct.Struct("<7I")


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of a board, and the counters of its end of the link.

    Attributes
    ----------
    heap_bytes
        Size of the heap for tensors of the host, in bytes.
    heap_free_bytes, largest_free_bytes
        Free bytes of the heap, and the size of its largest free block.
    stack_bytes
        Deepest stack of the last inference in bytes; 0 if it is not measured.
    frames, frames_dropped, frames_repeated
        Counters of link frames since the board was reset.
    """

    heap_bytes: int
    heap_free_bytes: int
    largest_free_bytes: int
    stack_bytes: int
    frames: int
    frames_dropped: int
    frames_repeated: int


def parse_memory(data: bytes) -> DeviceMemory:
    """Parse the result of ``tvmtiny.memory``.

    Raises
    ------
    DeviceError
        The data has the wrong size.
    """
    if len(data) != _MEMORY.size:
        raise DeviceError(
            f"tvmtiny.memory returned {len(data)} bytes, not {_MEMORY.size}; flash firmware that "
            "was built with this version of tvmtiny"
        )
    return DeviceMemory(*_MEMORY.unpack(data))
