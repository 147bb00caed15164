"""How a node or a TIR function becomes fast on an instruction set."""

from __future__ import annotations

from tvm import IRModule, tirx

from tvmtiny.frontend.converter import OPERATOR_ATTR
from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.dsp import implement_dsp
from tvmtiny.schedule.implementation import SCHEDULE_ATTR, Goal, Implementation
from tvmtiny.schedule.scalar import schedule_scalar
from tvmtiny.targets import Cpu

__all__ = ["Goal", "Implementation", "implement", "schedule_module"]


def implement(node: Node, cpu: Cpu, oracle: Oracle, goal: Goal) -> Implementation | None:
    """Implement `node` around micro-kernels of `cpu`; None where there are none for it."""
    if "dsp" in cpu.features:
        return implement_dsp(node, oracle, goal)
    return None


def schedule_module(module: IRModule, cpu: Cpu) -> IRModule:
    """Apply the default rules to every PrimFunc of `module` that is not scheduled yet.

    Returns
    -------
    IRModule
        Every PrimFunc has `SCHEDULE_ATTR`.
    """
    scheduled = IRModule(dict(module.functions.items()))
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc) and SCHEDULE_ATTR not in function.attrs:
            operator = str(function.attrs[OPERATOR_ATTR])
            fast, description = schedule_scalar(function, operator, cpu)
            scheduled.update_func(variable, fast.with_attr(SCHEDULE_ATTR, description))
    return scheduled
