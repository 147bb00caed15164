"""How a node or a TIR function becomes fast on an instruction set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import IRModule, tirx

from tvmtiny.frontend.converter import OPERATOR_ATTR
from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.schedule.dsp import implement_dsp
from tvmtiny.schedule.implementation import SCHEDULE_ATTR, Goal, Implementation, parse_goal
from tvmtiny.schedule.scalar import schedule_scalar
from tvmtiny.targets import Cpu

__all__ = ["Goal", "Implementation", "implement", "implementer", "parse_goal", "schedule_module"]


def implement(node: Node, cpu: Cpu, oracle: Oracle, goal: Goal) -> Implementation | None:
    """Implement `node` around micro-kernels of `cpu`; None where there are none for it."""
    if "dsp" in cpu.features:
        return implement_dsp(node, oracle, goal)
    return None


def implementer(
    nodes: Sequence[Node], cpu: Cpu, oracle: Oracle, goal: Goal, flash_budget: int | None = None
) -> Callable[[Node], Implementation | None]:
    """A function that implements each of `nodes` for `goal`.

    Parameters
    ----------
    flash_budget
        With `Goal.SPEED`: the most bytes of constants. Nodes get the faster implementation in the
        order of products per additional byte, as long as all constants fit.
    """
    if goal is not Goal.SPEED or flash_budget is None:
        return lambda node: implement(node, cpu, oracle, goal)
    small = {node.index: implement(node, cpu, oracle, Goal.BALANCED) for node in nodes}
    fast = {node.index: implement(node, cpu, oracle, goal) for node in nodes}
    left = flash_budget - sum(_constants_bytes(node, small[node.index]) for node in nodes)
    gains = []
    for node in nodes:
        extra = _constants_bytes(node, fast[node.index]) - _constants_bytes(node, small[node.index])
        if extra > 0:
            operator = find_operator(node.operator)
            assert operator is not None
            gains.append((-operator.macs(node) / extra, node.index, extra))
    chosen = dict(small)
    for _, index, extra in sorted(gains):
        if extra <= left:
            chosen[index] = fast[index]
            left -= extra
    return lambda node: chosen[node.index]


def _constants_bytes(node: Node, implementation: Implementation | None) -> int:
    if implementation is not None:
        return implementation.constants_bytes
    return sum(t.nbytes for t in node.inputs if t is not None and t.data is not None)


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
