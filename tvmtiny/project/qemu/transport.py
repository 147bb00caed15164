"""A board in QEMU whose serial port is a socket or a pseudo-terminal of this machine."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tvmtiny.errors import DeviceError, InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.background_process import start_background, stop_background
from tvmtiny.project.qemu_machine import Machine
from tvmtiny.targets.architectures import architectures

__all__ = ["TRANSPORT_KINDS", "QemuTransport", "RunningBoard", "running_boards", "start_qemu"]

TRANSPORT_KINDS = ("socket", "pty")

_START_SECONDS = 10.0
# QEMU's machine name identifies the board: this word, model, board and port.
_MARK = "tvmtiny"
_PTY = re.compile(rb"char device redirected to (/\S+)")


@dataclass(frozen=True)
class QemuTransport:
    """A running QEMU process and the port of its board.

    Attributes
    ----------
    url
        URL or path of the port.
    process
        QEMU process, which is killed when this process ends for any reason.
    """

    url: str
    process: subprocess.Popen[bytes]
    _log: IO[bytes]

    def problem(self, patience: float = 0.0) -> str | None:
        """Return why the board is gone; see :meth:`tvmtiny.project.api.Transport.problem`."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return None
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self._log.seek(0)
        said = " ".join(self._log.read().decode(errors="replace").split())[:400]
        return f"QEMU {how}{f': {said}' if said else ''}"

    def close(self) -> None:
        """Stop QEMU."""
        stop_background(self.process)
        self._log.close()


def start_qemu(
    elf: Path,
    machine: Machine,
    model: str,
    board: str,
    kind: str = "socket",
    more: Sequence[str] = (),
    wait: bool = False,
    directory: Path | None = None,
) -> QemuTransport:
    """Start QEMU with a program.

    Parameters
    ----------
    elf
        Path of the program.
    machine
        Machine to emulate.
    model, board
        Names that :func:`running_boards` reports.
    kind
        ``socket`` or ``pty``.
    more
        Additional options of QEMU.
    wait
        Whether the board starts only once a client has connected to its socket, so that no output
        is lost.
    directory
        Directory of files that the program opens by semihosting; by default that of this process.

    Raises
    ------
    InputError
        The kind of port is unknown.
    ToolMissingError
        QEMU is not installed.
    DeviceError
        QEMU exited at once.
    """
    if kind not in TRANSPORT_KINDS:
        raise InputError(
            f"there is no transport {quoted(kind)}; allowed: "
            f"{', '.join(map(repr, TRANSPORT_KINDS))}"
        )
    command = [*machine.command(), "-display", "none", "-monitor", "none"]
    command += ["-kernel", str(elf.resolve()), *more]
    log = tempfile.TemporaryFile()  # noqa: SIM115 (the transport closes it)
    try:
        if kind == "pty":
            return _start_pty(command, f"{_MARK} {model} {board} pty", log, directory)
        return _start_socket(command, f"{_MARK} {model} {board}", log, wait, directory)
    except BaseException:
        log.close()
        raise


def _start_socket(
    command: Sequence[str], name: str, log: IO[bytes], wait: bool, directory: Path | None
) -> QemuTransport:
    # QEMU inherits a listening socket, so no other program can take the port meanwhile, and
    # connections wait until QEMU is ready.
    waits = "on" if wait else "off"
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        descriptor = listener.fileno()
        process = start_background(
            [
                *command,
                "-name",
                f"guest={name} {url}",
                "-chardev",
                f"socket,id=link,fd={descriptor},server=on,wait={waits},nodelay=on",
                "-serial",
                "chardev:link",
            ],
            output=log,
            directory=directory,
            descriptors=[descriptor],
        )
    return QemuTransport(url, process, log)


def _start_pty(
    command: Sequence[str], name: str, log: IO[bytes], directory: Path | None
) -> QemuTransport:
    process = start_background(
        [*command, "-name", f"guest={name}", "-chardev", "pty,id=link", "-serial", "chardev:link"],
        output=log,
        directory=directory,
    )
    end = time.monotonic() + _START_SECONDS
    try:
        while True:
            log.seek(0)
            found = _PTY.search(log.read())
            if found:
                return QemuTransport(found[1].decode(), process, log)
            started = QemuTransport("", process, log)
            if started.problem() or time.monotonic() > end:
                reason = started.problem() or "QEMU did not report the terminal that it opened"
                raise DeviceError(f"{reason}; check QEMU with tvmtiny doctor")
            time.sleep(0.005)
    except BaseException:
        stop_background(process)
        raise


@dataclass(frozen=True)
class RunningBoard:
    """A board that runs in QEMU on this machine.

    Attributes
    ----------
    model, board
        Names of the model and the board.
    url
        Port of the board; empty if it could not be determined.
    process
        ID of the QEMU process.
    """

    model: str
    board: str
    url: str
    process: int


def running_boards() -> tuple[RunningBoard, ...]:
    """List the boards started by any process on this machine, sorted by process."""
    return tuple(sorted(_running(), key=lambda board: board.process))


def _running() -> Iterator[RunningBoard]:
    emulators = {architecture.emulator.name for architecture in architectures()}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        words = []
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        names = [word.removeprefix("guest=").split() for word in words if "guest=" in word]
        # The guard's command line briefly contains the same words.
        if not words or Path(words[0]).name not in emulators:
            continue
        for name in names:
            if len(name) == 4 and name[0] == _MARK:
                url = _terminal(entry) if name[3] == "pty" else name[3]
                yield RunningBoard(name[1], name[2], url, int(entry.name))


def _terminal(process: Path) -> str:
    """Find the pseudo-terminal whose other end a process has open."""
    with suppress(OSError):
        for entry in (process / "fdinfo").iterdir():
            for line in entry.read_text().splitlines():
                if line.startswith("tty-index:"):
                    return f"/dev/pts/{line.split()[1]}"
    return ""
