"""From the registers of a faulted Cortex-M to words.

Bits and names: Arm v7-M Architecture Reference Manual (DDI 0403E), B3.2.15 (CFSR) and B3.2.16
(HFSR); for STKOF and SecureFault the Arm v8-M Architecture Reference Manual (DDI 0553), D1.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.codegen.artifact import NO_LAYER, layer_text
from tvmtiny.errors import DeviceFaultError
from tvmtiny.host.elf import function_at

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import LayerInfo

__all__ = ["describe_fault"]

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

_STAGES = {
    0: "before the first inference",
    1: "in the first inference",
    2: "in the measured inference",
    3: "after the inferences",
    4: "in a call from the host",
}

_REGISTERS = ("sp", "cfsr", "hfsr")

_OVERFLOW_ADVICE = "choose a board with a larger stack, or move large local arrays off the stack"

# Words of the frame that the processor pushes on exception entry, without FPU registers.
_FRAME_BYTES = 32


def _cause(report: Mapping[str, int], overflow: bool) -> str:
    exception = report.get("exception", 0)
    text = _EXCEPTIONS.get(exception, f"exception {exception}")
    cfsr = report.get("cfsr", 0)
    causes = [cause for bit, cause in _CFSR_CAUSES.items() if cfsr & 1 << bit]
    if overflow:
        causes.insert(0, "stack overflow")
    if causes:
        text += f", {', '.join(causes)}"
    if cfsr & _MMARVALID:
        text += f" at {report.get('mmfar', 0):#010x}"
    elif cfsr & _BFARVALID:
        text += f" at {report.get('bfar', 0):#010x}"
    if "stage" not in report:
        return text
    return f"{text}, {_STAGES.get(report['stage'], 'at an unknown stage')}"


def describe_fault(
    report: Mapping[str, int], elf: Path | None, layers: Sequence[LayerInfo]
) -> DeviceFaultError:
    """Turn the fault report of the start-up code into an error.

    Parameters
    ----------
    report
        Registers by name, as the device wrote them.
    elf
        The program, for the name of the function; None where it is not at hand.
    layers
        The layers of the model.
    """
    cfsr = report.get("cfsr", 0)
    below = report.get("sp", 0) < report.get("stack_bottom", 0) + (
        _FRAME_BYTES if "pc" not in report else 0
    )
    overflow = bool(cfsr & _STKOF) or below
    pc = lr = None
    if not cfsr & _NO_FRAME and not below:
        pc, lr = report.get("pc"), report.get("lr")
    error = DeviceFaultError(
        fault=_cause(report, overflow),
        pc=pc,
        lr=lr,
        function=None if pc is None or elf is None else function_at(elf, pc),
        layer=layer_text(layers, report.get("layer", NO_LAYER)),
        registers={name: report[name] for name in _REGISTERS if name in report},
    )
    if overflow:
        error.advice = _OVERFLOW_ADVICE
    return error
