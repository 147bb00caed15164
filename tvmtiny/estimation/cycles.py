"""Estimates of cycles of a layer, or of a part of one, before anything is built."""

from __future__ import annotations

from tvmtiny.codegen.lower import Kernel
from tvmtiny.estimation.facts import facts, facts_for, keys, rough_amounts
from tvmtiny.estimation.table import calibrated_cores, table
from tvmtiny.ops import Node, find_operator
from tvmtiny.schedule import Implementation
from tvmtiny.targets import Target

__all__ = ["kernel_cycles"]

#: Costs in cycles for CPUs without measured layers: of an instruction in a schedule's estimate, and
#: without such an estimate, of a multiplication of the layer and of one of its elements.
_PER_INSTRUCTION, _PER_PRODUCT, _PER_ELEMENT = 2.0, 12.0, 40.0


def kernel_cycles(
    target: Target, node: Node, made: Implementation | None, kernel: Kernel, constants: int = 0
) -> float:
    """Estimate the cycles of one execution of a kernel, including wait states of a board's flash.

    Parameters
    ----------
    target
        The CPU or board.
    node
        The node that the kernel implements.
    made
        The implementation of `node`; None for TVM's own schedules.
    kernel
        The lowered kernel.
    constants
        Bytes of the constants that the kernel reads.

    Returns
    -------
    float
        Cycles.

    Notes
    -----
    For a CPU without measured layers the estimate is rather too high than too low.
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
    found = facts([kernel], unaligned=measured.unaligned)[kernel.symbol]
    known = facts_for(node, made, found)
    figures = measured.layer(keys(node, kernel), known)
    if figures is None:
        figures = measured.roughly(rough_amounts(node, made))
    waits = 0
    if target.board is not None:
        waits = target.board.code.wait_cycles(figures.flash_read_bytes, constants)
    return max(float(figures.cycles), 1.0) + waits
