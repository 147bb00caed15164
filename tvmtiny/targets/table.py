"""CPUs and boards, read from the TOML files beside this module.

Each entry of ``cpus.toml`` is a CPU, and each file in ``boards/`` is a board. Names are always
compared as a whole. Zephyr's boards are in ``boards/zephyr`` and have names such as
``zephyr:mps2_an385``. Boards from other places are also files.
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

#: Key of ``cpus.toml`` that is not a CPU.
_ALL_FEATURES = "all_features"


@dataclass(frozen=True)
class Cpu:
    """A processor core, as configured on a chip.

    Attributes
    ----------
    name
        Name of the core, such as ``cortex-m4``.
    description
        Description for users, one line.
    flags
        GCC options that select the core.
    link_flags
        GCC options that select libraries for the core; empty if `flags` select them.
    features
        Features of the instruction set that kernel families use: ``thumb2``, ``dsp``, ``fpu``,
        ``mve``.
    architecture
        Name of the architecture; see `tvmtiny.targets.architectures`.
    registers
        Number of word registers that code can use freely.
    unicorn
        Unicorn's constant for the core; None if Unicorn has none.
    fused_cycles
        Cycles of a fused multiply-add of floats.
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
        """Whether this CPU has all instructions that code for another CPU may use."""
        return self.architecture == other.architecture and other.features <= self.features


@dataclass(frozen=True)
class Region:
    """A contiguous range of a board's memory.

    Attributes
    ----------
    name
        Name of the region within the board.
    kind
        ``flash``, which holds code and constants, or ``ram``.
    origin, length
        Start address, and size in bytes.
    wait_states
        Cycles that the core waits for a line at its highest clock.
    line_bytes
        Size of a line, which is read at once, in bytes.
    cache_bytes
        Size of a data cache in front of the region, in bytes.
    """

    name: str
    kind: str
    origin: int
    length: int
    wait_states: int = 0
    line_bytes: int = 4
    cache_bytes: int = 0

    def wait_cycles(self, read_bytes: float, distinct_bytes: float) -> int:
        """Estimate the cycles that the core waits when it reads sequentially.

        Parameters
        ----------
        read_bytes
            Total number of bytes read.
        distinct_bytes
            Number of distinct bytes among them; if they fit the cache, each is read from memory
            once.
        """
        cached = distinct_bytes <= self.cache_bytes
        amount = min(read_bytes, distinct_bytes) if cached else read_bytes
        return round(amount / self.line_bytes * self.wait_states)

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.origin + self.length


@dataclass(frozen=True)
class Board:
    """A board: a CPU, its memory, and the platform that can run firmware on it.

    Attributes
    ----------
    name, description
        Name of the board, and a description for users, one line.
    cpu
        The processor.
    platform
        Name of the platform in :mod:`tvmtiny.project`; empty for a board for which code can be
        generated but not run.
    regions
        Memory regions, in the order of the file.
    code_region, data_region
        Name of the region for code and constants, and of the one for data and the stack.
    options
        Options that only the platform interprets.
    file
        Name of the board's file in error messages; empty for a board created in Python.
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
        """Return a memory region by name.

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
        """The target that generates code for this board."""
        return Target(self.cpu, self)


@dataclass(frozen=True)
class Target:
    """The target of code generation: a CPU, and the board if it is known."""

    cpu: Cpu
    board: Board | None = None

    @property
    def name(self) -> str:
        """Name of the board, or of the CPU if there is no board."""
        return self.cpu.name if self.board is None else self.board.name


@functools.cache
def cpus() -> Mapping[str, Cpu]:
    """Return all known CPUs by name, in the order of ``cpus.toml``."""
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
    """Return all features that a CPU may have; the position of each never changes."""
    return tuple(_table()[_ALL_FEATURES])


@functools.cache
def _table() -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath("cpus.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
