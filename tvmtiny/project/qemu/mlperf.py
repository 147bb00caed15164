"""Firmware for MLPerf Tiny's runner on emulated boards; see ``runtime/mlperf``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import serial

from tvmtiny.errors import DeviceError, InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.project.capacity import check_capacity
from tvmtiny.project.mlperf_firmware import (
    BENCHMARKS,
    check_benchmarks,
    common_values,
    input_values,
    mlperf_files,
    model_source,
)
from tvmtiny.project.qemu.interface_board import PINS_FILE, SAMPLES_FILE, InterfaceBoard
from tvmtiny.project.qemu.options import QemuOptions, machine_of_board
from tvmtiny.project.qemu.platform import QemuPlatform
from tvmtiny.project.qemu.sources import (
    FOLDERS,
    HEAP_BYTES,
    RPC,
    fixed_demand,
    link_script,
    server_files,
)
from tvmtiny.project.qemu.transport import QemuTransport, start_qemu
from tvmtiny.project.runtime_files import render
from tvmtiny.results import Project
from tvmtiny.targets import find_board

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.results import Firmware
    from tvmtiny.targets import Board

__all__ = [
    "MlperfOptions",
    "Served",
    "build_mlperf",
    "load_mlperf",
    "select_model",
    "serve_mlperf",
    "serve_with_sounds",
]

#: Fractional bits of a fixed-point factor.
_FACTOR_BITS = 16
_FILE = "mlperf.json"
#: Lets the firmware ask for the time of the host, to be no faster than its clock.
_HOST_TIME = ("-semihosting-config", "enable=on,target=native")
#: Most seconds until a board selects a model.
_SELECT_SECONDS = 10.0
#: Decisions whose scores are kept: 21 minutes at 32 ms each.
_MOST_DECISIONS = 40_000


@dataclass(frozen=True)
class MlperfOptions:
    """Options of the firmware.

    Attributes
    ----------
    benchmarks
        Names of the models' benchmarks for the runner, keys of `BENCHMARKS`.
    clock_mhz
        Clock in MHz for converting instructions to time at one instruction per cycle. An inference
        takes no less time than that by the host's watch either. The time of an emulator is not
        that of a board, whatever the clock.
    energy
        Whether timestamps are edges on a pin instead of messages.
    """

    benchmarks: tuple[str, ...]
    clock_mhz: int = 100
    energy: bool = False


def build_mlperf(
    artifacts: Sequence[Artifact], board: Board, directory: Path, options: MlperfOptions
) -> Firmware:
    """Write and build a project with MLPerf Tiny's firmware.

    Parameters
    ----------
    artifacts
        The models, one for each benchmark of `options`. The first one is selected at the start.
    directory
        Directory of the project; created if it does not exist.

    Raises
    ------
    InputError
        A benchmark is unknown, a model does not suit it, or the board has no serial port.
    CapacityError, OutputPathError, ToolMissingError, BuildError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    qemu = QemuOptions.of(board)
    check_benchmarks(artifacts, options.benchmarks)
    if not 1 <= options.clock_mhz <= 10_000:
        raise InputError(f"a clock of {options.clock_mhz} MHz is not possible; give 1 to 10,000")
    pairs = list(zip(artifacts, options.benchmarks, strict=True))
    models = [_values(artifact, benchmark) for artifact, benchmark in pairs]
    first, *others = artifacts
    for artifact, values in zip(artifacts, models, strict=True):
        demand = fixed_demand(artifact, qemu, RPC)
        check_capacity(
            artifact, board, qemu.stack_bytes, demand.ram + int(values["bytes"]), demand.flash
        )
    device = server_files(board)
    device |= {f"device/{name}": text for name, text in mlperf_files(options.benchmarks).items()}
    device["device/mlperf_main.c"] = render(
        "mlperf/mlperf_main.c.j2", **_main_values(qemu, options)
    )
    for values in models:
        device[f"device/mlperf_{values['benchmark']}.c"] = model_source(values)
    device["link.ld"] = link_script(board, first.placement, qemu.stack_bytes, HEAP_BYTES)
    files = {name: text for artifact in artifacts for name, text in artifact.files.items()}
    for folder in FOLDERS:
        make_directory(directory / folder)
    for name, text in {**files, **device}.items():
        write_text(directory / name, text)
    sources = tuple(name for name in (*files, *device) if name.endswith(".c"))
    project = Project(directory, first, board, sources, "mlperf", tuple(others))
    firmware = QemuPlatform().build(project)
    machine = asdict(machine_of_board(board))
    described = {"board": board.name, "model": first.name, **asdict(options), "machine": machine}
    for feed in (artifact.feed.feed for artifact in artifacts if artifact.feed is not None):
        described["listens"] = {"sample_rate": feed.sample_rate, "samples": feed.samples}
    write_text(directory / _FILE, json.dumps(described, indent=1) + "\n")
    return firmware


def load_mlperf(directory: Path) -> dict[str, Any]:
    """Read the description that `build_mlperf` wrote into a project.

    Raises
    ------
    InputError
        There is no such project in the directory.
    """
    try:
        found = json.loads((directory / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not {"board", "model"} <= found.keys():
        raise InputError(
            f"{directory} has no firmware for MLPerf Tiny; create it with tvmtiny project create "
            "--mode mlperf"
        )
    return found


def serve_mlperf(
    directory: Path, board: Board, kind: str = "pty", line: Path | None = None
) -> QemuTransport:
    """Start QEMU with the firmware of a project.

    Parameters
    ----------
    kind
        ``pty`` for a port that the runner can open, or ``socket``.
    line
        Directory of the files that stand for the line of samples and the pins; see
        `tvmtiny.project.qemu.interface_board`.

    Raises
    ------
    InputError, ToolMissingError, DeviceError
        Raised as by `start_qemu`.
    """
    found = load_mlperf(directory)
    elf = directory / "build" / "firmware.elf"
    # On a socket, wait for the client so that the first messages are not lost.
    wait = kind == "socket"
    return start_qemu(
        elf,
        machine_of_board(board),
        str(found["model"]),
        board.name,
        kind,
        _HOST_TIME,
        wait,
        line,
    )


@dataclass(frozen=True)
class Served:
    """A running board and, if sounds are played, its interface board.

    Attributes
    ----------
    url, interface_url
        Ports of the two boards.
    """

    url: str
    interface_url: str | None
    transport: QemuTransport

    def problem(self, patience: float = 0.0) -> str | None:
        """Return why the board is gone; see `QemuTransport.problem`."""
        return self.transport.problem(patience)


@contextmanager
def serve_with_sounds(
    directory: Path, benchmark: str | None = None, sounds: Path | None = None
) -> Iterator[Served]:
    """Serve a project as `serve_mlperf` does, with a selected model and an interface board.

    Parameters
    ----------
    benchmark
        Benchmark to select; by default the first one.
    sounds
        Directory of WAV files that the interface board plays; None without such a board.

    Raises
    ------
    InputError
        No model is for the benchmark, no model listens to sounds, or there is no such directory.
    ToolMissingError, DeviceError
        Raised as by `start_qemu`.
    """
    found = load_mlperf(directory)
    board = find_board(str(found["board"]))
    known = [str(name) for name in found.get("benchmarks", ())]
    if benchmark is not None and benchmark not in known:
        raise InputError(f"{directory} has no model for {quoted(benchmark)}: {', '.join(known)}")
    listens = found.get("listens")
    if sounds is not None and listens is None:
        raise InputError(f"no model in {directory} listens to sounds; leave --sounds out")
    with ExitStack() as stack:
        line = Path(stack.enter_context(TemporaryDirectory(prefix="tvmtiny-line-")))
        interface = None
        if sounds is not None and listens is not None:
            interface = InterfaceBoard(line, sounds, listens["sample_rate"], listens["samples"])
            stack.callback(interface.close)
        transport = serve_mlperf(directory, board, line=line)
        stack.callback(transport.close)
        if benchmark is not None:
            select_model(transport.url, benchmark)
        yield Served(transport.url, interface.url if interface else None, transport)


def select_model(url: str, benchmark: str) -> None:
    """Select the model of a benchmark on a board.

    Raises
    ------
    DeviceError
        The board did not answer.
    """
    with serial.serial_for_url(url, timeout=_SELECT_SECONDS) as port:
        port.write(f"model {benchmark}%".encode())
        said = port.read_until(f"m-model-[{benchmark}]\r\nm-ready\r\n".encode())
    if not said.endswith(b"m-ready\r\n"):
        raise DeviceError(f"the board did not select {benchmark}; it said {quoted(repr(said))}")


def _main_values(qemu: QemuOptions, options: MlperfOptions) -> dict[str, Any]:
    """Compute the values for the template of the program."""
    nanoseconds = 1_000_000_000 // qemu.counter_hz
    return {
        "energy": options.energy,
        "clock": options.clock_mhz,
        "nanoseconds": nanoseconds,
        "factor": round(nanoseconds / options.clock_mhz * (1 << _FACTOR_BITS)),
        "factor_bits": _FACTOR_BITS,
    }


def _values(artifact: Artifact, benchmark: str) -> dict[str, Any]:
    """Compute the values for the template of a model."""
    if BENCHMARKS[benchmark] != "samples":
        return input_values(artifact, benchmark)
    if artifact.feed is None or artifact.outputs[0].dtype != "int8":
        raise InputError(
            f"{benchmark} needs a model that takes samples and computes int8; give --frontend, "
            "such as --frontend log-mel --front-setting convention=mlperf"
        )
    feed = artifact.feed.feed
    return {
        **common_values(artifact, benchmark),
        "PREFIX": f"TVMTINY_{artifact.name.upper()}",
        "early": feed.early,
        "most_decisions": _MOST_DECISIONS,
        "samples_file": SAMPLES_FILE,
        "pins_file": PINS_FILE,
        "bytes": 2 * (feed.samples + feed.early) + _MOST_DECISIONS,
    }
