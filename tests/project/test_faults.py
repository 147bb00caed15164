"""From fault registers to words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tvmtiny.codegen.artifact import NO_LAYER, layer_text
from tvmtiny.project import faults
from tvmtiny.targets import cpus

LAYERS: Any = (SimpleNamespace(operator="ADD", name="sum"),)
FRAME = {"sp": 0x20000100, "stack_bottom": 0x20000000, "pc": 0x124, "lr": 0x201, "xpsr": 0}


@pytest.fixture(autouse=True)
def no_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "function_at", lambda elf, address: f"at_{address:x}")


def describe(**report: int) -> Any:
    return faults.describe_fault(report, Path("firmware.elf"), LAYERS, cpus()["cortex-m4"])


def test_bus_fault_with_an_address() -> None:
    error = describe(**FRAME, exception=5, cfsr=1 << 9 | 1 << 15, bfar=0xF0000000, layer=0, stage=1)
    assert error.fault == "BusFault, precise data bus error at 0xf0000000, in the first inference"
    assert (error.pc, error.lr, error.function) == (0x124, 0x201, "at_124")
    assert error.layer == "layer 0 ADD (sum)"


def test_hard_fault_without_status_registers() -> None:
    error = describe(**FRAME, exception=3, layer=NO_LAYER, stage=2)
    assert error.fault == "HardFault, in the measured inference"
    assert error.layer is None
    assert error.pc == 0x124


@pytest.mark.parametrize(
    "report",
    [
        {"exception": 6, "cfsr": 1 << 20, **FRAME},
        {"exception": 3, "sp": 0x1FFFFFE8, "stack_bottom": 0x20000000},
        {"exception": 4, "cfsr": 0x92, "sp": 0x1FFFFFE8, "stack_bottom": 0x20000000},
    ],
)
def test_stack_overflow_has_no_program_counter(report: dict[str, int]) -> None:
    error = describe(**report)
    assert "stack overflow" in error.fault
    assert error.pc is None and error.lr is None and error.function is None
    assert "larger stack" in str(error)


def test_layer_text() -> None:
    assert layer_text(LAYERS, 0) == "layer 0 ADD (sum)"
    assert layer_text(LAYERS, 1) is None
    assert layer_text(LAYERS, NO_LAYER) is None


@pytest.mark.parametrize(
    ("report", "fault", "pc"),
    [
        ({"mcause": 2}, "illegal instruction", 0x124),
        ({"mcause": 2, "mtval": 0x57}, "illegal instruction 0x00000057", 0x124),
        ({"mcause": 4, "mtval": 0x81}, "load address misaligned at 0x00000081", 0x124),
        ({"mcause": 6, "mtval": 0x81}, "store address misaligned at 0x00000081", 0x124),
        ({"mcause": 1, "mtval": 8}, "instruction access fault at 0x00000008", None),
        (
            {"mcause": 7, "mtval": 0x7FFFFFF0, "sp": 0x7FFFFFE0},
            "stack overflow, store access fault at 0x7ffffff0",
            0x124,
        ),
        ({"mcause": 10}, "exception 10", 0x124),
        ({"mcause": 1 << 31 | 7}, "unexpected interrupt 7", 0x124),
    ],
)
def test_riscv(report: dict[str, int], fault: str, pc: int | None) -> None:
    frame = {"sp": 0x80000100, "stack_bottom": 0x80000000, "pc": 0x124, "lr": 0x200}
    cpu = cpus()["rv32imc"]
    error = faults.describe_fault({**frame, **report, "stage": 2}, Path("f.elf"), LAYERS, cpu)
    assert error.fault == f"{fault}, in the measured inference"
    assert (error.pc, error.lr) == (pc, 0x200)
    assert ("larger stack" in str(error)) == ("overflow" in fault)
