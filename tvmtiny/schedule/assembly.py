"""Assembly of micro-kernels as text, shared by the families for Thumb-2."""

from __future__ import annotations

from collections.abc import Sequence

#: Instructions, labels and directives.
Lines = list[str]

#: Largest immediate of ADDW and SUBW.
ADD_OFFSET = 4095


def add(register: str, count: int) -> Lines:
    """Add a constant of at most 20 bits and a sign to a register."""
    name, size = ("add", count) if count >= 0 else ("sub", -count)
    assert size < 1 << 20
    high, low = size & ~ADD_OFFSET, size & ADD_OFFSET
    lines = [f"{name} {register}, {register}, #{high}"] if high else []
    return lines + ([f"{name}w {register}, {register}, #{low}"] if low else [])


def move(register: str, value: int) -> Lines:
    """Set a register to a 32-bit constant."""
    low, high = value & 0xFFFF, value >> 16 & 0xFFFF
    return [f"movw {register}, #{low}"] + ([f"movt {register}, #{high}"] if high else [])


def text(lines: Sequence[str]) -> str:
    """Join lines into one C string literal."""
    return '"' + "".join(f"{line}\\n" for line in lines) + '"'
