"""CPUs and boards, read from the TOML files beside this module.

A CPU is one entry of ``cpus.toml``, a board is one file of ``boards/``. Names are looked up
exactly: nothing is ever recognised by a part of its name. Boards of Zephyr are in ``boards/zephyr``
and have names such as ``zephyr:mps2_an385``.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from tvmtiny.errors import UnknownTargetError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Board", "Cpu", "Region", "Target", "boards", "cpus", "find_board", "resolve"]

REGION_KINDS = ("flash", "ram")


@dataclass(frozen=True)
class Cpu:
    """A processor core as configured on a chip.

    Attributes
    ----------
    name
        Name, such as ``cortex-m4``.
    description
        One line for people.
    flags
        GCC options that select it.
    features
        What its instruction set offers: ``thumb``, ``thumb2``, ``dsp``, ``fpu``, ``mve``.
    """

    name: str
    description: str
    flags: tuple[str, ...]
    features: frozenset[str]


@dataclass(frozen=True)
class Region:
    """A contiguous piece of a board's memory.

    Attributes
    ----------
    name
        Name within the board.
    kind
        ``flash`` (holds code and constants) or ``ram``.
    origin, length
        First address, and size in bytes.
    """

    name: str
    kind: str
    origin: int
    length: int

    @property
    def end(self) -> int:
        """First address after the region."""
        return self.origin + self.length


@dataclass(frozen=True)
class Board:
    """A board: a CPU, its memory, and the platform that can run firmware on it.

    Attributes
    ----------
    name, description
        Name, and one line for people.
    cpu
        The processor.
    platform
        Name of the platform in :mod:`tvmtiny.project`.
    regions
        Memory, in the order of the file.
    code_region, data_region
        Names of the regions that hold code and constants, and data and the stack.
    options
        What only the platform understands.
    """

    name: str
    description: str
    cpu: Cpu
    platform: str
    regions: tuple[Region, ...]
    code_region: str
    data_region: str
    options: Mapping[str, Any] = field(hash=False)

    def region(self, name: str) -> Region:
        """Give the region of that name.

        Raises
        ------
        KeyError
            The board has no such region.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)

    @property
    def code(self) -> Region:
        """The region that holds code and constants."""
        return self.region(self.code_region)

    @property
    def data(self) -> Region:
        """The region that holds data and the stack."""
        return self.region(self.data_region)

    @property
    def target(self) -> Target:
        """The board as what code is generated for."""
        return Target(self.cpu, self)


@dataclass(frozen=True)
class Target:
    """What code is generated for: a CPU, and the board where it is known."""

    cpu: Cpu
    board: Board | None = None

    @property
    def name(self) -> str:
        """Name of the board, or of the CPU where there is no board."""
        return self.cpu.name if self.board is None else self.board.name


@functools.cache
def cpus() -> Mapping[str, Cpu]:
    """Give every known CPU by name, in the order of ``cpus.toml``."""
    text = resources.files(__package__).joinpath("cpus.toml").read_text(encoding="utf-8")
    return {
        name: Cpu(
            name=name,
            description=entry["description"],
            flags=tuple(entry["flags"]),
            features=frozenset(entry["features"]),
        )
        for name, entry in tomllib.loads(text).items()
    }


@functools.cache
def boards() -> Mapping[str, Board]:
    """Give every known board by name, sorted."""
    folder = resources.files(__package__).joinpath("boards")
    found = {}
    for prefix, part in (("", folder), ("zephyr/", folder.joinpath("zephyr"))):
        for file in part.iterdir():
            if file.name.endswith(".toml"):
                board = parse_board(file.read_text(encoding="utf-8"), prefix + file.name)
                found[board.name] = board
    return dict(sorted(found.items()))


def parse_board(text: str, source: str) -> Board:
    """Read one board file.

    Parameters
    ----------
    text
        The TOML text.
    source
        Name of the file: that of the board, with a folder in front where the name has a colon
        (``zephyr/mps2_an385.toml`` for ``zephyr:mps2_an385``).

    Raises
    ------
    ValueError
        A key is missing or contradicts another; the message names the file and the key.
    """
    try:
        entry = tomllib.loads(text)
        regions = tuple(
            Region(item["name"], item["kind"], item["origin"], item["length"])
            for item in entry["regions"]
        )
        board = Board(
            name=entry["name"],
            description=entry["description"],
            cpu=cpus()[entry["cpu"]],
            platform=entry["platform"],
            regions=regions,
            code_region=entry["code_region"],
            data_region=entry["data_region"],
            options=entry.get("options", {}),
        )
    except KeyError as error:
        raise ValueError(f"{source}: missing key or unknown CPU {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: {error}") from error
    _check_board(board, source)
    return board


def _check_board(board: Board, source: str) -> None:
    if source != f"{board.name.replace(':', '/')}.toml":
        raise ValueError(f"{source}: name is {board.name!r}, which must be the file's name")
    names = [region.name for region in board.regions]
    if len(set(names)) != len(names):
        raise ValueError(f"{source}: regions share a name")
    for region in board.regions:
        if region.kind not in REGION_KINDS or region.length <= 0 or region.origin < 0:
            raise ValueError(
                f"{source}: region {region.name}: kind must be one of {REGION_KINDS}, "
                "origin at least 0 and length above 0"
            )
    for key, name in (("code_region", board.code_region), ("data_region", board.data_region)):
        if name not in names:
            raise ValueError(f"{source}: {key} is {name!r}, which is not a region")
    ordered = sorted(board.regions, key=lambda region: region.origin)
    for low, high in itertools.pairwise(ordered):
        if low.end > high.origin:
            raise ValueError(f"{source}: regions {low.name} and {high.name} overlap")


def _unknown(name: str, known: Collection[str]) -> UnknownTargetError:
    lowered = name.lower().replace("_", "-")
    nearest = difflib.get_close_matches(lowered, known, n=3, cutoff=0.5)
    return UnknownTargetError(name=name, known=tuple(known), nearest=tuple(nearest))


def find_board(name: str) -> Board:
    """Give the board of that name.

    Raises
    ------
    UnknownTargetError
        There is none; the error suggests the nearest names.
    """
    try:
        return boards()[name]
    except KeyError:
        raise _unknown(name, boards().keys()) from None


def resolve(name: str) -> Target:
    """Give the target that a board's or a CPU's name stands for.

    Raises
    ------
    UnknownTargetError
        The name is neither; the error suggests the nearest names.
    """
    if name in boards():
        board = boards()[name]
        return Target(cpu=board.cpu, board=board)
    if name in cpus():
        return Target(cpu=cpus()[name])
    raise _unknown(name, (*boards(), *cpus()))
