"""Describe a Cortex-M fault from its registers.

Bits and names: Arm v7-M Architecture Reference Manual (DDI 0403E), B3.2.15 (CFSR) and B3.2.16
(HFSR); for STKOF and SecureFault the Arm v8-M Architecture Reference Manual (DDI 0553), D1.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from tvmtiny.targets.architectures.record import FaultCause

__all__ = ["explain_fault"]

_EXCEPTIONS = {
    2: "NMI",
    3: "HardFault",
    4: "MemManage",
    5: "BusFault",
    6: "UsageFault",
    7: "SecureFault",
}

_MMARVALID = 1 << 7
_BFARVALID = 1 << 15
_STKOF = 1 << 20
# Stacking failed, so there is no saved PC: MSTKERR, STKERR, STKOF.
_NO_FRAME = 1 << 4 | 1 << 12 | _STKOF

_CFSR_CAUSES = {
    0: "instruction access violation",
    1: "data access violation",
    3: "access violation on exception return",
    4: "access violation on exception entry",
    5: "access violation while saving FPU registers",
    8: "instruction bus error",
    9: "precise data bus error",
    10: "imprecise data bus error",
    11: "bus error on exception return",
    12: "bus error on exception entry",
    13: "bus error while saving FPU registers",
    16: "undefined instruction",
    17: "invalid execution state",
    18: "invalid exception return",
    19: "coprocessor or FPU not enabled",
    20: "stack limit reached",
    24: "unaligned access",
    25: "division by zero",
}

# Words of the frame that the processor pushes on exception entry, without FPU registers.
_FRAME_BYTES = 32

_SHOWN = ("sp", "cfsr", "hfsr")


def explain_fault(report: Mapping[str, int]) -> FaultCause:
    """Interpret the report written by ``runtime/arch/arm/fault.c``."""
    cfsr = report.get("cfsr", 0)
    below = report.get("sp", 0) < report.get("stack_bottom", 0) + (
        _FRAME_BYTES if "pc" not in report else 0
    )
    overflow = bool(cfsr & _STKOF) or below
    pc = lr = None
    if not cfsr & _NO_FRAME and not below:
        pc, lr = report.get("pc"), report.get("lr")
    return FaultCause(_text(report, cfsr, overflow), overflow, pc, lr, _SHOWN)


def _text(report: Mapping[str, int], cfsr: int, overflow: bool) -> str:
    exception = report.get("exception", 0)
    text = _EXCEPTIONS.get(exception, f"exception {exception}")
    causes = [cause for bit, cause in _CFSR_CAUSES.items() if cfsr & 1 << bit]
    if overflow:
        causes.insert(0, "stack overflow")
    if causes:
        text += f", {', '.join(causes)}"
    if cfsr & _MMARVALID:
        text += f" at {report.get('mmfar', 0):#010x}"
    elif cfsr & _BFARVALID:
        text += f" at {report.get('bfar', 0):#010x}"
    return text
