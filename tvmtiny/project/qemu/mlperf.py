"""Firmware for MLPerf Tiny's runner on emulated boards; see ``runtime/mlperf``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmtiny.codegen.names import c_type, macro_stem
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.project.capacity import check_capacity
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
from tvmtiny.project.runtime_files import c_files, render
from tvmtiny.results import Project

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, TensorInfo
    from tvmtiny.results import Firmware
    from tvmtiny.targets import Board

__all__ = ["BENCHMARKS", "MlperfOptions", "build_mlperf", "load_mlperf", "serve_mlperf"]

#: Encoding of an input element that the runner sends, by benchmark: a byte of the model, a pixel
#: from 0 to 255, or a float32.
BENCHMARKS = {"kws01": "bytes", "ic01": "pixels", "vww01": "pixels", "ad01": "float"}

#: Fractional bits of a fixed-point factor.
_FACTOR_BITS = 16
_FILE = "mlperf.json"
#: Lets the firmware ask for the time of the host, to be no faster than its clock.
_HOST_TIME = ("-semihosting-config", "enable=on,target=native")


@dataclass(frozen=True)
class MlperfOptions:
    """Options of the firmware.

    Attributes
    ----------
    benchmark
        Name of the benchmark for the runner, a key of `BENCHMARKS`.
    clock_mhz
        Clock in MHz for converting instructions to time at one instruction per cycle. An inference
        takes no less time than that by the host's watch either. The time of an emulator is not
        that of a board, whatever the clock.
    energy
        Whether timestamps are edges on a pin instead of messages.
    """

    benchmark: str
    clock_mhz: int = 100
    energy: bool = False


def build_mlperf(
    artifact: Artifact, board: Board, directory: Path, options: MlperfOptions
) -> Firmware:
    """Write and build a project with MLPerf Tiny's firmware.

    Parameters
    ----------
    directory
        Directory of the project; created if it does not exist.

    Raises
    ------
    InputError
        The benchmark is unknown, the model does not suit it, or the board has no serial port.
    CapacityError, OutputPathError, ToolMissingError, BuildError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    qemu = QemuOptions.of(board)
    values = _values(artifact, qemu, options)
    demand = fixed_demand(artifact, qemu, RPC)
    ram = demand.ram + int(values["input_bytes"])
    check_capacity(artifact, board, qemu.stack_bytes, ram, demand.flash)
    device = server_files(board)
    device |= {f"device/{name}": text for name, text in c_files("mlperf").items()}
    device["device/mlperf_model.c"] = render("mlperf/mlperf_model.c.j2", **values)
    device["link.ld"] = link_script(board, artifact.placement, qemu.stack_bytes, HEAP_BYTES)
    for folder in FOLDERS:
        make_directory(directory / folder)
    for name, text in {**artifact.files, **device}.items():
        write_text(directory / name, text)
    sources = tuple(name for name in (*artifact.files, *device) if name.endswith(".c"))
    project = Project(directory, artifact, board, sources, "mlperf")
    firmware = QemuPlatform().build(project)
    machine = asdict(machine_of_board(board))
    described = {"board": board.name, "model": artifact.name, **asdict(options), "machine": machine}
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


def serve_mlperf(directory: Path, board: Board, kind: str = "pty") -> QemuTransport:
    """Start QEMU with the firmware of a project.

    Parameters
    ----------
    kind
        ``pty`` for a port that the runner can open, or ``socket``.

    Raises
    ------
    InputError, ToolMissingError, DeviceError
        Raised as by `start_qemu`.
    """
    found = load_mlperf(directory)
    elf = directory / "build" / "firmware.elf"
    # On a socket, wait for the client so that the first messages are not lost.
    wait = kind == "socket"
    model = str(found["model"])
    return start_qemu(elf, machine_of_board(board), model, board.name, kind, _HOST_TIME, wait)


def _values(artifact: Artifact, qemu: QemuOptions, options: MlperfOptions) -> dict[str, Any]:
    """Compute the values for the template."""
    encoding = BENCHMARKS.get(options.benchmark)
    if encoding is None:
        raise InputError(
            f"there is no benchmark {quoted(options.benchmark)} for this firmware; known: "
            f"{', '.join(BENCHMARKS)}"
        )
    if not 1 <= options.clock_mhz <= 10_000:
        raise InputError(f"a clock of {options.clock_mhz} MHz is not possible; give 1 to 10,000")
    if artifact.external or (artifact.stream is not None and artifact.stream.mode.pushes):
        raise InputError(
            "MLPerf Tiny's firmware needs whole inputs in the arena; compile the model with --io "
            "arena and --stream none"
        )
    if len(artifact.inputs) != 1 or len(artifact.outputs) != 1:
        raise InputError(
            f"{artifact.name} has several inputs or outputs; the benchmarks need one of each"
        )
    (given,), (output,) = artifact.inputs, artifact.outputs
    _check(artifact.name, given, output, encoding)
    elements = math.prod(given.shape)
    nanoseconds = 1_000_000_000 // qemu.counter_hz
    return {
        "artifact": artifact,
        "prefix": f"tvmtiny_{artifact.name}",
        "benchmark": options.benchmark,
        "encoding": encoding,
        "energy": options.energy,
        "clock": options.clock_mhz,
        "nanoseconds": nanoseconds,
        "factor": round(nanoseconds / options.clock_mhz * (1 << _FACTOR_BITS)),
        "factor_bits": _FACTOR_BITS,
        "input": given,
        "input_type": c_type(given.dtype),
        "input_bytes": 4 * elements if encoding == "float" else elements,
        "elements": elements,
        "stem": macro_stem("input", 0, given.c_name),
        "output": output,
        "output_stem": macro_stem("output", 0, output.c_name),
        "results": 1 if options.benchmark == "ad01" else math.prod(output.shape),
    }


def _check(model: str, given: TensorInfo, output: TensorInfo, encoding: str) -> None:
    """Raise if a model does not suit the benchmark."""
    if given.dtype != "int8" or given.scale is None:
        raise InputError(f"{model} takes {given.dtype}; the benchmarks need int8")
    if encoding == "float" and given.shape != output.shape:
        raise InputError(
            f"{model} computes {list(output.shape)} from {list(given.shape)}; ad01 needs an output "
            "with the shape of the input"
        )
