"""Measure flash and RAM of the generated code from the map file of GNU ld.

The model's own object files and the library members that the linker pulled in are counted. Start-up
code, test harness, the layer-by-layer entry point that only the harness calls, and the linker's few
bytes of padding are not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tvmtiny.results import FlashSizes
from tvmtiny.targets.architectures import Sections

__all__ = ["InputSection", "measure", "measure_archive", "read_map", "total_of"]

_START = "Linker script and memory map"
_OUTPUT = re.compile(r"^(?P<output>[._A-Za-z][\w.$-]*)(?:\s|$)")
_NAME_ONLY = re.compile(r"^ (?P<name>[._A-Za-z]\S*)$")
_SECTION = re.compile(
    r"^ (?P<name>[._A-Za-z]\S*)?\s+0x[0-9a-f]+\s+0x(?P<size>[0-9a-f]+)\s+(?P<file>\S.*)$"
)
_MEMBER = re.compile(r"^(?P<archive>.*\.a)\([^()]+\)$")

_TEXT = ".text"


@dataclass(frozen=True)
class InputSection:
    """A section of an object file, as placed by the linker.

    Attributes
    ----------
    output
        Section of the program that contains it.
    name
        Name of the section in its object file.
    size
        Size in bytes.
    file
        Object file, or ``archive(member)``.
    """

    output: str
    name: str
    size: int
    file: str

    @property
    def is_library(self) -> bool:
        """Whether the section comes from a member of an archive."""
        return _MEMBER.match(self.file) is not None


def read_map(text: str) -> Iterator[InputSection]:
    """Yield the sections that the linker kept.

    Parameters
    ----------
    text
        Content of a map file written by ``ld -Map``.
    """
    output = ""
    name = ""
    _, _, placed = text.partition(_START)
    for line in placed.splitlines():
        if match := _OUTPUT.match(line):
            output = match["output"]
            name = ""
        elif match := _NAME_ONLY.match(line):
            # ld breaks the line after a long name.
            name = match["name"]
        elif match := _SECTION.match(line):
            size = int(match["size"], 16)
            if size and (match["name"] or name):
                yield InputSection(output, match["name"] or name, size, match["file"])
            name = ""
        else:
            name = ""


def _belongs_to(section: InputSection, function: str, sections: Sections) -> bool:
    """Whether a section holds a function, or a part or clone of it that GCC split off."""
    others = tuple(f"{stem}." for stem in sections.constants)
    for prefix in (".text.", ".text.unlikely.", ".rodata.", ".data.rel.ro.local.", *others):
        stem = f"{prefix}{function}"
        if section.name == stem or section.name.startswith(f"{stem}."):
            return True
    return False


def measure(
    text: str,
    objects: Collection[str],
    excluded_functions: Collection[str],
    sections: Sections,
) -> tuple[FlashSizes, int]:
    """Add up the sizes of the model and the library functions that it uses.

    Parameters
    ----------
    text
        Content of a map file.
    objects
        Object files of the model, as passed to the linker.
    excluded_functions
        Functions in those files that exist only for tests; each must have its own section
        (``-ffunction-sections``).
    sections
        Section names of the architecture.

    Returns
    -------
    tuple of FlashSizes and int
        Flash, and RAM for variables in bytes.
    """
    code = constants = ram = 0
    for section in read_map(text):
        if not section.is_library and section.file not in objects:
            continue
        if any(_belongs_to(section, function, sections) for function in excluded_functions):
            continue
        if section.output == ".data":
            # Variables take RAM, and flash for their initial values.
            constants += section.size
            ram += section.size
        elif section.output in (".bss", ".tvmtiny_arena"):
            ram += section.size
        elif section.output == ".tvmtiny_weights":
            constants += section.size
            # Weights in RAM are copied from flash, as variables are.
            ram += section.size if sections.kind(section.name) == "data" else 0
        elif section.output == _TEXT and sections.kind(section.name) == "constants":
            constants += section.size
        elif section.output == _TEXT or section.output in sections.code:
            code += section.size
    return FlashSizes(code=code, constants=constants, total=code + constants), ram


def total_of(text: str, objects: Collection[str]) -> tuple[int, int]:
    """Return flash and RAM of object files in bytes, with vectors, without stack and heap.

    Parameters
    ----------
    text
        Content of a map file.
    objects
        Object files, as passed to the linker.
    """
    flash = ram = 0
    for section in read_map(text):
        if section.file not in objects:
            continue
        if section.output in (".text", ".vectors", ".data"):
            flash += section.size
        if section.output in (".data", ".bss"):
            ram += section.size
    return flash, ram


def measure_archive(
    text: str, archive: str, excluded_functions: Collection[str], sections: Sections
) -> tuple[FlashSizes, int]:
    """Add up the sizes of a library's members in a program with any linker script.

    Parameters
    ----------
    text
        Content of a map file.
    archive
        File name of the library.
    excluded_functions, sections
        As for :func:`measure`.

    Returns
    -------
    tuple of FlashSizes and int
        Flash, and RAM for variables in bytes.
    """
    code = constants = ram = 0
    for section in read_map(text):
        match = _MEMBER.match(section.file)
        if match is None or Path(match["archive"]).name != archive:
            continue
        if any(_belongs_to(section, function, sections) for function in excluded_functions):
            continue
        kind = sections.kind(section.name)
        if kind == "code":
            code += section.size
        elif kind == "constants":
            constants += section.size
        elif kind == "data":
            constants += section.size
            ram += section.size
        elif kind == "zeros":
            ram += section.size
    return FlashSizes(code=code, constants=constants, total=code + constants), ram
