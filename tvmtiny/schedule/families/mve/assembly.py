"""Assembly of micro-kernels as text: special instructions, and whole functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tvmtiny.schedule.assembly import ADD_OFFSET as ADD_OFFSET
from tvmtiny.schedule.assembly import Lines as Lines
from tvmtiny.schedule.assembly import add as add
from tvmtiny.schedule.assembly import move as move
from tvmtiny.schedule.assembly import text as text

#: Bytes of one vector.
VECTOR = 16

#: Shifts that VQSHRN supports.
LEAST_SHIFT, MOST_SHIFT = 1, 16

#: Largest immediate offset of VLDRB.
VECTOR_OFFSET = 127


def vqshrn(target: int, source: int, shift: int, top: bool = False) -> str:
    """VQSHRNB or VQSHRNT: int32 lanes to int16, shifted right and saturated.

    GNU as 2.40 assembles this mnemonic as VQRSHRN, which rounds, so the encoding is written as a
    word.

    Parameters
    ----------
    target, source
        Numbers of vector registers.
    shift
        1 to 16.
    top
        Whether the upper halves of the target's lanes are written; otherwise the lower ones are.
    """
    assert LEAST_SHIFT <= shift <= MOST_SHIFT
    word = 0xEE900F40 | (16 - shift) << 16 | target << 13 | top << 12 | source << 1
    return f".inst.w 0x{word:08x}"


def repeated(parts: Sequence[Lines]) -> Lines:
    """Concatenate parts; equal neighbours are written once, and the assembler repeats them."""
    lines: Lines = []
    for part, equal in groupby(parts):
        count = len(list(equal))
        lines += part if count == 1 else [f".rept {count}", *part, ".endr"]
    return lines
