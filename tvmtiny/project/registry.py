"""Look up the platform of a board, and the board that an artifact runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.project.qemu.candidate_build import build_qemu_runner
from tvmtiny.project.qemu.options import QemuOptions
from tvmtiny.project.qemu.platform import QemuPlatform
from tvmtiny.project.zephyr.board import ZephyrBoard
from tvmtiny.project.zephyr.candidate_build import build_zephyr_runner
from tvmtiny.project.zephyr.platform import ZephyrPlatform
from tvmtiny.targets import find_board
from tvmtiny.targets.values import Values

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.project.api import Platform
    from tvmtiny.project.candidate_firmware import RunnerFirmware
    from tvmtiny.targets import Board, BoardLike

__all__ = ["board_for", "build_runner", "check_board", "platform_for"]

_PLATFORMS: Mapping[str, Callable[[], Platform]] = {"qemu": QemuPlatform, "zephyr": ZephyrPlatform}
_RUNNERS: Mapping[str, Callable[[Board, Path], RunnerFirmware]] = {
    "qemu": build_qemu_runner,
    "zephyr": build_zephyr_runner,
}
_READERS: Mapping[str, Callable[[Board], object]] = {
    "qemu": QemuOptions.of,
    "zephyr": ZephyrBoard.of,
}


def check_board(board: Board) -> None:
    """Raise if a board's platform cannot parse its options; a board without a platform passes.

    Raises
    ------
    BoardFileError
        The platform does not exist, or an option is missing, unknown or invalid.
    """
    if board.platform:
        platform_for(board)
        _READERS[board.platform](board)


def platform_for(board: Board) -> Platform:
    """Return the platform of a board.

    Raises
    ------
    InputError
        The board names no platform.
    BoardFileError
        The board names an unknown platform.
    """
    if not board.platform:
        raise InputError(
            f"{board.name} has no platform, so its firmware cannot be built or run; name one in "
            f"its file ({', '.join(_PLATFORMS)}), or compile and export for it"
        )
    values = Values({"platform": board.platform}, board.file or board.name)
    return _PLATFORMS[values.choice("platform", _PLATFORMS)]()


def board_for(artifact: Artifact, board: BoardLike | None) -> Board:
    """Return the board on which to run an artifact.

    Parameters
    ----------
    board
        A board, its name or its file; by default the board that the artifact was compiled for.

    Raises
    ------
    InputError
        If there is no board, or its CPU lacks a feature that the code requires.
    """
    found = artifact.target.board if board is None else find_board(board)
    cpu = artifact.target.cpu
    if found is None:
        raise InputError(
            f"the code was compiled for the CPU {cpu.name}, not for a board; name a board to run "
            "it on (tvmtiny boards lists them)"
        )
    if cpu.architecture != found.cpu.architecture:
        raise InputError(
            f"the code was compiled for {cpu.name}, but {found.name} has a {found.cpu.name}, which "
            f"has another architecture; compile it for {found.name}"
        )
    missing = cpu.features - found.cpu.features
    if missing:
        raise InputError(
            f"the code was compiled for {cpu.name}, but {found.name} has a {found.cpu.name} "
            f"without {', '.join(sorted(missing))}; compile it for {found.name}"
        )
    return found


def build_runner(board: Board, directory: Path) -> RunnerFirmware:
    """Build the firmware that runs tuning candidates on an emulated board.

    Parameters
    ----------
    directory
        Directory for sources, logs and the program; created if it does not exist.

    Raises
    ------
    InputError
        The board is not emulated, or has no serial port.
    ToolMissingError, BuildError, OutputPathError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    if board.platform not in _RUNNERS:
        # Report an unknown platform first.
        platform_for(board)
        raise InputError(f"boards of the platform {quoted(board.platform)} have no runner")
    return _RUNNERS[board.platform](board, directory)
