"""A board for a session: built for and started, or found at its port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.codegen.artifact import model_identity
from tvmtiny.errors import BuildError, LinkClosedError, ModelMismatchError, PortError
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
    "connect_timeout",
    "end_of",
    "identify",
    "identify_started",
    "is_url",
    "start_board",
    "target_of",
]

#: Seconds that a board in QEMU has to answer, on a machine that does much else, where no timeout is
#: given. Where QEMU has ended, nobody waits for them.
EMULATED_CONNECT_TIMEOUT = 60.0
#: Seconds until the end of an emulator shows whose port has gone.
_END_SECONDS = 2.0


def is_url(name: str) -> bool:
    """Whether a name is that of a port, not of a board or a board's file."""
    return "://" in name or (name.startswith("/") and not is_board_file(name))


def identify(url: str, baudrate: int = DEFAULT_BAUDRATE, timeout: float = CONNECT_TIMEOUT) -> Hello:
    """Ask a board what it is and what it runs; whatever it was doing ends.

    Parameters
    ----------
    url
        Its port.
    baudrate
        Bits per second, where the line has any.
    timeout
        Seconds that it has to answer.

    Raises
    ------
    PortError
        The port does not exist, is in use, or may not be opened.
    LinkError
        The board does not answer, or not as it should.
    """
    line = open_line(url, baudrate)
    try:
        return Link(line).reset(Deadline.after(timeout))
    finally:
        line.close()


def connect_timeout(timeout: float, transport: Transport | None) -> float:
    """Give the seconds that a board has to answer at all.

    Parameters
    ----------
    timeout
        Seconds until a call counts as hung. No board at a port ever needs all of a long time, and
        one in QEMU on a busy machine may.
    transport
        Of a board that was started here; None for one that is at its port.
    """
    return min(timeout, CONNECT_TIMEOUT) if transport is None else timeout


def end_of(transport: Transport | None) -> str | None:
    """Say why a board that was started here has gone; None where its port alone has."""
    return None if transport is None else transport.problem(_END_SECONDS)


def identify_started(transport: Transport, timeout: float = EMULATED_CONNECT_TIMEOUT) -> Hello:
    """Ask a board that was started here what it is.

    Raises
    ------
    LinkError
        It does not answer, or has ended.
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
    """Give what to compile for: a board by its name or file, or the one that answers at a port.

    Parameters
    ----------
    baudrate, timeout
        See :func:`identify`, which allows no more time than a board ever needs.
    files
        See `tvmtiny.targets.find_board`, also for the name that a board at a port gives.

    Raises
    ------
    UnknownTargetError, BoardFileError
        There is no such board, or its file is not usable.
    PortError, LinkError
        See :func:`identify`.
    """
    known = files or {}
    if not is_url(board_or_url):
        return find_board(board_or_url, known).target
    hello = identify(board_or_url, baudrate, min(timeout, CONNECT_TIMEOUT))
    return find_board_by_name(hello.board, known).target


def check_identity(artifact: Artifact, url: str, found: str, model: str) -> None:
    """Compare what a board runs with an artifact.

    Parameters
    ----------
    url
        The board's port.
    found
        Identity of what it runs, in hexadecimal digits.
    model
        Name of that.

    Raises
    ------
    ModelMismatchError
        It is something else.
    """
    expected = model_identity(artifact).hex()
    if found != expected:
        raise ModelMismatchError(
            url, f"{artifact.name} as compiled here ({expected})", f"{model} ({found})"
        )


@dataclass(frozen=True)
class StartedBoard:
    """A board that was started with firmware for it.

    Attributes
    ----------
    firmware
        What was built; its files are gone once the board is in use.
    elf
        The program.
    transport
        The board's port; closing it ends the board.
    """

    firmware: Firmware
    elf: bytes
    transport: Transport


@contextmanager
def start_board(
    artifact: Artifact, board: Board, kind: str, tell: Callable[[str], None]
) -> Iterator[StartedBoard]:
    """Build firmware that serves RPC, and start a board with it.

    The files of the build are there until the context ends; by then the board has answered, so that
    an emulator has read its program. The board goes on, unless an error ends the context.

    Parameters
    ----------
    kind
        What its port is to be; see :meth:`tvmtiny.project.api.Platform.open_transport`.
    tell
        Called with a few words before each step.
    """
    platform = platform_for(board)
    # The message of this error points to a log in there.
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
