"""CPUs and boards as data."""

from tvmtiny.targets.table import (
    Board,
    Cpu,
    Region,
    Target,
    boards,
    cpus,
    find_board,
    resolve,
)

__all__ = ["Board", "Cpu", "Region", "Target", "boards", "cpus", "find_board", "resolve"]
