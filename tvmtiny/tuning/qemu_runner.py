"""Run candidates on an emulated board that is started for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmtiny.errors import BuildError
from tvmtiny.host.files import write_bytes
from tvmtiny.host.unfinished import forget, remove, work_folder_for
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.project.qemu.candidate_build import start_runner
from tvmtiny.project.registry import build_runner
from tvmtiny.rpc.board import EMULATED_CONNECT_TIMEOUT, end_of
from tvmtiny.rpc.remote import Remote, open_pipe
from tvmtiny.tuning.runner import COPY_SECONDS, BoardRunner, DescribeFault

if TYPE_CHECKING:
    from tvmtiny.project.qemu.transport import QemuTransport
    from tvmtiny.targets import Board

__all__ = ["QemuRunner"]

#: Size in bytes below which one frame of the link is as fast as a file.
_LEAST_FILE_BYTES = 512


class QemuRunner(BoardRunner):
    """A board in QEMU that is started for this runner, and restarted if it does not answer.

    Parameters
    ----------
    transport
        ``socket``, or ``pty`` for a pseudo-terminal. With the socket, the board reads large pieces
        from files of this machine by semihosting, because QEMU's serial port is slower than running
        candidates. With the terminal, and on Zephyr, everything is sent over the serial port.
    """

    def __init__(self, board: Board, transport: str = "socket", repeats: int | None = None) -> None:
        self._board = board
        self._kind = transport
        self._directory = work_folder_for("runner")
        self._qemu: QemuTransport | None = None
        self._keeps_files = False
        try:
            self._firmware = build_runner(board, self._directory)
            super().__init__(self._start, board.name, repeats)
        except BaseException as error:
            # A BuildError refers to a log in the folder.
            if isinstance(error, BuildError):
                forget(self._directory)
                self._keeps_files = True
            self.close()
            raise

    def _start(self, describe_fault: DescribeFault) -> Remote:
        if self._qemu is None:
            self._qemu = start_runner(self._firmware, self._board, self._kind)
        qemu = self._qemu
        return Remote(
            lambda: open_pipe(qemu.url, COPY_SECONDS, EMULATED_CONNECT_TIMEOUT, DEFAULT_BAUDRATE),
            qemu.url,
            True,
            lambda: end_of(qemu),
            describe_fault,
        )

    def _upload(self, remote: Remote, address: int, data: bytes) -> None:
        reads_files = self._firmware.semihosting and self._kind == "socket"
        if not reads_files or len(data) < _LEAST_FILE_BYTES:
            super()._upload(remote, address, data)
            return
        file = self._directory / "upload.bin"
        write_bytes(file, data)
        load = self._function(remote, "tvmtiny.runner.load")
        load(str(file), address, len(data))

    def restart(self) -> None:
        self._disconnect()
        self._stop()
        self._open()

    def close(self) -> None:
        if hasattr(self, "_remote"):
            self._disconnect()
        self._stop()
        if not self._keeps_files:
            remove(self._directory)

    def _stop(self) -> None:
        qemu, self._qemu = self._qemu, None
        if qemu is not None:
            qemu.close()
