"""Convert a board's fault report to an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.codegen.artifact import NO_LAYER, layer_text
from tvmtiny.errors import DeviceFaultError
from tvmtiny.host.elf import function_at
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import LayerInfo
    from tvmtiny.targets import Cpu

__all__ = ["describe_fault"]

# enum device_stage in runtime/device/device.h.
_STAGES = {
    0: "before the first inference",
    1: "in the first inference",
    2: "in the measured inference",
    3: "after the inferences",
    4: "in a call from the host",
}

_OVERFLOW_ADVICE = "choose a board with a larger stack, or move large local arrays off the stack"


def describe_fault(
    report: Mapping[str, int], elf: Path | None, layers: Sequence[LayerInfo], cpu: Cpu
) -> DeviceFaultError:
    """Convert the fault report of the start-up code to an error.

    Parameters
    ----------
    report
        Registers by name, as the device reported them.
    elf
        Program in which to look up the function; None if it is not available.
    layers
        The layers of the model.
    cpu
        CPU that the program was built for.
    """
    cause = find_architecture(cpu.architecture).explain_fault(report)
    text = cause.text
    if "stage" in report:
        text += f", {_STAGES.get(report['stage'], 'at an unknown stage')}"
    error = DeviceFaultError(
        fault=text,
        pc=cause.pc,
        lr=cause.lr,
        function=None if cause.pc is None or elf is None else function_at(elf, cause.pc),
        layer=layer_text(layers, report.get("layer", NO_LAYER)),
        registers={name: report[name] for name in cause.registers if name in report},
    )
    if cause.stack_overflow:
        error.advice = _OVERFLOW_ADVICE
    return error
