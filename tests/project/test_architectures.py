"""A made-up architecture, added by registering it: compile, build and run for it."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from host_runner import WARNINGS, compiler_or_skip, run_command

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import BuildError, InputError, ToolMissingError
from tvmtiny.host.tools import CLibrary, Tool
from tvmtiny.project.faults import describe_fault
from tvmtiny.project.measurement import Measurement, instructions
from tvmtiny.project.qemu.options import QemuOptions, machine_of_board
from tvmtiny.project.qemu.platform import QemuPlatform
from tvmtiny.project.qemu_machine import machine_of
from tvmtiny.project.registry import board_for
from tvmtiny.project.sizes import measure
from tvmtiny.report.doctor import Finding, Status, diagnose
from tvmtiny.targets import Board, Cpu, Region, find_board, resolve
from tvmtiny.targets.architectures import (
    Architecture,
    Counter,
    FaultCause,
    Sections,
    architectures,
    find_architecture,
    register,
    unregister,
)

COMPILER = Tool("toy-elf-gcc", "gcc-toy-elf", "to compile for Toys")
FILES = {
    "startup.c": '#include "device.h"\nvoid device_reset(void) { device_begin(); }\n',
    "arch.h": """
        #include <stdint.h>
        uint32_t stack_pointer(void);
        int32_t semihost(uint32_t operation, const void *block);
        void disable_interrupts(void);
        void enable_interrupts(void);
        void wait_for_interrupt(void);
""",
    "server/leave.c": '#include "protect.h"\nuint32_t device_is_guarded(void) { return 0; }\n',
    "server/interrupts.h": """
        void disable_uart_interrupt(void);
        void enable_uart_interrupt(void);
        void repeat_uart_interrupt(void);
""",
    "link.ld.j2": '{% extends "device/link.ld.j2" %}{% block guard %}guard = 0;{% endblock %}\n',
}
CPU = Cpu("toy-1", "a toy", ("-mtoy=1",), frozenset(), "toy", registers=28)
BOARD = Board(
    "toy-board",
    "a board of toys",
    CPU,
    "qemu",
    (Region("flash", "flash", 0x1000000, 1 << 20), Region("ram", "ram", 0x2000000, 1 << 18)),
    "flash",
    "ram",
    {
        "machine": "toybox",
        "stack_bytes": 4096,
        "qemu_cpu": "toy,wheels=4",
        "uart": {"driver": "cmsdk", "base": 0x100, "irq": 3, "payload_bytes": 256},
    },
)
MAP = """
Linker script and memory map

.text           0x0000000000000000      0x100
 .text.f        0x0000000000000000       0x20 build/m.o
 .toyrodata.f   0x0000000000000020        0x8 build/m.o

.toyunwind      0x0000000000000100        0x4
 .toyunwind     0x0000000000000100        0x4 build/m.o
"""


def explain(report: Mapping[str, int]) -> FaultCause:
    return FaultCause(f"toy broke at {report['where']:#x}", False, report["where"], None, ("sp",))


@pytest.fixture(autouse=True)
def toy(tmp_path: Path) -> Iterator[Architecture]:
    folder = tmp_path / "toy"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    architecture = Architecture(
        name="toy",
        description="Toy",
        compiler=COMPILER,
        library=CLibrary("toylib", COMPILER, "libtoy-dev", ("toy.specs",), ("c",)),
        emulator=Tool("qemu-system-toy", "qemu-system-misc", "to run firmware without a board"),
        counter=Counter(None, spin_instructions=0, empty_call_instructions=3),
        explain_fault=explain,
        compile_flags=("--specs=toy.specs",),
        model_flags=("-fno-toys",),
        device_flags=("-mdevice",),
        link_flags=("-Wl,--toys",),
        emulator_options=("-bios", "none"),
        sections=Sections(code=(".toyunwind",), constants=(".toyrodata",)),
        origins=(0x1000000, 0x2000000),
        interrupts=8,
        optional=True,
        folder=folder,
    )
    register(architecture)
    yield architecture
    unregister("toy")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def findings() -> dict[str, Finding]:
    return {finding.what: finding for finding in diagnose(os.environ)}


@pytest.fixture(scope="module")
def model() -> tvmtiny.Model:
    return tvmtiny.load(models.path("sine"))


def test_registered_once(toy: Architecture) -> None:
    assert toy in architectures() and find_architecture("toy") is toy
    with pytest.raises(ValueError, match="an architecture 'toy' already"):
        register(toy)
    with pytest.raises(ValueError, match=r"no architecture 'toi'; known: arm, riscv, toy"):
        find_architecture("toi")


def test_code_is_compiled_for_its_registers(model: tvmtiny.Model) -> None:
    # 28 registers hold tiles of more accumulators than the 8 of Armv6-M.
    few = dataclasses.replace(CPU, registers=8)
    many, less = (tvmtiny.compile(model, tvmtiny.Target(cpu)) for cpu in (CPU, few))
    assert many.files != less.files
    # No family has kernels for the architecture.
    assert all(layer.schedule.startswith("scalar") for layer in (*less.layers, *many.layers))


@pytest.mark.parametrize("firmware", ["harness", "rpc"])
def test_project_and_commands(
    firmware: str, model: tvmtiny.Model, tmp_path: Path, tools: Path
) -> None:
    artifact = tvmtiny.compile(model, BOARD.target)
    platform = QemuPlatform(workers=1)
    project = platform.generate(artifact, BOARD, tmp_path / "project", firmware)
    for name in ("startup.c", "arch.h"):
        assert (project.directory / "device" / name).read_text() == FILES[name]
    serves = firmware == "rpc"
    assert (project.directory / "device" / "leave.c").exists() == serves
    link = (project.directory / "link.ld").read_text()
    assert "guard = 0;" in link and "ARM" not in link
    assert "*(.rodata .rodata.* .toyrodata .toyrodata.*)" in link
    assert "*(.toyunwind .toyunwind.*)" in link
    if serves:
        assert "COUNTER_HZ 1000000000u" in (project.directory / "device" / "board.h").read_text()

    with pytest.raises(ToolMissingError, match="apt-get install gcc-toy-elf"):
        platform.build(project)
    script(tools / COMPILER.name, "echo \"cannot read spec file 'toy.specs'\"; exit 1")
    with pytest.raises(ToolMissingError, match="toylib, the C library of toy-elf-gcc, is not"):
        platform.build(project)
    log = tmp_path / "log"
    write = 'for last; do :; done; : > "$last"'
    link = 'case "$*" in *link.ld*) exit 1; esac'
    script(tools / COMPILER.name, f'echo "$*" >> {log}; {link}; {write}')
    with pytest.raises(BuildError):
        platform.build(project)
    *compiled, linked = log.read_text().splitlines()
    assert all(line.startswith("-mtoy=1 ") and " --specs=toy.specs " in line for line in compiled)
    kinds = {source: line for line in compiled for source in project.sources if source in line}
    assert (
        " -mdevice " in kinds["device/startup.c"] and "-fno-toys" not in kinds["device/startup.c"]
    )
    assert " -fno-toys " in kinds["sine.c"] and "-mdevice" not in kinds["sine.c"]
    assert linked.startswith("-mtoy=1 ") and " -Wl,--toys " in linked
    assert "thumb" not in log.read_text()


@pytest.mark.parametrize("firmware", ["harness", "rpc"])
def test_shared_c_is_for_any_architecture(
    firmware: str, model: tvmtiny.Model, tmp_path: Path
) -> None:
    artifact = tvmtiny.compile(model, BOARD.target)
    project = QemuPlatform().generate(artifact, BOARD, tmp_path, firmware)
    # An architecture without code here, and a compiler with one program for all architectures.
    command = [compiler_or_skip("clang"), "--target=riscv32-unknown-elf", "-march=rv32imc"]
    command += [*WARNINGS, "-ffreestanding", "-fsyntax-only", "-I.", "-Irpc", "-DTVMTINY_LAYERS"]
    run_command([*command, *(s for s in project.sources if s not in artifact.files)], tmp_path)


def test_emulator(tools: Path) -> None:
    assert QemuOptions.of(BOARD).counter_hz == 10**9
    with pytest.raises(ToolMissingError, match="apt-get install qemu-system-misc"):
        machine_of_board(BOARD).command()
    script(tools / "qemu-system-toy", "")
    assert machine_of_board(BOARD).command() == [
        *(str(tools / "qemu-system-toy"), "-M", "toybox", "-bios", "none", "-cpu", "toy,wheels=4"),
        *("-icount", "shift=0"),
    ]
    assert machine_of(CPU, "other").options == ("-bios", "none")


def test_code_of_another_architecture_is_refused(model: tvmtiny.Model) -> None:
    with pytest.raises(InputError, match="has another architecture"):
        board_for(tvmtiny.compile(model, "mps2-an386"), BOARD)
    artifact = tvmtiny.compile(model, BOARD.target)
    assert board_for(artifact, None) is BOARD
    with pytest.raises(InputError, match="has another architecture"):
        board_for(artifact, find_board("microbit"))
    assert not CPU.runs_code_for(resolve("cortex-m0").cpu)


def test_what_firmware_reports(toy: Architecture) -> None:
    error = describe_fault({"where": 0x40, "sp": 7, "stage": 1, "layer": 9}, None, (), CPU)
    assert error.fault == "toy broke at 0x40, in the first inference"
    assert (error.pc, error.registers) == (0x40, {"sp": 7})
    empty = Measurement(0, 0, 5000, 0, 4990, 0, 0)
    call = Measurement(0, 0, 5000, 1, 4000, 0, 64)
    assert instructions(call, empty, toy.counter, 10**9) == (1 << 24) + 1000 - 10 + 3
    sizes, _ = measure(MAP, ["build/m.o"], (), toy.sections)
    assert (sizes.code, sizes.constants) == (0x24, 8)


def test_doctor(tools: Path) -> None:
    found = findings()
    for what, package in ((COMPILER.name, "gcc-toy-elf"), ("qemu-system-toy", "qemu-system-misc")):
        assert found[what].status is Status.NOTE
        assert found[what].remedy == f"sudo apt-get install {package}"
    script(tools / COMPILER.name, "echo toys 1")
    assert findings()[COMPILER.name].detail == "toys 1, with toylib"
