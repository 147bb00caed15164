"""A Zephyr tree on this machine: its version, its boards, and running west in it.

Zephyr's own programs find the tree by the environment variable ``ZEPHYR_BASE``, and so does this
module where no path is given.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvmtiny.errors import BuildError, InputError, ToolMissingError, UnknownTargetError
from tvmtiny.host.logged_process import run_logged

__all__ = ["OLDEST_VERSION", "ZephyrTree", "find_tree", "first_west_error"]

#: Older trees lack what the application uses.
OLDEST_VERSION = (3, 3)

_NUMBER = re.compile(r"^(VERSION_MAJOR|VERSION_MINOR|PATCHLEVEL)\s*=\s*(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ZephyrTree:
    """A Zephyr tree.

    Attributes
    ----------
    base
        Its directory, Zephyr's ``ZEPHYR_BASE``.
    version
        Major, minor and patch level.
    """

    base: Path
    version: tuple[int, int, int]

    def board_name(self, names: Sequence[str]) -> str:
        """Choose the name that this tree has for a board.

        Parameters
        ----------
        names
            Its names in different versions of Zephyr, newest first.

        Raises
        ------
        UnknownTargetError
            The tree has none of them; the error suggests the nearest names.
        """
        known = _boards(self.base)
        for name in names:
            # Since Zephyr 3.7, names of boards have parts: board, SoC, CPU cluster, variant. The
            # devicetree of a board with one SoC has the board's name alone.
            parts = name.split("@")[0].split("/")
            for count in range(len(parts), 0, -1):
                has_parts = known.get("_".join(parts[:count]))
                if has_parts is not None and (has_parts or len(parts) == 1):
                    return name
        wanted = names[-1]
        nearest = difflib.get_close_matches(wanted.replace("/", "_"), known, n=3, cutoff=0.5)
        raise UnknownTargetError(
            name=wanted,
            known=(f"the {len(known)} boards that `west boards` lists",),
            nearest=tuple(nearest),
            kind="board of Zephyr",
        )

    def west(self, arguments: Sequence[str], log_path: Path) -> str:
        """Run west.

        Parameters
        ----------
        arguments
            Its arguments.
        log_path
            File for everything that it prints.

        Returns
        -------
        str
            What it printed.

        Raises
        ------
        ToolMissingError
            West is not installed.
        BuildError
            It failed; the error has the first line that says why.
        """
        program = shutil.which("west")
        if program is None:
            raise ToolMissingError("west", "west", "to build with Zephyr", "pip")
        command = (program, *arguments)
        code, output = run_logged(
            command, log_path, environment={**os.environ, "ZEPHYR_BASE": str(self.base)}
        )
        if code != 0:
            raise BuildError(
                command=command, log_path=log_path, first_error_line=first_west_error(output)
            )
        return output


def find_tree(
    base: Path | None = None, oldest: tuple[int, ...] | None = OLDEST_VERSION
) -> ZephyrTree:
    """Find the Zephyr tree.

    Parameters
    ----------
    base
        Its directory; by default what the environment variable ``ZEPHYR_BASE`` says.
    oldest
        What is refused is older; None for nothing.

    Raises
    ------
    InputError
        There is none, or it is too old.
    """
    if base is None:
        named = os.environ.get("ZEPHYR_BASE", "")
        if not named:
            raise InputError(
                "ZEPHYR_BASE is not set, and without a Zephyr tree nothing can be built: get one "
                "(west init, west update), then export ZEPHYR_BASE=<its folder zephyr>"
            )
        base = Path(named)
    try:
        text = (base / "VERSION").read_text(encoding="utf-8", errors="replace")
        found = {key: int(value) for key, value in _NUMBER.findall(text)}
        version = (found["VERSION_MAJOR"], found["VERSION_MINOR"], found.get("PATCHLEVEL", 0))
    except (OSError, KeyError):
        raise InputError(
            f"ZEPHYR_BASE is {base}, which is no Zephyr tree: it has no file VERSION that says "
            "which; set it to the folder zephyr of a west workspace"
        ) from None
    if oldest is not None and version < oldest:
        raise InputError(
            f"the Zephyr tree in {base} is version {'.'.join(map(str, version))}; "
            f"{'.'.join(map(str, oldest))} or newer is needed: update it, or set "
            "ZEPHYR_BASE to another"
        )
    return ZephyrTree(base.resolve(), version)


@functools.lru_cache(maxsize=4)
def _boards(base: Path) -> Mapping[str, bool]:
    """Devicetrees of boards by name, and whether their boards' names have parts."""
    found: dict[str, bool] = {}
    for _, _, files in os.walk(base / "boards"):
        trees = [name.removesuffix(".dts") for name in files if name.endswith(".dts")]
        # What describes a board since names have parts.
        found.update(dict.fromkeys(trees, "board.yml" in files))
    return found


# What says most comes first: a Python package that a script of Zephyr lacks, a complaint of a
# compiler, a linker or the devicetree's compiler, then of Kconfig, rather than CMake's that they
# failed.
_COMPLAINTS = (
    re.compile(r"^(?:ModuleNotFoundError|ImportError): "),
    re.compile(
        r"\b(?:fatal |devicetree |syntax )error\b|\berror: (?!Aborting)|undefined reference to|"
        r"overflowed by \d+|ld: cannot find"
    ),
    re.compile(r"kconfig\.py: "),
    re.compile(r"^CMake Error"),
    re.compile(r"^FATAL ERROR:|^ERROR:|^west: error:"),
)
_KCONFIG_BEGINS = re.compile(r"^Parsing \S*Kconfig$")
_KCONFIG_ENDS = "error: Aborting due to Kconfig warnings"


def first_west_error(log: str) -> str:
    """Give the line of what west printed that says what went wrong first.

    Parameters
    ----------
    log
        Output of west, and of CMake, Kconfig, the devicetree compiler, compilers and linkers below.
    """
    lines = [line.rstrip() for line in log.splitlines()]
    if _KCONFIG_ENDS in lines:
        # Any warning is an error there.
        begins = [number for number, line in enumerate(lines) if _KCONFIG_BEGINS.match(line)]
        for line in lines[begins[-1] if begins else 0 :]:
            if "warning: " in line:
                return line.strip()
    for pattern in _COMPLAINTS:
        for number, line in enumerate(lines):
            if not pattern.search(line.strip()):
                continue
            if not line.startswith("CMake Error"):
                return line.strip()
            # CMake writes the message below, indented.
            below = [text.strip() for text in lines[number + 1 : number + 8]]
            words = " ".join(text for text in below if text).split("Call Stack")[0]
            return f"{line.strip()} {words}".strip()
    spoken = [line.strip() for line in lines if line.strip()]
    return spoken[-1] if spoken else "no output"
