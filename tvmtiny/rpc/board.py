"""Provide the board of a session: build firmware and start it, or find it at its port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.codegen.artifact import model_identity
from tvmtiny.errors import BuildError, InputError, LinkClosedError, ModelMismatchError, PortError
from tvmtiny.host.unfinished import work_folder
from tvmtiny.link.frames import Hello
from tvmtiny.link.link import Deadline, Link
from tvmtiny.link.transport import DEFAULT_BAUDRATE, open_line
from tvmtiny.project.api import Transport
from tvmtiny.project.registry import platform_for
from tvmtiny.results import Firmware
from tvmtiny.rpc.bridge import CONNECT_TIMEOUT
from tvmtiny.targets import (
    Board,
    BoardFiles,
    Target,
    find_board,
    find_board_by_name,
    is_board_file,
)

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = [
    "EMULATED_CONNECT_TIMEOUT",
    "StartedBoard",
    "check_identity",
    "check_timeout",
    "connect_timeout",
    "end_of",
    "identify",
    "identify_started",
    "is_url",
    "start_board",
    "target_of",
]

#: Default time in seconds for a board in QEMU to answer; generous, for busy machines. If QEMU
#: exits, the wait ends at once.
EMULATED_CONNECT_TIMEOUT = 60.0
#: Seconds to wait for an emulator to be seen exiting after its port has closed.
_END_SECONDS = 2.0


def is_url(name: str) -> bool:
    """Whether a name is a port rather than a board or a board file."""
    return "://" in name or (name.startswith("/") and not is_board_file(name))


def identify(url: str, baudrate: int = DEFAULT_BAUDRATE, timeout: float = CONNECT_TIMEOUT) -> Hello:
    """Reset a board and ask for its identity; anything that it is running is aborted.

    Parameters
    ----------
    url
        Port of the board.
    baudrate
        Bits per second, for serial lines.
    timeout
        Seconds within which the board must answer.

    Raises
    ------
    PortError
        The port does not exist, is in use, or may not be opened.
    LinkError
        The board does not answer, or violates the protocol.
    """
    line = open_line(url, baudrate)
    try:
        return Link(line).reset(Deadline.after(timeout))
    finally:
        line.close()


def connect_timeout(timeout: float, transport: Transport | None) -> float:
    """Return the seconds within which a board must first answer.

    Parameters
    ----------
    timeout
        Seconds until a call counts as hung. A board at a port never needs all of a long timeout,
        whereas one in QEMU on a busy machine may.
    transport
        Transport of a board that was started by this process; None for a board at a port.
    """
    return min(timeout, CONNECT_TIMEOUT) if transport is None else timeout


def check_timeout(seconds: float) -> None:
    """Check the seconds until a call counts as hung.

    Raises
    ------
    InputError
        There are none.
    """
    # The negated comparison also rejects NaN.
    if not seconds > 0:
        raise InputError(f"a timeout of {seconds:g} s leaves no time to answer; give more than 0")


def end_of(transport: Transport | None) -> str | None:
    """Return why a board started by this process has exited; None if only its port has closed."""
    return None if transport is None else transport.problem(_END_SECONDS)


def identify_started(transport: Transport, timeout: float = EMULATED_CONNECT_TIMEOUT) -> Hello:
    """Ask a board that was started by this process for its identity.

    Raises
    ------
    LinkError
        The board does not answer, or has exited.
    """
    try:
        return identify(transport.url, timeout=timeout)
    except (PortError, LinkClosedError) as error:
        reason = end_of(transport)
        if reason is None:
            raise
        raise LinkClosedError(transport.url, reason) from error


def target_of(
    board_or_url: str,
    baudrate: int = DEFAULT_BAUDRATE,
    timeout: float = CONNECT_TIMEOUT,
    files: BoardFiles | None = None,
) -> Target:
    """Return the target to compile for, given a board's name, file or port.

    Parameters
    ----------
    baudrate, timeout
        See :func:`identify`. The time is limited to what a board at a port can need.
    files
        See `tvmtiny.targets.find_board`; also applies to the name that a board at a port reports.

    Raises
    ------
    UnknownTargetError, BoardFileError
        The board is unknown, or its file is invalid.
    PortError, LinkError
        See :func:`identify`.
    """
    known = files or {}
    if not is_url(board_or_url):
        return find_board(board_or_url, known).target
    hello = identify(board_or_url, baudrate, min(timeout, CONNECT_TIMEOUT))
    return find_board_by_name(hello.board, known).target


def check_identity(artifact: Artifact, url: str, found: str, model: str) -> None:
    """Check that a board runs the model of an artifact.

    Parameters
    ----------
    url
        Port of the board.
    found
        Identity of the model that the board runs, in hexadecimal digits.
    model
        Name of that model.

    Raises
    ------
    ModelMismatchError
        The board runs another model.
    """
    expected = model_identity(artifact).hex()
    if found != expected:
        raise ModelMismatchError(
            url, f"{artifact.name} as compiled here ({expected})", f"{model} ({found})"
        )


@dataclass(frozen=True)
class StartedBoard:
    """A board that was started with firmware built for it.

    Attributes
    ----------
    firmware
        The firmware; its files are deleted once the board is in use.
    elf
        Content of the program file.
    transport
        Port of the board; closing it stops the board.
    """

    firmware: Firmware
    elf: bytes
    transport: Transport


@contextmanager
def start_board(
    artifact: Artifact, board: Board, kind: str, tell: Callable[[str], None]
) -> Iterator[StartedBoard]:
    """Build firmware that serves RPC, and start a board with it.

    The build's files exist until the context ends. By then the board must have answered, which
    implies that an emulator has read its program. The board keeps running unless an error ends the
    context.

    Parameters
    ----------
    kind
        Kind of port to create; see :meth:`tvmtiny.project.api.Platform.open_transport`.
    tell
        Called with a short description before each step.
    """
    platform = platform_for(board)
    # A BuildError refers to a log in the folder.
    with work_folder("board", keep_after=(BuildError,)) as directory:
        tell(f"building firmware for {board.name}")
        firmware = platform.build(platform.generate(artifact, board, directory, firmware="rpc"))
        tell(f"starting {board.name}")
        platform.flash(firmware)
        transport = platform.open_transport(firmware, kind)
        try:
            yield StartedBoard(firmware, firmware.elf.read_bytes(), transport)
        except BaseException:
            transport.close()
            raise
