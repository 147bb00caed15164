"""Firmware in QEMU: right results, exact counts, and a clear error for each fault."""

from __future__ import annotations

import dataclasses
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_runner import WARNINGS
from tools import on_qemu, on_qemu_boards

from tests.project.library_members import library_members
from tvmtiny.errors import (
    BuildError,
    CapacityError,
    DeviceError,
    DeviceFaultError,
    DeviceTimeoutError,
    InputDataError,
    InputError,
)
from tvmtiny.project import sizes
from tvmtiny.project.qemu.options import QemuOptions
from tvmtiny.project.qemu.platform import QemuPlatform
from tvmtiny.project.qemu.sources import fixed_demand
from tvmtiny.project.registry import platform_for
from tvmtiny.results import Firmware, FlashSizes
from tvmtiny.targets import find_board
from tvmtiny.targets.architectures import find_architecture

MakeArtifact = Callable[..., Any]
CLANG_FLAGS = [
    "--target=arm-none-eabi",
    "-mfloat-abi=soft",
    *WARNINGS,
    # Clang gives warnings without optimizing as well.
    "-O0",
    "-ffreestanding",
    "-I.",
    "-Irpc",
    "-DTVMTINY_LAYERS",
]

needs_compiler = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


def build(artifact: Any, board: str, directory: Path) -> Firmware:
    platform = QemuPlatform()
    return platform.build(platform.generate(artifact, find_board(board), directory))


def spin(passes: str, board: str) -> str:
    """C of a loop with two instructions per iteration."""
    loop = {
        "arm": '".syntax unified\\n1: subs %0, %0, #1\\n bne 1b\\n" : "+l"(i) : : "cc"',
        "riscv": '"1: addi %0, %0, -1\\n bnez %0, 1b\\n" : "+r"(i)',
    }[find_board(board).cpu.architecture]
    return f"i = {passes}; __asm__ volatile({loop});"


def options(board: str) -> QemuOptions:
    return QemuOptions.of(find_board(board))


def qemu_processes(elf: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(elf).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@on_qemu_boards()
def test_outputs_and_layers_on_every_board(
    board: str,
    make_artifact: MakeArtifact,
    hand_inputs: list[np.ndarray],
    hand_outputs: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
) -> None:
    firmware = build(make_artifact(board), board, tmp_path)
    platform = platform_for(find_board(board))
    platform.flash(firmware)
    result = platform.run(firmware, hand_inputs, timeout=60)
    assert result.board == board
    assert [output.name for output in result.outputs] == ["y", "z"]
    for output, layer, expected in zip(result.outputs, result.layers, hand_outputs, strict=True):
        assert output.data.dtype == expected.dtype
        np.testing.assert_array_equal(output.data, expected)
        np.testing.assert_array_equal(layer, expected)
    assert 40 <= result.instructions < 8000
    assert 0 < result.stack_bytes < 512
    assert result.static_ram_bytes >= 44
    again = platform.run(firmware, hand_inputs, timeout=60)
    assert again.instructions == result.instructions
    assert again.stack_bytes == result.stack_bytes


@on_qemu_boards()
def test_instruction_count_is_within_one_tick(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    # The first layer returns 3 and 5.
    artifact = make_artifact(board, body=spin("500u * (uint32_t)from[0]", board))
    firmware = build(artifact, board, tmp_path)
    counts = []
    for first in (1, 2):
        x = hand_inputs[0].copy()
        x.flat[0] = first
        counts.append(QemuPlatform().run(firmware, [x, hand_inputs[1]]).instructions)
    tick = 1e9 / options(board).counter_hz
    slack = 0 if tick == 1 else min(tick, 16)
    assert abs(counts[1] - counts[0] - 2 * 500 * (5 - 3)) <= slack


@on_qemu_boards("mps3-an547", "riscv-virt")
def test_count_over_several_wraps(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    # 2**24 ticks of 31.25 instructions are 524 million; the second inference takes twice that.
    passes = 600_000_000 if board == "mps3-an547" else 20_000_000
    body = f"static uint32_t calls; {spin(f'calls++ ? {passes}u : 1u', board)}"
    artifact = make_artifact(board, body=body)
    firmware = build(artifact, board, tmp_path)
    count = QemuPlatform().run(firmware, hand_inputs).instructions
    assert 2 * passes < count < 2 * passes + 8000


@on_qemu_boards("mps2-an386", "microbit", "sifive-e")
def test_stack_high_water(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    body = "volatile uint8_t room[600]; room[0] = 1; room[599] = 2; i = room[0];"
    firmware = build(make_artifact(board, body=body), board, tmp_path)
    assert 600 <= QemuPlatform().run(firmware, hand_inputs).stack_bytes <= 720


@on_qemu_boards()
def test_faults_are_reported_with_their_layer(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    """A bad address, a stack overflow, and a frame so large that it may skip the guard."""
    address = "0xa0000000" if board == "microbit" else "0xf0000000"
    # More than the memory of any RISC-V board.
    size = 200_000 if find_board(board).cpu.architecture == "arm" else 9_000_000
    declarations = (
        "uint32_t tvmtiny_hand_recurse(volatile uint32_t *n);"
        "uint32_t tvmtiny_hand_recurse(volatile uint32_t *n)"
        "{ volatile uint32_t own[16]; own[0] = *n;"
        "  return *n == 0u ? 0u : tvmtiny_hand_recurse(own) + own[0]; }"
        "__attribute__((noinline)) static uint32_t fill(void)"
        f"{{ volatile uint8_t room[{size}]; room[4] = 1; return room[4]; }}"
    )
    body = (
        f"if (scale[0] == 2.0f) {{ i = *(volatile uint32_t *){address}u; }}"
        "if (scale[0] == 3.0f) { volatile uint32_t n = 1; i = tvmtiny_hand_recurse(&n); }"
        "if (scale[0] == 4.0f) { i = fill(); }"
    )
    artifact = make_artifact(board, declarations=declarations, body=body)
    firmware = build(artifact, board, tmp_path)

    def fault(scale: float) -> DeviceFaultError:
        with pytest.raises(DeviceFaultError) as raised:
            QemuPlatform().run(firmware, [hand_inputs[0], np.array([scale], np.float32)])
        assert raised.value.layer == "layer 1 ADD (scale)"
        return raised.value

    error = fault(2.0)
    assert error.function == "tvmtiny_hand_scale"
    assert error.pc is not None and error.lr is not None
    assert "fault" in error.fault.lower() and "overflow" not in error.fault
    if board != "microbit":
        assert address in error.fault
    assert "\n" not in str(error)
    for scale in (3.0, 4.0):
        assert "stack overflow" in fault(scale).fault


@on_qemu_boards("riscv-virt")
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('__asm__ volatile(".word 0xffffffff");', "illegal instruction"),
        ("((void (*)(void))0xf0000000u)();", "instruction access fault at 0xf0000000"),
        ('__asm__ volatile(".option norvc\\n ebreak");', "breakpoint"),
        ('__asm__ volatile("ecall");', "environment call from machine mode"),
        # The contents of the flash stay unchanged.
        ("*(volatile uint32_t *)(uintptr_t)bias = 0u;", "store access fault at 0x"),
    ],
)
def test_traps_are_named(
    board: str,
    body: str,
    fault: str,
    make_artifact: MakeArtifact,
    hand_inputs: list[np.ndarray],
    tmp_path: Path,
) -> None:
    firmware = build(make_artifact(board, body=f"i = 0u; {body}"), board, tmp_path)
    with pytest.raises(DeviceFaultError) as raised:
        QemuPlatform().run(firmware, hand_inputs)
    error = raised.value
    assert error.fault.startswith(fault)
    assert error.layer == "layer 1 ADD (scale)"
    assert error.function == (None if "0xf0000000" in body else "tvmtiny_hand_scale")


@on_qemu_boards("riscv-virt")
def test_misaligned_access_is_named(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    # QEMU allows loads and stores but not atomic accesses, which the board supports here.
    atomic = '__asm__ volatile(".option arch, +a\\n lr.w %0, (%1)" : "=r"(i) : "r"(from + 1));'
    known = find_board(board)
    own = dataclasses.replace(known, options={**known.options, "qemu_cpu": "rv32,f=false,d=false"})
    platform = QemuPlatform()
    artifact = make_artifact(board, body=atomic)
    firmware = platform.build(platform.generate(artifact, own, tmp_path))
    with pytest.raises(DeviceFaultError) as raised:
        platform.run(firmware, hand_inputs)
    assert raised.value.fault.startswith("load address misaligned at 0x80")
    assert raised.value.function == "tvmtiny_hand_scale"


@on_qemu_boards("mps2-an386", "riscv-virt")
def test_endless_loop_times_out_and_leaves_no_process(
    board: str, make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    artifact = make_artifact(board, body='for (i = 0;;) { __asm__ volatile(""); }')
    firmware = build(artifact, board, tmp_path)
    with pytest.raises(DeviceTimeoutError, match=f"{board} did not finish within 2 s"):
        QemuPlatform().run(firmware, hand_inputs, timeout=2)
    assert qemu_processes(firmware.elf) == []


@on_qemu
def test_interrupt_leaves_no_process(
    make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    artifact = make_artifact("mps2-an386", body='for (i = 0;;) { __asm__ volatile(""); }')
    firmware = build(artifact, "mps2-an386", tmp_path)
    script = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as N\n"
        "from tvmtiny.project.qemu.platform import _emulate\n"
        "from tvmtiny.targets import find_board\n"
        "project = N(board=find_board('mps2-an386'))\n"
        "_emulate(N(elf=Path(sys.argv[1]), project=project), Path(sys.argv[2]), 60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(firmware.elf), str(tmp_path)],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while len(qemu_processes(firmware.elf)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    finally:
        process.kill()
        process.wait()
    assert qemu_processes(firmware.elf) == []


@on_qemu
def test_status_of_the_run_function_is_an_error(
    make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    firmware = build(make_artifact("mps2-an385", status="-3"), "mps2-an385", tmp_path)
    with pytest.raises(DeviceError, match="hand returned -3"):
        QemuPlatform().run(firmware, hand_inputs)


@on_qemu_boards()
def test_harness_needs_no_library(board: str, make_artifact: MakeArtifact, tmp_path: Path) -> None:
    empty = """
        #include "@.h"
        int32_t tvmtiny_@_scale(const int8_t *from, const float *scale, float *to);
        void tvmtiny_@_double(const int8_t *from, int8_t *to);
        void tvmtiny_@_double(const int8_t *from, int8_t *to) { (void)from; (void)to; }
        int32_t tvmtiny_@_scale(const int8_t *from, const float *scale, float *to)
        { (void)from; (void)scale; (void)to; return 0; }
    """
    firmware = build(make_artifact(board, files={"hand_kernels.c": empty}), board, tmp_path)
    text = firmware.elf.with_name("firmware.map").read_text()
    assert library_members(text) == ()
    assert 0 < firmware.sizes.code < 200
    assert firmware.sizes.constants == 0
    # The assumptions of generate() must not exceed the board's properties.
    project = firmware.project
    sources = [name for name in project.sources if name.startswith("device/")]
    assert {"device/startup.c", "device/harness.c", "device/measure.c"} <= set(sources)
    everything = {f"build/{name.removesuffix('.c')}.o" for name in sources}
    sections = find_architecture(project.board.cpu.architecture).sections
    flash, ram = sizes.measure(text, everything, (), sections)
    demand = fixed_demand(project.artifact, QemuOptions.of(project.board), "harness")
    assert ram >= demand.ram
    assert flash.total >= demand.flash


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33"])
def test_shipped_c_is_free_of_warnings_under_clang(
    cpu: str, make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    """Starting Clang takes most of the time, so only one core gets each file by itself."""
    artifact = make_artifact("mps2-an386")
    sources: set[str] = set()
    for firmware in ("harness", "rpc"):
        board = find_board("mps2-an386")
        project = QemuPlatform().generate(artifact, board, tmp_path, firmware)
        own = [name for name in project.sources if name not in artifact.files]
        if cpu != "cortex-m4":
            device = [name for name in own if name.startswith("device/")]
            whole = f"{firmware}_device.c"
            lines = "".join(f'#include "{name}"\n' for name in device)
            (tmp_path / whole).write_text(lines)
            # Files of the server have macros and variables of the same name.
            own = [whole, *(name for name in own if name not in device)]
        sources |= set(own)
    done = subprocess.run(
        ("clang", *CLANG_FLAGS, f"-mcpu={cpu}", "-c", *sorted(sources)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_library_functions_count_as_the_model(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    soft = build(make_artifact("mps2-an385"), "mps2-an385", tmp_path / "soft")
    hard = build(make_artifact("mps2-an386"), "mps2-an386", tmp_path / "hard")
    text = soft.elf.with_name("firmware.map").read_text()
    assert any("libgcc.a" in member for member in library_members(text))
    assert soft.sizes.code > hard.sizes.code + 300
    assert hard.sizes.constants == 8
    assert hard.static_ram_bytes == 44
    assert hard.sizes.total == hard.sizes.code + hard.sizes.constants


@needs_compiler
def test_compiler_error_names_the_line_and_the_log(
    make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    artifact = make_artifact("mps2-an386", body="undeclared = 1;")
    with pytest.raises(BuildError, match=r"hand_kernels\.c:.*undeclared") as raised:
        build(artifact, "mps2-an386", tmp_path)
    assert "undeclared" in Path(raised.value.log_path).read_text()
    assert not (tmp_path / "build" / "firmware.elf").exists()


def test_too_big_is_refused_before_anything_is_written(
    make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    artifact = make_artifact("microbit", arena_bytes=16_000, constants_bytes=300_000)
    with pytest.raises(CapacityError) as raised:
        QemuPlatform().generate(artifact, find_board("microbit"), tmp_path / "project")
    assert {region.region for region in raised.value.regions} == {"ram", "flash"}
    assert all(region.needed > region.available for region in raised.value.regions)
    assert not (tmp_path / "project").exists()


@needs_compiler
def test_link_overflow_is_a_capacity_error(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    declarations = "static uint8_t big[20000];"
    body = "for (i = 0; i < sizeof big; ++i) { big[i] = (uint8_t)(from[0] + big[i]); }"
    artifact = make_artifact("microbit", declarations=declarations, body=body)
    with pytest.raises(CapacityError) as raised:
        build(artifact, "microbit", tmp_path)
    assert raised.value.region == "ram"
    assert raised.value.needed > 22_000
    assert raised.value.available == 16_384


def test_wrong_inputs_are_refused(
    make_artifact: MakeArtifact, hand_inputs: list[np.ndarray], tmp_path: Path
) -> None:
    platform = QemuPlatform()
    project = platform.generate(make_artifact("microbit"), find_board("microbit"), tmp_path)
    firmware = Firmware(tmp_path / "none", project, FlashSizes(0, 0, 0), 0)
    x, scale = hand_inputs
    for inputs in ([x], [x.reshape(8), scale], [x.astype(np.uint8), scale]):
        with pytest.raises(InputDataError, match=re.escape("expected")):
            platform.run(firmware, inputs)


def test_generated_project_is_the_same_every_time(
    make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    texts = []
    for name in ("one", "two"):
        directory = tmp_path / name
        QemuPlatform().generate(make_artifact("mps2-an505"), find_board("mps2-an505"), directory)
        texts.append({path.name: path.read_text() for path in directory.rglob("*.*")})
    assert texts[0] == texts[1]
    assert not any(path.name.startswith(".") for path in (tmp_path / "one").rglob("*"))


def test_unknown_platform_is_refused() -> None:
    board = dataclasses.replace(find_board("microbit"), platform="qemu2")
    with pytest.raises(InputError, match=r"qemu2.*allowed: qemu, zephyr"):
        platform_for(board)
