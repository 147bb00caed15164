"""Programs and libraries that must be installed, and the packages that provide them."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["CLibrary", "Tool"]

# GCC's messages if a C library's headers, spec files or archives are not installed.
_LIBRARY_MISSING = (
    r"cannot read spec file '(?:{specs})'"
    r"|fatal error: (?:stdint|stddef|math|string|limits)\.h: No such file"
    r"|cannot find -l(?:{archives})\b"
)


@dataclass(frozen=True)
class Tool:
    """A program that must be installed.

    Attributes
    ----------
    name
        Name of the program, such as ``arm-none-eabi-gcc``.
    package
        Debian and Ubuntu package that provides the program.
    purpose
        Purpose, such as ``to compile for Arm Cortex-M``.
    """

    name: str
    package: str
    purpose: str


@dataclass(frozen=True)
class CLibrary:
    """The C library of a compiler that is packaged separately.

    Attributes
    ----------
    name
        Name of the library, such as ``newlib``.
    compiler
        Compiler that needs the library.
    package
        Debian and Ubuntu package that provides the library.
    specs
        GCC spec files of the library, such as ``nano.specs``.
    archives
        Names of its archives, as passed to the option ``-l``.
    """

    name: str
    compiler: Tool
    package: str
    specs: tuple[str, ...]
    archives: tuple[str, ...]

    def is_missing(self, output: str) -> bool:
        """Whether a compiler's or linker's output shows that this library is not installed."""
        specs, archives = ("|".join(map(re.escape, x)) for x in (self.specs, self.archives))
        pattern = _LIBRARY_MISSING.format(specs=specs, archives=archives)
        return re.search(pattern, output) is not None
