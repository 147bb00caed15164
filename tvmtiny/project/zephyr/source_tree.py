"""A Zephyr tree on this machine: its version, its boards, and running west in it.

If no path is given, the tree is located by the environment variable ``ZEPHYR_BASE``, like Zephyr's
own tools do.
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

#: Oldest supported version; earlier ones lack features that the application uses.
OLDEST_VERSION = (3, 3)

_NUMBER = re.compile(r"^(VERSION_MAJOR|VERSION_MINOR|PATCHLEVEL)\s*=\s*(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ZephyrTree:
    """A Zephyr source tree.

    Attributes
    ----------
    base
        Path of the tree, Zephyr's ``ZEPHYR_BASE``.
    version
        Major, minor and patch level.
    """

    base: Path
    version: tuple[int, int, int]

    def board_name(self, names: Sequence[str]) -> str:
        """Choose the name by which this tree knows a board.

        Parameters
        ----------
        names
            Names of the board in different versions of Zephyr, newest first.

        Raises
        ------
        UnknownTargetError
            The tree has no board of these names; the error suggests similar ones.
        """
        known = _boards(self.base)
        for name in names:
            # Since Zephyr 3.7, board names have parts: board, SoC, CPU cluster, variant. For a
            # board with one SoC, the devicetree is named after the board alone.
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
            Arguments for west.
        log_path
            File that receives everything that west prints.

        Returns
        -------
        str
            Output of west.

        Raises
        ------
        ToolMissingError
            West is not installed.
        BuildError
            West failed; the error contains the first line that gives the reason.
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
        Path of the tree; by default the value of the environment variable ``ZEPHYR_BASE``.
    oldest
        Oldest accepted version; None to accept any.

    Raises
    ------
    InputError
        There is no Zephyr tree, or its version is too old.
    """
    if base is None:
        named = os.environ.get("ZEPHYR_BASE", "")
        if not named:
            raise InputError(
                "ZEPHYR_BASE is not set, and builds need a Zephyr tree: get one (west init, west "
                "update), then export ZEPHYR_BASE=<its folder zephyr>"
            )
        base = Path(named)
    try:
        text = (base / "VERSION").read_text(encoding="utf-8", errors="replace")
        found = {key: int(value) for key, value in _NUMBER.findall(text)}
        version = (found["VERSION_MAJOR"], found["VERSION_MINOR"], found.get("PATCHLEVEL", 0))
    except (OSError, KeyError):
        raise InputError(
            f"ZEPHYR_BASE is {base}, which is not a Zephyr tree: its file VERSION is missing or "
            "has no version; set it to the folder zephyr of a west workspace"
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
    """Map the names of board devicetrees to whether the names of their boards have parts."""
    found: dict[str, bool] = {}
    for _, _, files in os.walk(base / "boards"):
        trees = [name.removesuffix(".dts") for name in files if name.endswith(".dts")]
        # A board.yml describes boards whose names have parts.
        found.update(dict.fromkeys(trees, "board.yml" in files))
    return found


# Most informative messages first: a Python package missing for a script of Zephyr; errors of a
# compiler, the linker or the devicetree compiler; Kconfig; and last CMake's report that one of them
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
    """Return the line of west's output that names the first problem.

    Parameters
    ----------
    log
        Output of west and of the programs that it runs: CMake, Kconfig, the devicetree compiler,
        compilers and linkers.
    """
    lines = [line.rstrip() for line in log.splitlines()]
    if _KCONFIG_ENDS in lines:
        # Kconfig aborts on any warning.
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
            # CMake prints the message on the following lines, indented.
            below = [text.strip() for text in lines[number + 1 : number + 8]]
            words = " ".join(text for text in below if text).split("Call Stack")[0]
            return f"{line.strip()} {words}".strip()
    spoken = [line.strip() for line in lines if line.strip()]
    return spoken[-1] if spoken else "no output"
