"""CPUs and boards, read from the TOML files beside this module.

A CPU is one entry of ``cpus.toml``, a board is one file of ``boards/``. Names are looked up
exactly: nothing is ever recognised by a part of its name. Boards of Zephyr are in ``boards/zephyr``
and have names such as ``zephyr:mps2_an385``; boards from elsewhere are files, too.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from tvmtiny.targets.architectures import find_architecture

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Board", "Cpu", "Region", "Target", "all_features", "cpus"]

#: The key of ``cpus.toml`` that is no CPU.
_ALL_FEATURES = "all_features"


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
    link_flags
        GCC options that select libraries for it; empty where `flags` do.
    features
        What its instruction set offers to kernel families: ``thumb2``, ``dsp``, ``fpu``, ``mve``.
    architecture
        Name of its architecture; see `tvmtiny.targets.architectures`.
    registers
        How many registers of words code can use for whatever it likes.
    unicorn
        Unicorn's constant of it; None where Unicorn has none.
    fused_cycles
        Cycles of a fused multiplication and addition of floats.
    """

    name: str
    description: str
    flags: tuple[str, ...]
    features: frozenset[str]
    architecture: str
    registers: int
    unicorn: str | None = None
    fused_cycles: int = 1
    link_flags: tuple[str, ...] = ()

    def runs_code_for(self, other: Cpu) -> bool:
        """Whether it has all instructions that code for another CPU may use."""
        return self.architecture == other.architecture and other.features <= self.features


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
    wait_states
        Cycles that the core waits for a line at its highest clock.
    line_bytes
        Bytes of a line, which are read at once.
    cache_bytes
        Of a cache for data in front of it.
    """

    name: str
    kind: str
    origin: int
    length: int
    wait_states: int = 0
    line_bytes: int = 4
    cache_bytes: int = 0

    def wait_cycles(self, read_bytes: float, distinct_bytes: float) -> int:
        """Cycles that the core waits for what it reads in order.

        Parameters
        ----------
        read_bytes
            All that is read.
        distinct_bytes
            How much of that is not read again: what fits the cache is read once.
        """
        cached = distinct_bytes <= self.cache_bytes
        amount = min(read_bytes, distinct_bytes) if cached else read_bytes
        return round(amount / self.line_bytes * self.wait_states)

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
        Name of the platform in :mod:`tvmtiny.project`; empty for a board that code is generated for
        and that no platform runs.
    regions
        Memory, in the order of the file.
    code_region, data_region
        Names of the regions that hold code and constants, and data and the stack.
    options
        What only the platform understands.
    file
        What errors call the file that the board is from; empty for a board made in Python.
    """

    name: str
    description: str
    cpu: Cpu
    platform: str
    regions: tuple[Region, ...]
    code_region: str
    data_region: str
    options: Mapping[str, Any] = field(hash=False)
    file: str = field(default="", compare=False)

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
    return {
        name: Cpu(
            name=name,
            description=entry["description"],
            flags=tuple(entry["flags"]),
            features=frozenset(entry["features"]),
            architecture=find_architecture(entry["architecture"]).name,
            registers=entry["registers"],
            fused_cycles=entry.get("fused_cycles", 1),
            unicorn=entry.get("unicorn"),
            link_flags=tuple(entry.get("link_flags", ())),
        )
        for name, entry in _table().items()
        if name != _ALL_FEATURES
    }


def all_features() -> tuple[str, ...]:
    """Give every feature that a CPU may have; the position of each never changes."""
    return tuple(_table()[_ALL_FEATURES])


@functools.cache
def _table() -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath("cpus.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
