"""Read symbols and functions of a linked program."""

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
    """Return the bytes of the section ``.text``, or no bytes if there is no such section."""
    with elf.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        return b"" if section is None else bytes(section.data())


def entry_of(elf: Path) -> int:
    """Return the address of the program's entry point."""
    with elf.open("rb") as file:
        return int(ELFFile(file)["e_entry"])


def symbols_of(elf: Path) -> dict[str, tuple[int, int]]:
    """Return value and size of every symbol of a program, by name."""
    return {s.name: (int(s["st_value"]), int(s["st_size"])) for s in _symbols(elf)}


def functions_of(elf: Path) -> dict[str, tuple[int, int]]:
    """Return address and size of every function of a program, by name.

    The bit that marks Thumb code is removed from the addresses.
    """
    return {
        s.name: (int(s["st_value"]) & ~1, int(s["st_size"]))
        for s in _symbols(elf)
        if s["st_info"]["type"] == "STT_FUNC"
    }


def function_at(elf: Path, address: int) -> str | None:
    """Return the name of the function that contains an address.

    Parameters
    ----------
    elf
        Path of the program.
    address
        Address of an instruction.

    Returns
    -------
    str or None
        None if no function contains the address.
    """
    for name, (start, size) in functions_of(elf).items():
        if start <= address < start + max(size, 1):
            return name
    return None
