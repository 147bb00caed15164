"""The runner for tuning candidates on Zephyr boards that QEMU emulates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.errors import InputError
from tvmtiny.project.candidate_firmware import RUNNER, RunnerFirmware, firmware_of
from tvmtiny.project.qemu_machine import machine_of
from tvmtiny.project.zephyr.application import ApplicationOptions, create_application
from tvmtiny.project.zephyr.board import ZephyrBoard
from tvmtiny.project.zephyr.build import build_application
from tvmtiny.project.zephyr.source_tree import find_tree

if TYPE_CHECKING:
    from tvmtiny.targets import Board

__all__ = ["build_zephyr_runner"]


def build_zephyr_runner(board: Board, directory: Path) -> RunnerFirmware:
    """Build the runner with west; see `tvmtiny.project.registry.build_runner`."""
    known = ZephyrBoard.of(board)
    if known.machine is None:
        raise InputError(
            f"{board.name} is a real board and cannot be started like an emulator: flash the "
            f"runner (tvmtiny project create --mode runner --board {board.name} -o DIR, then "
            "tvmtiny project flash DIR) and give its port instead"
        )
    # Fail before anything is written.
    tree = find_tree()
    application = create_application((), known, directory, ApplicationOptions(mode=RUNNER))
    built = build_application(application, tree)
    return firmware_of(built.elf, machine_of(board.cpu, known.machine), semihosting=False)
