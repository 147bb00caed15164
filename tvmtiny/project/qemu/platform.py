"""The platform for boards that QEMU emulates.

Firmware is bare metal. It exchanges files in a temporary directory with the host by semihosting,
and counts instructions: with ``-icount shift=0`` one instruction takes one nanosecond of virtual
time, so the counts do not depend on the speed of the host.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmtiny.codegen.artifact import layer_functions
from tvmtiny.codegen.tensors import pack_inputs, split_layers, split_tensors
from tvmtiny.errors import BuildError, DeviceError, DeviceTimeoutError
from tvmtiny.errors.base import quoted
from tvmtiny.host.background_process import start_background, stop_background
from tvmtiny.host.files import make_directory, write_bytes, write_text
from tvmtiny.host.toolchain import CompileJob, compile_all, find_tool, run_tool
from tvmtiny.host.unfinished import work_folder
from tvmtiny.project import sizes
from tvmtiny.project.api import Transport
from tvmtiny.project.capacity import check_capacity, overflow_error
from tvmtiny.project.faults import describe_fault
from tvmtiny.project.measurement import Measurement, decode_pieces, instructions
from tvmtiny.project.qemu.flags import (
    DEFAULT_OPTIMIZATION,
    compile_flags,
    device_flags,
    link_flags,
    model_flags,
)
from tvmtiny.project.qemu.options import QemuOptions, machine_of_board
from tvmtiny.project.qemu.sources import FOLDERS, HARNESS, device_files, fixed_demand
from tvmtiny.project.qemu.transport import start_qemu
from tvmtiny.results import Firmware, OutputTensor, Pauses, Project, RunResult
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    import numpy.typing as npt

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.targets import Board

__all__ = ["QemuPlatform"]

DEFAULT_TIMEOUT = 120.0

# enum device_exit_code in runtime/device/harness/semihosting.h.
_EXIT_OK = 0
_EXIT_FAULT = 10
_EXIT_FILE = 11
_EXIT_STATUS = 12


def _object(source: str) -> str:
    return f"build/{source.removesuffix('.c')}.o"


class QemuPlatform:
    """Build bare-metal firmware and run it in QEMU.

    Parameters
    ----------
    optimization
        GCC's optimization option for the generated code.
    workers
        Number of compilations that run in parallel.
    """

    def __init__(self, optimization: str = DEFAULT_OPTIMIZATION, workers: int = 2) -> None:
        self.optimization = optimization
        self.workers = workers

    def generate(
        self, artifact: Artifact, board: Board, directory: Path, firmware: str = HARNESS
    ) -> Project:
        """Write a project; see :meth:`tvmtiny.project.api.Platform.generate`."""
        options = QemuOptions.of(board)
        demand = fixed_demand(artifact, options, firmware)
        check_capacity(artifact, board, options.stack_bytes, demand.ram, demand.flash)
        device = device_files(artifact, board, options, firmware)
        for folder in FOLDERS:
            make_directory(directory / folder)
        for name, text in {**artifact.files, **device}.items():
            write_text(directory / name, text)
        return Project(
            directory=directory,
            artifact=artifact,
            board=board,
            sources=tuple(name for name in (*artifact.files, *device) if name.endswith(".c")),
            firmware=firmware,
        )

    def build(self, project: Project) -> Firmware:
        """Compile and link a project; see :meth:`tvmtiny.project.api.Platform.build`."""
        cpu = project.board.cpu
        architecture = find_architecture(cpu.architecture)
        compiler = find_tool(architecture.compiler)
        directory = project.directory
        for folder in FOLDERS:
            make_directory(directory / "build" / folder)
        for_device = (*device_flags(cpu), *QemuOptions.of(project.board).flags)
        artifacts = (project.artifact, *project.others)
        model_files = {name for artifact in artifacts for name in artifact.files}
        jobs = []
        for source in project.sources:
            model = source in model_files
            own = (self.optimization, *model_flags(cpu)) if model else for_device
            jobs.append(
                CompileJob(
                    command=(
                        compiler,
                        *compile_flags(cpu),
                        *own,
                        "-c",
                        source,
                        "-o",
                        _object(source),
                    ),
                    log_path=directory / "build" / f"{source.removesuffix('.c')}.log",
                )
            )
        compile_all(jobs, directory, self.workers, architecture.library)
        self._link(project, compiler)
        text = (directory / "build" / "firmware.map").read_text(encoding="utf-8")
        objects = [_object(source) for source in project.sources if source in model_files]
        flash, ram = sizes.measure(
            text,
            objects,
            [name for artifact in artifacts for name in layer_functions(artifact)],
            architecture.sections,
        )
        return Firmware(
            elf=directory / "build" / "firmware.elf",
            project=project,
            sizes=flash,
            static_ram_bytes=ram,
        )

    def _link(self, project: Project, compiler: str) -> None:
        directory = project.directory
        log = directory / "build" / "link.log"
        temporary = "build/firmware.elf.part"
        command = (
            compiler,
            *link_flags(project.board.cpu, "link.ld"),
            "-Wl,-Map=build/firmware.map",
            *(_object(source) for source in project.sources),
            "-lm",
            "-o",
            temporary,
        )
        try:
            run_tool(
                command, directory, log, find_architecture(project.board.cpu.architecture).library
            )
        except BuildError as error:
            overflow = overflow_error(log.read_text(encoding="utf-8"), project.board)
            if overflow is not None:
                raise overflow from error
            raise
        (directory / temporary).replace(directory / "build" / "firmware.elf")

    def flash(self, firmware: Firmware) -> None:
        """Do nothing: QEMU loads the program when it starts."""

    def open_transport(self, firmware: Firmware, kind: str = "socket") -> Transport:
        """Start QEMU; see :meth:`tvmtiny.project.api.Platform.open_transport`."""
        board = firmware.project.board
        return start_qemu(
            firmware.elf,
            machine_of_board(board),
            firmware.project.artifact.name,
            board.name,
            kind,
        )

    def run(
        self,
        firmware: Firmware,
        inputs: Sequence[npt.NDArray[Any]],
        timeout: float = DEFAULT_TIMEOUT,
    ) -> RunResult:
        """Run one inference; see :meth:`tvmtiny.project.api.HarnessPlatform.run`."""
        artifact = firmware.project.artifact
        board = firmware.project.board
        data = pack_inputs(artifact.inputs, inputs)
        with work_folder("run") as directory:
            write_bytes(directory / "input.bin", data)
            emulate_in(firmware, directory, timeout)
            outputs = split_tensors(_read(directory / "output.bin"), artifact.outputs, "outputs")
            layers = split_layers(_read(directory / "layers.bin"), artifact)
            model = _entries(directory / "result.txt")
            empty = _entries(directory / "empty.txt")
            pieces = None
            if artifact.stream is not None:
                pieces = [_read(directory / name) for name in ("slices.bin", "pushes.bin")]
                if _read(directory / "stepped.bin") != _read(directory / "output.bin"):
                    raise DeviceError(
                        f"{artifact.name} computes different outputs in steps; this is a defect of "
                        "tvmtiny: report it with the model"
                    )
        counter = find_architecture(board.cpu.architecture).counter
        hz = QemuOptions.of(board).counter_hz
        try:
            nothing = Measurement.of(empty)
            count = instructions(Measurement.of(model), nothing, counter, hz)
            stack_bytes = model["stack_bytes"]
        except KeyError as error:
            raise DeviceError(f"the firmware's results lack {error}; build it again") from error
        return RunResult(
            model=artifact.name,
            board=board.name,
            cpu=board.cpu.name,
            instructions=count,
            arena_bytes=artifact.arena_bytes,
            static_ram_bytes=firmware.static_ram_bytes,
            stack_bytes=stack_bytes,
            flash=firmware.sizes,
            outputs=tuple(
                OutputTensor(tensor.name, tensor.dtype, tensor.shape, array)
                for tensor, array in zip(artifact.outputs, outputs, strict=True)
            ),
            layers=layers,
            pauses=None
            if pieces is None
            else Pauses(*(decode_pieces(piece, nothing, counter, hz) for piece in pieces)),
        )


def emulate_in(
    firmware: Firmware, directory: Path, timeout: float, options: Sequence[str] = ()
) -> None:
    """Run QEMU in a directory until the firmware exits.

    Parameters
    ----------
    options
        Additional options of QEMU.

    Raises
    ------
    DeviceError
        The firmware faulted, timed out or reported an error, or QEMU failed.
    """
    command = (
        *machine_of_board(firmware.project.board).command(),
        *options,
        "-nographic",
        "-monitor",
        "none",
        "-serial",
        "none",
        "-semihosting-config",
        "enable=on,target=native",
        "-kernel",
        str(firmware.elf.resolve()),
    )
    board = firmware.project.board
    with (directory / "qemu.log").open("wb") as log:
        process = start_background(command, output=log, directory=directory, remove=directory)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise DeviceTimeoutError(seconds=timeout, board=board.name) from None
        finally:
            stop_background(process)
    if code == _EXIT_OK:
        return
    artifact = firmware.project.artifact
    if code == _EXIT_FAULT:
        report = _entries(directory / "fault.txt")
        raise describe_fault(report, firmware.elf, artifact.layers, board.cpu)
    if code == _EXIT_STATUS:
        status = _signed(_entries(directory / "result.txt").get("status", 0))
        raise DeviceError(
            f"the generated run function of {artifact.name} returned {status}, not 0; this is a "
            "defect of tvmtiny: report it with the model"
        )
    output = " ".join((directory / "qemu.log").read_text(errors="replace").split()) or "no output"
    if code == _EXIT_FILE:
        output = "the firmware could not read its inputs or write its results on the host"
    own = f"whether {board.file} describes a machine of this QEMU, and " if board.file else ""
    raise DeviceError(
        f"QEMU ended with code {code} on {board.name}: {output[:400]}; check {own}QEMU and the "
        "space for temporary files (tvmtiny doctor)"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DeviceError(
            f"the firmware ended without writing {path.name}; build it again"
        ) from None


def _entries(path: Path) -> dict[str, int]:
    """Parse lines that consist of a name and a hexadecimal number."""
    entries = {}
    for line in _read(path).decode("ascii", "replace").splitlines():
        try:
            name, value = line.split()
            entries[name] = int(value, 16)
        except ValueError:
            raise DeviceError(
                f"cannot parse {quoted(line)}, which the firmware wrote to {path.name}; build it "
                "with this version of tvmtiny"
            ) from None
    return entries


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value
