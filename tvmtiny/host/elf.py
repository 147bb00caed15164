"""Symbols and functions of a linked program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

__all__ = ["code_of", "entry_of", "function_at", "functions_of", "symbols_of"]


def _symbols(elf: Path) -> Iterator[Any]:
    with elf.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if isinstance(section, SymbolTableSection):
                yield from section.iter_symbols()


def code_of(elf: Path) -> bytes:
    """Give the bytes of the section ``.text``; none where there is no such section."""
    with elf.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        return b"" if section is None else bytes(section.data())


def entry_of(elf: Path) -> int:
    """Give the address that a program starts at."""
    with elf.open("rb") as file:
        return int(ELFFile(file)["e_entry"])


def symbols_of(elf: Path) -> dict[str, tuple[int, int]]:
    """Give value and size of every symbol of a program, by name."""
    return {s.name: (int(s["st_value"]), int(s["st_size"])) for s in _symbols(elf)}


def functions_of(elf: Path) -> dict[str, tuple[int, int]]:
    """Give address and size of every function of a program, by name.

    The bit that marks Thumb code is not part of an address.
    """
    return {
        s.name: (int(s["st_value"]) & ~1, int(s["st_size"]))
        for s in _symbols(elf)
        if s["st_info"]["type"] == "STT_FUNC"
    }


def function_at(elf: Path, address: int) -> str | None:
    """Give the function that an address lies in.

    Parameters
    ----------
    elf
        The program.
    address
        Of an instruction.

    Returns
    -------
    str or None
        None when the address is in no function.
    """
    for name, (start, size) in functions_of(elf).items():
        if start <= address < start + max(size, 1):
            return name
    return None
