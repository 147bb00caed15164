"""Describe a RISC-V trap from its registers.

Codes and names: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, 20211203,
table 3.6 (mcause), and 3.1.16 (mtval).
"""

from __future__ import annotations

from collections.abc import Mapping

from tvmtiny.targets.architectures.record import FaultCause

__all__ = ["explain_fault"]

_INTERRUPT = 1 << 31
_ILLEGAL = 2
_CAUSES = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "load address misaligned",
    5: "load access fault",
    6: "store address misaligned",
    7: "store access fault",
    8: "environment call from user mode",
    9: "environment call from supervisor mode",
    11: "environment call from machine mode",
    12: "instruction page fault",
    13: "load page fault",
    15: "store page fault",
}
# Traps whose mtval is the address of the access.
_WITH_ADDRESS = frozenset({0, 1, 4, 5, 6, 7, 12, 13, 15})
# No instruction exists at the address, so only the return address shows where the jump came from.
_NOWHERE = frozenset({1, 12})

_SHOWN = ("sp", "mcause", "mtval")


def explain_fault(report: Mapping[str, int]) -> FaultCause:
    """Interpret the report written by ``runtime/arch/riscv/fault.c``."""
    code = report.get("mcause", 0)
    overflow = report.get("sp", 0) < report.get("stack_bottom", 0)
    pc = report.get("pc")
    return FaultCause(
        _text(report, code, overflow),
        overflow,
        None if code in _NOWHERE else pc,
        report.get("lr"),
        _SHOWN,
    )


def _text(report: Mapping[str, int], code: int, overflow: bool) -> str:
    if code & _INTERRUPT:
        text = f"unexpected interrupt {code & ~_INTERRUPT}"
    else:
        text = _CAUSES.get(code, f"exception {code}")
    value = report.get("mtval", 0)
    if code in _WITH_ADDRESS:
        text += f" at {value:#010x}"
    elif code == _ILLEGAL and value:
        text += f" {value:#010x}"
    return f"stack overflow, {text}" if overflow else text
