"""Assembly of micro-kernels as text: instructions that need care, and whole functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

#: Bytes of one vector.
VECTOR = 16

#: Shifts that VQSHRN takes.
LEAST_SHIFT, MOST_SHIFT = 1, 16

#: Largest immediate offset of VLDRB, and of ADDW and SUBW.
VECTOR_OFFSET, ADD_OFFSET = 127, 4095

Lines = list[str]


def vqshrn(target: int, source: int, shift: int, top: bool = False) -> str:
    """VQSHRNB or VQSHRNT: int32 lanes to int16, shifted right and saturated.

    GNU as 2.40 assembles its name as VQRSHRN, which rounds, so that the word is given.

    Parameters
    ----------
    target, source
        Numbers of vector registers.
    shift
        1 to 16.
    top
        Whether the upper halves of the target's lanes are written, or the lower ones.
    """
    assert LEAST_SHIFT <= shift <= MOST_SHIFT
    word = 0xEE900F40 | (16 - shift) << 16 | target << 13 | top << 12 | source << 1
    return f".inst.w 0x{word:08x}"


def add(register: str, count: int) -> Lines:
    """Add any constant of at most 20 bits and a sign to a register."""
    name, size = ("add", count) if count >= 0 else ("sub", -count)
    assert size < 1 << 20
    high, low = size & ~ADD_OFFSET, size & ADD_OFFSET
    lines = [f"{name} {register}, {register}, #{high}"] if high else []
    return lines + ([f"{name}w {register}, {register}, #{low}"] if low else [])


def move(register: str, value: int) -> Lines:
    """Set a register to any 32-bit constant."""
    low, high = value & 0xFFFF, value >> 16 & 0xFFFF
    return [f"movw {register}, #{low}"] + ([f"movt {register}, #{high}"] if high else [])


def repeated(parts: Sequence[Lines]) -> Lines:
    """Parts one after the other; equal neighbours are written once, for the assembler to repeat."""
    lines: Lines = []
    for part, equal in groupby(parts):
        count = len(list(equal))
        lines += part if count == 1 else [f".rept {count}", *part, ".endr"]
    return lines


def text(lines: Sequence[str]) -> str:
    """Lines as one string literal of C."""
    return '"' + "".join(f"{line}\\n" for line in lines) + '"'
