"""A twin in Python of the code that applies image differences on a board."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.images.link_delta import Piece

#: Kinds of records: docs/image-format.md.
_INSERT, _COPY_SHIFTED = 0, 2


def apply_pieces(old: bytes, pieces: Iterator[Piece], start: int = 0) -> bytes:
    """Make the new image from `start` on, from the old one and all pieces, as a board does."""
    new = bytearray()
    for piece in pieces:
        data, shift = iter(piece.data), 0
        for byte in data:
            head = _read(data, byte)
            kind, length = head & 3, head >> 2
            if kind == _INSERT:
                new += bytes(next(data) for _ in range(length))
                continue
            if kind == _COPY_SHIFTED:
                change = _read(data, next(data))
                shift += ~(change >> 1) if change & 1 else change >> 1
            place = start + len(new) + shift
            new += old[place : place + length]
    return bytes(new)


def _read(data: Iterator[int], byte: int) -> int:
    value, place = byte & 0x7F, 7
    while byte & 0x80:
        byte = next(data)
        value |= (byte & 0x7F) << place
        place += 7
    return value
