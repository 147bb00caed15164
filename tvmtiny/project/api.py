"""The Project API: from generated code to running firmware, independent of the platform.

A platform turns an artifact into a project (a directory of sources) and the project into firmware,
and connects to its boards. A board names its platform, which `tvmtiny.project.registry` looks up.
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
    """A running board and its port."""

    @property
    def url(self) -> str:
        """Path or URL of the port."""
        ...

    def problem(self, patience: float = 0.0) -> str | None:
        """Return why the board is gone; None while it runs, or if the reason cannot be known.

        Parameters
        ----------
        patience
            Seconds to wait for the board's exit to show after its port has closed.
        """
        ...

    def close(self) -> None:
        """Stop everything that was started to reach the board."""
        ...


class Platform(Protocol):
    """A kind of board: how firmware for it is built and run."""

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
            Directory of the project; created if it does not exist.
        firmware
            ``harness`` for firmware that :meth:`run` uses; ``rpc`` for firmware that serves a host.

        Raises
        ------
        InputError
            The platform does not have this firmware.
        CapacityError
            The model cannot fit the board; nothing was written.
        OutputPathError
            The directory cannot be written.
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
        """Start a board whose firmware serves RPC.

        Parameters
        ----------
        firmware
            Firmware that is already flashed.
        kind
            Kind of port: ``socket``, or ``pty`` for a pseudo-terminal.

        Raises
        ------
        InputError
            The platform does not have this kind of port.
        ToolMissingError
            The emulator is not installed.
        DeviceError
            The emulator exited at once.
        """
        ...


@runtime_checkable
class HarnessPlatform(Platform, Protocol):
    """A platform whose firmware can run once and report the results without a board link."""

    def run(
        self, firmware: Firmware, inputs: Sequence[npt.NDArray[Any]], timeout: float
    ) -> RunResult:
        """Run one inference.

        Parameters
        ----------
        firmware
            The firmware to run.
        inputs
            One array for each input of the model, of its dtype and shape.
        timeout
            Time limit in seconds of host time.

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
