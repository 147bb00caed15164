"""Start emulated Zephyr boards for MLPerf Tiny's runner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.project.mlperf_firmware import MLPERF_MODES
from tvmtiny.project.qemu.mlperf import Served, select_model
from tvmtiny.project.qemu.transport import start_qemu
from tvmtiny.project.qemu_machine import machine_of
from tvmtiny.project.zephyr.application import load_application

__all__ = ["serve_application"]


@contextmanager
def serve_application(
    directory: Path,
    benchmark: str | None = None,
    sounds: Path | None = None,
    kind: str = "pty",
) -> Iterator[Served]:
    """Start QEMU with a built application of the mode ``mlperf``.

    Parameters
    ----------
    benchmark
        Benchmark to select; by default the first one.
    sounds
        Must be None, because no model of such an application listens.
    kind
        ``pty`` for a port that the runner can open, or ``socket``, on which the board waits for the
        client.

    Raises
    ------
    InputError
        The directory holds no such application, the application is not built, no model is for the
        benchmark, or the board is a real one.
    ToolMissingError, DeviceError
        Raised as by `start_qemu`.
    """
    application = load_application(directory)
    board, known = application.board, application.benchmarks
    if application.mode not in MLPERF_MODES:
        raise InputError(
            f"{directory} has the mode {application.mode}, not mlperf; create it with tvmtiny "
            "project create --mode mlperf"
        )
    if board.machine is None:
        raise InputError(
            f"{board.name} is a real board; flash it (tvmtiny project flash {directory}), and give "
            "its serial port to the runner"
        )
    if sounds is not None:
        raise InputError(f"no model in {directory} listens to sounds; leave --sounds out")
    if benchmark is not None and benchmark not in known:
        raise InputError(f"{directory} has no model for {quoted(benchmark)}: {', '.join(known)}")
    elf = directory / "build" / "zephyr" / "zephyr.elf"
    if not elf.is_file():
        raise InputError(f"{directory} is not built; run tvmtiny project build {directory}")
    machine = machine_of(board.cpu, board.machine)
    transport = start_qemu(
        elf, machine, application.models[0].name, board.name, kind, wait=kind == "socket"
    )
    try:
        if benchmark is not None:
            select_model(transport.url, benchmark)
        yield Served(transport.url, None, transport)
    finally:
        transport.close()
