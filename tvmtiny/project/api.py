"""The Project API: from generated code to results, whatever runs the firmware.

A platform turns an artifact into a project (a directory of sources), the project into firmware, and
runs the firmware on its board. Boards name their platform; :func:`platform_for` looks it up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tvmtiny.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.targets import Board

__all__ = [
    "Firmware",
    "FlashSizes",
    "OutputTensor",
    "Platform",
    "Project",
    "RunResult",
    "Transport",
    "platform_for",
]


@dataclass(frozen=True)
class Project:
    """A directory that holds everything needed to build firmware.

    Attributes
    ----------
    directory
        Where it is.
    artifact
        The generated model.
    board
        The board it is for.
    sources
        C files to compile, relative to the directory.
    firmware
        What is built around the model: ``harness`` runs it once, ``rpc`` serves a host.
    """

    directory: Path
    artifact: Artifact
    board: Board
    sources: tuple[str, ...]
    firmware: str = "harness"


@dataclass(frozen=True)
class FlashSizes:
    """Flash of the generated code and the library functions it uses, in bytes.

    Start-up code and test harness are not counted.

    Attributes
    ----------
    code
        Machine code.
    constants
        Weights, tables, and the initial values of variables.
    total
        Both.
    """

    code: int
    constants: int
    total: int


@dataclass(frozen=True)
class Firmware:
    """A linked program.

    Attributes
    ----------
    elf
        The program.
    project
        What it was built from.
    sizes
        Flash of the generated code.
    static_ram_bytes
        Variables of the generated code and the library functions it uses, in bytes.
    """

    elf: Path
    project: Project
    sizes: FlashSizes
    static_ram_bytes: int


@dataclass(frozen=True)
class OutputTensor:
    """One output of the model.

    Attributes
    ----------
    name, dtype, shape
        As in the model.
    data
        Its values, of that dtype and shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: npt.NDArray[Any]


@dataclass(frozen=True)
class RunResult:
    """What one run of the firmware gave.

    Attributes
    ----------
    model, board, cpu
        Names.
    instructions
        Instructions of one inference, from entry to return of the generated run function.
    arena_bytes
        Static memory of the model: inputs, outputs, tensors and scratch.
    static_ram_bytes
        All variables of the generated code and the library functions it uses; None where the
        firmware was not built here.
    stack_bytes
        Deepest stack of that inference below its caller's, in bytes.
    flash
        Flash of the generated code; None where the firmware was not built here.
    outputs
        One entry an output of the model.
    layers
        Output of each layer of the artifact, in order, from an inference before that one.
    """

    model: str
    board: str
    cpu: str
    instructions: int
    arena_bytes: int
    static_ram_bytes: int | None
    stack_bytes: int
    flash: FlashSizes | None
    outputs: tuple[OutputTensor, ...]
    layers: tuple[npt.NDArray[np.generic], ...]


class Transport(Protocol):
    """A running board, and the port that it can be reached at."""

    @property
    def url(self) -> str:
        """Path or URL of the port."""
        ...

    def problem(self) -> str | None:
        """Say why the board has gone; None while it runs, or where that cannot be known."""
        ...

    def close(self) -> None:
        """End what was started to reach the board."""
        ...


class Platform(Protocol):
    """How the boards of one kind are built for and run."""

    def generate(
        self, artifact: Artifact, board: Board, directory: Path, firmware: str = "harness"
    ) -> Project:
        """Write a project.

        Parameters
        ----------
        artifact
            The generated model.
        board
            A board of this platform.
        directory
            Where to; created when it does not exist.
        firmware
            ``harness`` for :meth:`run`; ``rpc`` for a host that is connected.

        Raises
        ------
        InputError
            The platform has no such firmware.
        CapacityError
            The model cannot fit the board; nothing was written.
        OutputPathError
            The directory cannot be written to.
        """
        ...

    def build(self, project: Project) -> Firmware:
        """Compile and link a project.

        Raises
        ------
        ToolMissingError
            A compiler is not installed.
        BuildError
            The compiler or the linker failed.
        CapacityError
            The linked program does not fit the board.
        """
        ...

    def flash(self, firmware: Firmware) -> None:
        """Put firmware onto its board."""
        ...

    def run(
        self, firmware: Firmware, inputs: Sequence[npt.NDArray[Any]], timeout: float
    ) -> RunResult:
        """Run one inference.

        Parameters
        ----------
        firmware
            The program.
        inputs
            One array an input of the model, of its dtype and shape.
        timeout
            Limit in seconds of host time.

        Raises
        ------
        InputDataError
            An input has the wrong shape or dtype, or the number of inputs is wrong.
        ToolMissingError
            The emulator is not installed.
        DeviceError
            The firmware faulted, timed out or gave unusable results.
        """
        ...

    def open_transport(self, firmware: Firmware, kind: str = "socket") -> Transport:
        """Start a board with firmware that serves RPC.

        Parameters
        ----------
        firmware
            Flashed already.
        kind
            What the port is: ``socket``, or ``pty`` for one that looks like a serial port.

        Raises
        ------
        InputError
            The platform has no such kind.
        ToolMissingError
            The emulator is not installed.
        DeviceError
            It ended at once.
        """
        ...


def _qemu() -> Platform:
    from tvmtiny.project.qemu.platform import QemuPlatform

    return QemuPlatform()


def _zephyr() -> Platform:
    from tvmtiny.project.zephyr.platform import ZephyrPlatform

    return ZephyrPlatform()


# Functions, so that using one platform does not import the others.
_PLATFORMS: Mapping[str, Callable[[], Platform]] = {"qemu": _qemu, "zephyr": _zephyr}


def platform_for(board: Board) -> Platform:
    """Give the platform that runs a board.

    Raises
    ------
    InputError
        The board names a platform that does not exist.
    """
    try:
        factory = _PLATFORMS[board.platform]
    except KeyError:
        raise InputError(
            f"board {board.name} names the platform {board.platform!r}, which does not exist; "
            f"known: {', '.join(_PLATFORMS)}"
        ) from None
    return factory()
