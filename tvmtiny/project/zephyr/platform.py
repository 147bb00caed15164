"""The platform for Zephyr boards, emulated or attached.

The firmware is always an application in the mode ``rpc``: a host reads the results of a run over
the serial line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.codegen.artifact import layer_functions
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.project import sizes
from tvmtiny.project.api import Transport
from tvmtiny.project.package import PackagedModel
from tvmtiny.project.qemu.transport import start_qemu
from tvmtiny.project.qemu_machine import machine_of
from tvmtiny.project.zephyr.application import (
    ApplicationOptions,
    create_application,
    load_application,
)
from tvmtiny.project.zephyr.board import ZephyrBoard
from tvmtiny.project.zephyr.build import ApplicationBuild, build_application, flash_build
from tvmtiny.project.zephyr.source_tree import find_tree
from tvmtiny.results import Firmware, Project
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.targets import Board

__all__ = ["ZephyrPlatform"]

FIRMWARES = ("harness", "rpc")

# Generous, because the demand is measured only after this firmware has been built.
_STACK_BYTES = 8192


class ZephyrPlatform:
    """Build Zephyr applications and run them.

    Parameters
    ----------
    base
        Path of the Zephyr tree; by default the value of ``ZEPHYR_BASE``.
    """

    def __init__(self, base: Path | None = None) -> None:
        self._base = base

    def generate(
        self, artifact: Artifact, board: Board, directory: Path, firmware: str = "harness"
    ) -> Project:
        """Write an application; see :meth:`tvmtiny.project.api.Platform.generate`."""
        if firmware not in FIRMWARES:
            raise InputError(
                f"there is no firmware {quoted(firmware)}; allowed: "
                f"{', '.join(map(repr, FIRMWARES))}"
            )
        # Fail before anything is written.
        find_tree(self._base)
        create_application(
            (PackagedModel(artifact),),
            ZephyrBoard.of(board),
            directory,
            ApplicationOptions(mode="rpc", stack_bytes=_STACK_BYTES),
        )
        return Project(
            directory=directory,
            artifact=artifact,
            board=board,
            sources=tuple(f"models/{name}" for name in artifact.files if name.endswith(".c")),
            firmware="rpc",
        )

    def build(self, project: Project) -> Firmware:
        """Build with west; see :meth:`tvmtiny.project.api.Platform.build`."""
        tree = find_tree(self._base)
        built = build_application(load_application(project.directory), tree)
        text = (built.directory / "zephyr" / "zephyr.map").read_text(encoding="utf-8")
        flash, ram = sizes.measure_archive(
            text,
            "libtvmtiny_models.a",
            layer_functions(project.artifact),
            find_architecture(project.board.cpu.architecture).sections,
        )
        return Firmware(elf=built.elf, project=project, sizes=flash, static_ram_bytes=ram)

    def flash(self, firmware: Firmware) -> None:
        """Flash with west's runner; for QEMU, do nothing."""
        if ZephyrBoard.of(firmware.project.board).machine is None:
            application = load_application(firmware.project.directory)
            tree = find_tree(self._base)
            build = ApplicationBuild(
                application,
                application.directory / "build",
                firmware.elf,
                application.directory / "build.log",
                tree.version,
                tree.board_name(application.board.names),
                {},
            )
            flash_build(build, tree)

    def open_transport(self, firmware: Firmware, kind: str = "socket") -> Transport:
        """Start QEMU; see :meth:`tvmtiny.project.api.Platform.open_transport`."""
        board = firmware.project.board
        machine = ZephyrBoard.of(board).machine
        if machine is None:
            raise InputError(
                f"{board.name} is a real board and cannot be started like an emulator: flash it "
                "(tvmtiny project create --mode rpc, then tvmtiny project flash) and name its port "
                "instead"
            )
        return start_qemu(
            firmware.elf,
            machine_of(board.cpu, machine),
            firmware.project.artifact.name,
            board.name,
            kind,
        )
