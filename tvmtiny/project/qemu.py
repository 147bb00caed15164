"""The platform for the boards that QEMU emulates.

Firmware is bare metal. It talks to the host by semihosting, in files of a temporary directory, and
counts instructions with SysTick: under ``-icount shift=0`` one instruction takes one nanosecond of
virtual time, so the counts do not depend on the speed of the host.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from tvmtiny.errors import BuildError, DeviceError, DeviceTimeoutError
from tvmtiny.project import sizes
from tvmtiny.project.api import Firmware, OutputTensor, Project, RunResult, Transport
from tvmtiny.project.capacity import check_capacity, overflow_error
from tvmtiny.project.faults import describe_fault
from tvmtiny.project.files import make_directory, write_text
from tvmtiny.project.qemu_transport import start_qemu
from tvmtiny.project.tensors import pack_inputs, split_tensors
from tvmtiny.project.toolchain import CompileJob, compile_all, find_tool, run_tool

if TYPE_CHECKING:
    import numpy.typing as npt

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.targets import Board

__all__ = ["QemuPlatform"]

COMPILER = "arm-none-eabi-gcc"
EMULATOR = "qemu-system-arm"

# At least this much goes to start-up code and test harness; the linker knows the exact figures.
HARNESS_RAM_BYTES = 416
HARNESS_FLASH_BYTES = 1024

DEFAULT_OPTIMIZATION = "-O2"
DEFAULT_TIMEOUT = 120.0

COMMON_FLAGS = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    "-ffunction-sections",
    "-fdata-sections",
)
MODEL_FLAGS = ("-DTVMTINY_LAYERS",)
# The harness must not pull in library functions, which would be counted as the model's.
HARNESS_FLAGS = (
    "-Os",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-tree-loop-distribute-patterns",
    "-masm-syntax-unified",
    "-I.",
    "-DTVMTINY_LAYERS",
)
LINK_FLAGS = (
    "-nostartfiles",
    "-specs=nano.specs",
    "-specs=nosys.specs",
    "-Wl,--gc-sections",
    "-Wl,-Map=build/firmware.map",
    "-Wl,-T,link.ld",
)

# In a folder of their own, so that no name of a model can be taken.
_HARNESS_SOURCES = ("qemu/startup.c", "qemu/harness.c")

# With -icount shift=0.
_INSTRUCTIONS_PER_SECOND = 1_000_000_000
# The harness finds the end of a SysTick period with a loop of this many instructions.
_SPIN_INSTRUCTIONS = 4
# The call that is subtracted is of a function with two instructions: set the result, return.
_EMPTY_CALL_INSTRUCTIONS = 2
_SYSTICK_PERIOD = 1 << 24

# enum device_exit_code of runtime/qemu/device.h.
_EXIT_OK = 0
_EXIT_FAULT = 10
_EXIT_FILE = 11
_EXIT_STATUS = 12


@dataclass(frozen=True)
class QemuOptions:
    """What this platform needs to know about a board.

    Attributes
    ----------
    machine
        QEMU's name of the board.
    systick_hz
        Frequency of the processor clock that drives SysTick, in Hz.
    stack_bytes
        Size of the stack.
    """

    machine: str
    systick_hz: int
    stack_bytes: int

    @classmethod
    def of(cls, board: Board) -> QemuOptions:
        """Read the options of a board.

        Raises
        ------
        ValueError
            One is missing or not of the right kind.
        """
        values: list[Any] = []
        for key, kind in (("machine", str), ("systick_hz", int), ("stack_bytes", int)):
            value = board.options.get(key)
            if not isinstance(value, kind):
                raise ValueError(f"board {board.name}: option {key} must be {kind.__name__}")
            values.append(value)
        return cls(*values)


def _prefix(artifact: Artifact) -> str:
    return f"tvmtiny_{artifact.name}"


def _resource(name: str) -> str:
    folder = resources.files("tvmtiny").joinpath("runtime").joinpath("qemu")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _render(name: str, **values: Any) -> str:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    return environment.from_string(_resource(name)).render(**values)


def _object(source: str) -> str:
    return f"build/{source.removesuffix('.c')}.o"


class QemuPlatform:
    """Builds bare-metal firmware and runs it in QEMU.

    Parameters
    ----------
    optimization
        GCC option for the generated code.
    workers
        Compilations at the same time.
    """

    def __init__(self, optimization: str = DEFAULT_OPTIMIZATION, workers: int = 2) -> None:
        self.optimization = optimization
        self.workers = workers

    def generate(self, artifact: Artifact, board: Board, directory: Path) -> Project:
        """Write a project; see :meth:`tvmtiny.project.Platform.generate`."""
        options = QemuOptions.of(board)
        harness_ram = HARNESS_RAM_BYTES
        if artifact.external:
            harness_ram += sum(tensor.bytes for tensor in (*artifact.inputs, *artifact.outputs))
        check_capacity(artifact, board, options.stack_bytes, harness_ram, HARNESS_FLASH_BYTES)
        files = {
            **artifact.files,
            "qemu/device.h": _resource("device.h"),
            "qemu/startup.c": _resource("startup.c"),
            "qemu/harness.c": _render("harness.c.j2", artifact=artifact, prefix=_prefix(artifact)),
            "link.ld": _render(
                "link.ld.j2",
                board=board,
                placement=artifact.placement,
                stack_bytes=options.stack_bytes,
            ),
        }
        make_directory(directory / "qemu")
        for name, text in files.items():
            write_text(directory / name, text)
        model = tuple(name for name in artifact.files if name.endswith(".c"))
        return Project(
            directory=directory,
            artifact=artifact,
            board=board,
            sources=(*model, *_HARNESS_SOURCES),
        )

    def build(self, project: Project) -> Firmware:
        """Compile and link a project; see :meth:`tvmtiny.project.Platform.build`."""
        compiler = find_tool(COMPILER)
        directory = project.directory
        make_directory(directory / "build" / "qemu")
        cpu_flags = project.board.cpu.flags
        jobs = []
        for source in project.sources:
            own = HARNESS_FLAGS if source in _HARNESS_SOURCES else (self.optimization, *MODEL_FLAGS)
            jobs.append(
                CompileJob(
                    command=(
                        compiler,
                        *cpu_flags,
                        *COMMON_FLAGS,
                        *own,
                        "-c",
                        source,
                        "-o",
                        _object(source),
                    ),
                    log_path=directory / "build" / f"{source.removesuffix('.c')}.log",
                )
            )
        compile_all(jobs, directory, self.workers)
        self._link(project, compiler)
        text = (directory / "build" / "firmware.map").read_text(encoding="utf-8")
        model = [_object(source) for source in project.sources if source not in _HARNESS_SOURCES]
        flash, ram = sizes.measure(text, model, [f"{_prefix(project.artifact)}_run_layers"])
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
            *project.board.cpu.flags,
            *LINK_FLAGS,
            *(_object(source) for source in project.sources),
            "-lm",
            "-o",
            temporary,
        )
        try:
            run_tool(command, directory, log)
        except BuildError as error:
            overflow = overflow_error(log.read_text(encoding="utf-8"), project.board)
            if overflow is not None:
                raise overflow from error
            raise
        (directory / temporary).replace(directory / "build" / "firmware.elf")

    def flash(self, firmware: Firmware) -> None:
        """Do nothing: QEMU loads the program when it starts."""

    def open_transport(self, firmware: Firmware, kind: str = "socket") -> Transport:
        """Start QEMU; see :meth:`tvmtiny.project.Platform.open_transport`."""
        board = firmware.project.board
        return start_qemu(
            firmware.elf,
            QemuOptions.of(board).machine,
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
        """Run one inference; see :meth:`tvmtiny.project.Platform.run`."""
        artifact = firmware.project.artifact
        board = firmware.project.board
        options = QemuOptions.of(board)
        data = pack_inputs(artifact.inputs, inputs)
        with tempfile.TemporaryDirectory(prefix="tvmtiny-run-") as name:
            directory = Path(name)
            (directory / "input.bin").write_bytes(data)
            _emulate(firmware, options.machine, directory, timeout)
            outputs = split_tensors(_read(directory / "output.bin"), artifact.outputs, "outputs")
            layers = split_tensors(
                _read(directory / "layers.bin"), artifact.layers, "layer outputs"
            )
            model = _entries(directory / "result.txt")
            empty = _entries(directory / "empty.txt")
        try:
            instructions = _instructions(model, empty, options.systick_hz)
            stack_bytes = model["stack_bytes"]
        except KeyError as error:
            raise DeviceError(f"the firmware's results lack {error}; build it again") from error
        return RunResult(
            model=artifact.name,
            board=board.name,
            cpu=board.cpu.name,
            instructions=instructions,
            arena_bytes=artifact.arena_bytes,
            static_ram_bytes=firmware.static_ram_bytes,
            stack_bytes=stack_bytes,
            flash=firmware.sizes,
            outputs=tuple(
                OutputTensor(tensor.name, tensor.dtype, tensor.shape, array)
                for tensor, array in zip(artifact.outputs, outputs, strict=True)
            ),
            layers=layers,
        )


def _emulate(firmware: Firmware, machine: str, directory: Path, timeout: float) -> None:
    """Run QEMU in a directory until the firmware ends, and raise what went wrong there."""
    command = (
        find_tool(EMULATOR),
        "-M",
        machine,
        "-nographic",
        "-monitor",
        "none",
        "-serial",
        "none",
        "-icount",
        "shift=0",
        "-semihosting-config",
        "enable=on,target=native",
        "-kernel",
        str(firmware.elf.resolve()),
    )
    board = firmware.project.board.name
    # A session of its own: an interrupt from the keyboard reaches this process alone, which then
    # ends QEMU in the same way as after a timeout.
    with (directory / "qemu.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise DeviceTimeoutError(seconds=timeout, board=board) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code == _EXIT_OK:
        return
    artifact = firmware.project.artifact
    if code == _EXIT_FAULT:
        raise describe_fault(_entries(directory / "fault.txt"), firmware.elf, artifact.layers)
    if code == _EXIT_STATUS:
        status = _signed(_entries(directory / "result.txt").get("status", 0))
        raise DeviceError(f"the generated run function of {artifact.name} returned {status}, not 0")
    output = " ".join((directory / "qemu.log").read_text(errors="replace").split()) or "no output"
    if code == _EXIT_FILE:
        output = "the firmware could not read its inputs or write its results on the host"
    raise DeviceError(f"QEMU ended with code {code} on {board}: {output[:400]}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DeviceError(
            f"the firmware ended without writing {path.name}; build it again"
        ) from None


def _entries(path: Path) -> dict[str, int]:
    """Read lines of a name and a hexadecimal number."""
    entries = {}
    for line in _read(path).decode("ascii", "replace").splitlines():
        try:
            name, value = line.split()
            entries[name] = int(value, 16)
        except ValueError:
            raise DeviceError(f"the firmware wrote {line!r} in {path.name}") from None
    return entries


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _virtual_time(entries: Mapping[str, int], systick_hz: int) -> float:
    """Instructions between the two SysTick edges, less those spent waiting for the second."""
    ticks = (
        (entries["end_wraps"] - entries["begin_wraps"]) * _SYSTICK_PERIOD
        + entries["begin_value"]
        - entries["end_value"]
    )
    waiting = entries["end_spins"] * _SPIN_INSTRUCTIONS
    return ticks * _INSTRUCTIONS_PER_SECOND / systick_hz - waiting


def _instructions(model: Mapping[str, int], empty: Mapping[str, int], systick_hz: int) -> int:
    difference = _virtual_time(model, systick_hz) - _virtual_time(empty, systick_hz)
    return round(difference) + _EMPTY_CALL_INSTRUCTIONS
