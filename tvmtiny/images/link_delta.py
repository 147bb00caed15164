"""The difference between two images for the board link: what to copy, and what to insert.

A board applies the difference while it receives it: it copies from the image that runs and writes
to the other slot. Each piece is complete in itself, so an interrupted update resumes with any
piece. ``tvmtiny_delta.c`` decodes the pieces; docs/image-format.md describes their bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["PIECE_OUTPUT", "Piece", "make_pieces"]

#: Bytes of the new image that one piece makes at most: their writing is one call.
PIECE_OUTPUT = 1 << 14

#: Bytes of a key in the index of the old image, distance of its keys, and most places of a key.
_KEY, _STRIDE, _PLACES = 8, 4, 16
#: Shortest copies with the present shift and with another one.
_SHORTEST, _SHORTEST_SHIFTED = 3, 12
#: A copy with another shift must be longer than one with the present shift by this much.
_GAIN = 8
_INSERT, _COPY, _COPY_SHIFTED = range(3)


@dataclass(frozen=True)
class Piece:
    """A part of the difference.

    Attributes
    ----------
    offset, length
        The part of the new image that the piece makes; the offset is a multiple of 4.
    data
        The records of the piece.
    """

    offset: int
    length: int
    data: bytes


@dataclass(frozen=True)
class _Span:
    """Bytes of the new image: inserted, or copied from a place that is `shift` bytes later."""

    at: int
    length: int
    shift: int | None

    def head(self, length: int) -> _Span:
        return replace(self, length=length)

    def tail(self, start: int) -> _Span:
        return replace(self, at=self.at + start, length=self.length - start)


def make_pieces(
    old: bytes, new: bytes, start: int = 0, piece_bytes: int = 256, output: int = PIECE_OUTPUT
) -> Iterator[Piece]:
    """Make the pieces that turn an old image into a new one.

    Parameters
    ----------
    start
        Offset at which the first piece begins, a multiple of 4.
    piece_bytes
        Limit on the bytes of a piece's records, 64 or more.
    output
        Limit on the bytes that a piece makes, a multiple of 4.
    """
    spans = deque(_spans(old, new, start))
    offset = start
    while spans:
        taken = _take(spans, piece_bytes, output)
        data, shift = bytearray(), 0
        for span in taken:
            data += _record(span, shift)
            if span.shift is None:
                data += new[span.at : span.at + span.length]
            else:
                shift = span.shift
        length = sum(span.length for span in taken)
        yield Piece(offset, length, bytes(data))
        offset += length


def _spans(old: bytes, new: bytes, start: int) -> Iterator[_Span]:
    """Find what to copy, greedily and in order."""
    index: dict[bytes, list[int]] = {}
    for place in range(0, len(old) - _KEY + 1, _STRIDE):
        places = index.setdefault(old[place : place + _KEY], [])
        if len(places) < _PLACES:
            places.append(place)
    at = begin = start
    shift = 0
    while at < len(new):
        places = index.get(new[at : at + _KEY], [])
        if not places and old[at + shift : at + shift + 1] != new[at : at + 1]:
            at += 1
            continue
        length, back, found = _common(old, at + shift, new, at), 0, shift
        for place in places:
            longer = _common(old, place, new, at)
            before = _common_before(old, place, new, at, at - begin)
            if longer + before >= max(_SHORTEST_SHIFTED, length + back + _GAIN):
                length, back, found = longer, before, place - at
        if length < _SHORTEST:
            at += 1
            continue
        if begin < at - back:
            yield _Span(begin, at - back - begin, None)
        yield _Span(at - back, length + back, found)
        at += length
        begin, shift = at, found
    if begin < at:
        yield _Span(begin, at - begin, None)


def _common(old: bytes, place: int, new: bytes, at: int) -> int:
    """Return how many bytes are equal from here on."""
    if place < 0:
        return 0
    most = min(len(old) - place, len(new) - at)
    length, step = 0, 16
    while length < most:
        step = min(step, most - length)
        here, there = place + length, at + length
        if old[here : here + step] == new[there : there + step]:
            length += step
            step *= 2
        elif step == 1:
            break
        else:
            step //= 2
    return max(length, 0)


def _common_before(old: bytes, place: int, new: bytes, at: int, most: int) -> int:
    length = 0
    while length < min(most, place) and old[place - length - 1] == new[at - length - 1]:
        length += 1
    return length


def _take(spans: deque[_Span], piece_bytes: int, output: int) -> list[_Span]:
    """Take the spans of one piece, and divide those at its end."""
    taken: list[_Span] = []
    size = made = shift = 0
    while spans and made < output:
        span = spans[0]
        length = min(span.length, output - made)
        record = len(_record(span.head(length), shift))
        if span.shift is None:
            length = min(length, piece_bytes - size - record)
        if length <= 0 or size + record > piece_bytes:
            break
        spans.popleft()
        if length < span.length:
            spans.appendleft(span.tail(length))
        taken.append(span.head(length))
        size += record + (length if span.shift is None else 0)
        shift = shift if span.shift is None else span.shift
        made += length
    rest = made % 4 if spans else 0
    while rest:
        span = taken.pop()
        given = min(rest, span.length)
        spans.appendleft(span.tail(span.length - given))
        if given < span.length:
            taken.append(span.head(span.length - given))
        rest -= given
    return taken


def _record(span: _Span, shift: int) -> bytes:
    """Encode a record without the bytes that it inserts, given the shift of the last copy."""
    if span.shift is None:
        return _number(span.length << 2 | _INSERT)
    if span.shift == shift:
        return _number(span.length << 2 | _COPY)
    change = span.shift - shift
    zigzag = change << 1 if change >= 0 else ~change << 1 | 1
    return _number(span.length << 2 | _COPY_SHIFTED) + _number(zigzag)


def _number(value: int) -> bytes:
    """Write seven bits per byte, the lowest first; the highest bit means that more follow."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
