"""Check whether a model can fit a board before a build, and read linker overflows after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tvmtiny.errors import CapacityError, RegionDemand

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.targets import Board

__all__ = ["check_capacities", "check_capacity", "memory_demands", "overflow_error"]

_OVERFLOW = re.compile(r"region [`'](?P<region>[^']+)' overflowed by (?P<bytes>\d+) byte")


def check_capacity(
    artifact: Artifact, board: Board, stack_bytes: int, extra_ram: int, extra_flash: int
) -> None:
    """Raise if a model cannot fit a board.

    Parameters
    ----------
    artifact
        The generated model.
    board
        The board to check against.
    stack_bytes
        Bytes reserved for the stack.
    extra_ram, extra_flash
        Lower bounds on the bytes used by start-up code and test harness.

    Raises
    ------
    CapacityError
        A region is too small. The error lists all regions, starting with one that is too small.

    Notes
    -----
    The size of the machine code is only known after compilation and is not included. The linker's
    verdict is final (:func:`overflow_error`).
    """
    check_capacities((artifact,), board, stack_bytes, extra_ram, extra_flash)


def check_capacities(
    artifacts: Sequence[Artifact], board: Board, stack_bytes: int, extra_ram: int, extra_flash: int
) -> None:
    """Raise if models cannot fit a board together; see :func:`check_capacity`."""
    demands = {board.data_region: 0}
    demands.setdefault(board.code_region, 0)
    for artifact in artifacts:
        for region, count in memory_demands(artifact, board).items():
            demands[region] = demands.get(region, 0) + count
    demands[board.data_region] += stack_bytes + extra_ram
    demands[board.code_region] += extra_flash
    _raise_if_short(demands, board)


def memory_demands(artifact: Artifact, board: Board) -> dict[str, int]:
    """Return the bytes of the board's regions that arena, states and constants take, by region.

    The regions for data and for code are always included, data first.
    """
    placement = artifact.placement
    demands = {board.data_region: 0}
    demands.setdefault(board.code_region, 0)

    def take(region: str, count: int) -> None:
        demands[region] = demands.get(region, 0) + count

    take(placement.arena or board.data_region, artifact.arena_bytes)
    take(board.data_region, artifact.state_bytes)
    take(placement.weights or board.code_region, artifact.constants_bytes)
    if placement.weights_in_ram:
        # Start-up code copies the weights to RAM from there.
        take(board.code_region, artifact.constants_bytes)
    return demands


def _raise_if_short(demands: dict[str, int], board: Board) -> None:
    regions = [
        RegionDemand(name, needed, board.region(name).length) for name, needed in demands.items()
    ]
    ordered = sorted(regions, key=lambda region: region.needed <= region.available)
    first = ordered[0]
    if first.needed > first.available:
        raise CapacityError(
            region=first.region,
            needed=first.needed,
            available=first.available,
            board=board.name,
            others=tuple(ordered[1:]),
        )


def overflow_error(log: str, board: Board) -> CapacityError | None:
    """Parse the messages of GNU ld about regions that are too small.

    Parameters
    ----------
    log
        Output of the linker.
    board
        The board that was linked for.

    Returns
    -------
    CapacityError or None
        None if the linker failed for another reason.
    """
    demands: dict[str, int] = {}
    for match in _OVERFLOW.finditer(log):
        needed = board.region(match["region"]).length + int(match["bytes"])
        demands[match["region"]] = max(needed, demands.get(match["region"], 0))
    try:
        if demands:
            _raise_if_short(demands, board)
    except CapacityError as error:
        return error
    return None
