"""The console of a Zephyr application in QEMU, in a native program, or on a real board."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tvmtiny.errors import DeviceError, DeviceTimeoutError, InputError
from tvmtiny.host.background_process import start_background, stop_background
from tvmtiny.link.transport import DisconnectedError, Line, open_line
from tvmtiny.project.qemu.transport import start_qemu
from tvmtiny.project.qemu_machine import machine_of
from tvmtiny.project.zephyr.build import ApplicationBuild

__all__ = ["converse"]

_SLICE_SECONDS = 0.2
# Colours and cursor movements of Zephyr's shell.
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r|\x00")
#: Prompt of the shell.
_PROMPT = re.compile(r"^\S*:~\$ ?$")


def converse(
    build: ApplicationBuild,
    *,
    seconds: float,
    until: str | None = None,
    send: Sequence[str] = (),
    port: str | None = None,
) -> Iterator[str]:
    """Yield the lines that an application prints.

    Parameters
    ----------
    build
        The application to run in QEMU or as a native program, or that runs on a real board.
    seconds
        Seconds to listen.
    until
        Text that ends the listening once a line contains it.
    send
        Lines to send to the shell, one at each prompt; the next prompt after the last one ends the
        listening.
    port
        Serial port of a real board.

    Raises
    ------
    InputError
        A port is missing for a real board, or was given for an emulated one.
    DeviceError
        The program exited.
    DeviceTimeoutError
        No line contained `until`, or not all lines could be sent.
    PortError, ToolMissingError
        The port cannot be opened, or QEMU is not installed.
    """
    end = time.monotonic() + seconds
    waiting = list(send)
    board = build.application.board.name
    with _console(build, port) as line:
        partial = ""
        while time.monotonic() < end:
            try:
                partial += line.read(_SLICE_SECONDS).decode("utf-8", "replace")
            except DisconnectedError as error:
                raise DeviceError(
                    f"the console of {board} has ended: {error}; check that the board is attached "
                    "and running, then start again"
                ) from error
            *whole, partial = partial.split("\n")
            for text in whole:
                plain = _CONTROL.sub("", text)
                yield plain
                if until is not None and until in plain:
                    return
            if send and _PROMPT.match(_CONTROL.sub("", partial)):
                if not waiting:
                    if until is None:
                        return
                    continue
                partial = ""
                line.write(f"{waiting.pop(0)}\n".encode(), _SLICE_SECONDS)
    if until is not None or waiting:
        raise DeviceTimeoutError(seconds=seconds, board=board)


@contextmanager
def _console(build: ApplicationBuild, port: str | None) -> Iterator[Line]:
    board = build.application.board
    emulated = board.machine is not None or build.elf.suffix == ".exe"
    if emulated and port is not None:
        raise InputError(f"{board.name} runs on this machine and has no port; leave --port out")
    if port is not None:
        line = open_line(port)
        try:
            yield line
        finally:
            line.close()
    elif board.machine is not None:
        model = build.application.models[0].name
        machine = machine_of(board.cpu, board.machine)
        transport = start_qemu(build.elf, machine, model, board.name, wait=True)
        try:
            line = open_line(transport.url)
            try:
                yield line
            finally:
                line.close()
        finally:
            transport.close()
    elif emulated:
        with _program(build.elf) as line:
            yield line
    else:
        raise InputError(
            f"{board.name} is a real board; flash it, then give its serial port (--port URL)"
        )


@contextmanager
def _program(elf: Path) -> Iterator[Line]:
    """Start a native program, whose console is its output."""
    process = start_background([str(elf)], output=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield _ProgramLine(process.stdout)
    finally:
        stop_background(process)
        process.stdout.close()


class _ProgramLine:
    byte_seconds = 0.0

    def __init__(self, output: IO[bytes]) -> None:
        self.url = "its output"
        self._output = output

    def read(self, seconds: float) -> bytes:
        if not select.select([self._output], [], [], seconds)[0]:
            return b""
        data = os.read(self._output.fileno(), 1 << 16)
        if not data:
            raise DisconnectedError("the program has ended")
        return data

    def write(self, data: bytes, seconds: float) -> bool:
        raise DisconnectedError("its shell is not connected to this program")

    def close(self) -> None:
        pass
