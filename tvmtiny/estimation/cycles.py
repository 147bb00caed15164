"""Cycles of a layer or of a part of one, for whoever needs a number before anything is built."""

from __future__ import annotations

import numpy as np

from tvmtiny.codegen.lower import Kernel
from tvmtiny.estimation.facts import facts, keys, rough_amounts
from tvmtiny.estimation.table import calibrated_cores, table
from tvmtiny.ops import Node, find_operator
from tvmtiny.schedule import Implementation
from tvmtiny.targets import Target

__all__ = ["kernel_cycles"]

#: Where no layers were measured on a CPU: cycles of what schedules call an instruction, of a
#: multiplication of a layer without such an estimate, and of one of its elements.
_PER_INSTRUCTION, _PER_PRODUCT, _PER_ELEMENT = 2.0, 12.0, 40.0


def kernel_cycles(
    target: Target, node: Node, made: Implementation | None, kernel: Kernel, constants: int = 0
) -> float:
    """Estimate one execution of a kernel, with waits for the flash of a board that states them.

    Parameters
    ----------
    made
        What implements `node`; None where TVM's own schedules do.
    constants
        Bytes of the constants that it reads.

    Notes
    -----
    Where no layers were measured on the CPU the estimate is high rather than low.
    """
    if kernel.inner:
        return sum(
            call.times * kernel_cycles(target, call.node, call.made, call.kernel, call.constants)
            for call in kernel.inner
        )
    cpu = target.cpu.name
    if cpu not in calibrated_cores():
        if made is not None and (made.cycles or made.instructions):
            return max(float(made.cycles), _PER_INSTRUCTION * made.instructions)
        operator = find_operator(node.operator)
        macs = 0 if operator is None else operator.macs(node)
        reads = [t.elements for t in node.inputs if t is not None and t.data is None]
        elements = max([node.output.elements, *reads])
        return _PER_PRODUCT * macs + _PER_ELEMENT * elements
    measured = table(cpu)
    known = facts([kernel], unaligned=measured.unaligned)[kernel.symbol]
    figures = measured.layer(keys(node, kernel), known)
    if figures is None:
        figures = measured.roughly(rough_amounts(node, made))
    waits = 0
    if target.board is not None:
        waits = target.board.code.wait_cycles(figures.flash_read_bytes, constants)
    return max(float(figures.cycles), 1.0) + waits


def move_cycles(count: int) -> float:
    """Estimate what it takes to copy, fill or add up so many bytes, high rather than low."""
    return float(np.ceil(40 + 3.0 * count))
