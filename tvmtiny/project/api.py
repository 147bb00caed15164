"""What a platform is: from generated code to firmware, whatever runs the firmware.

A platform turns an artifact into a project (a directory of sources), the project into firmware, and
reaches its boards. Boards name their platform; `tvmtiny.project.registry` looks it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy.typing as npt

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.results import Firmware, Project, RunResult
    from tvmtiny.targets import Board

__all__ = ["HarnessPlatform", "Platform", "Transport"]


class Transport(Protocol):
    """A running board, and the port that it can be reached at."""

    @property
    def url(self) -> str:
        """Path or URL of the port."""
        ...

    def problem(self, patience: float = 0.0) -> str | None:
        """Say why the board has gone; None while it runs, or where that cannot be known.

        Parameters
        ----------
        patience
            Seconds that its end may take to show, where its port has gone already.
        """
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


@runtime_checkable
class HarnessPlatform(Platform, Protocol):
    """A platform whose firmware can run once and report by itself, without a board link."""

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
