"""Programs and libraries that must be installed, and the packages that have them."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["CLibrary", "Tool"]

# What GCC says when a C library's headers, spec files or archives are not installed.
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
        Its name, such as ``arm-none-eabi-gcc``.
    package
        The package of Debian and Ubuntu that has it.
    purpose
        What it is needed for, such as ``to compile for Arm Cortex-M``.
    """

    name: str
    package: str
    purpose: str


@dataclass(frozen=True)
class CLibrary:
    """The C library of a compiler, where it is a package of its own.

    Attributes
    ----------
    name
        Its name, such as ``newlib``.
    compiler
        The compiler that needs it.
    package
        The package of Debian and Ubuntu that has it.
    specs
        Files of GCC's options that come with it, such as ``nano.specs``.
    archives
        Names of its archives, as in the option ``-l``.
    """

    name: str
    compiler: Tool
    package: str
    specs: tuple[str, ...]
    archives: tuple[str, ...]

    def is_missing(self, output: str) -> bool:
        """Whether a compiler or linker failed, by what it printed, since this is not installed."""
        specs, archives = ("|".join(map(re.escape, x)) for x in (self.specs, self.archives))
        pattern = _LIBRARY_MISSING.format(specs=specs, archives=archives)
        return re.search(pattern, output) is not None
