"""Implementation of nodes by kernel families, by their default rules or by given decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tvm import IRModule, tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.primfunc_attributes import OPERATOR_ATTR
from tvmtiny.schedule.clamping import clamped_later, with_clamping
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.families.registry import families, families_for, family_of
from tvmtiny.schedule.implementation import (
    SCHEDULE_ATTR,
    Decisions,
    Goal,
    Implementation,
    is_candidate,
)
from tvmtiny.schedule.per_node import per_node
from tvmtiny.targets import Cpu


def implement(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement `node` by the first kernel family that can.

    Parameters
    ----------
    node
        A node of an optimized graph.
    cpu
        The CPU.
    oracle
        The reference whose results are reproduced.
    goal
        The goal of the families' default rules.
    decisions
        A candidate of `tvmtiny.schedule.space`; by default the families' own rules decide.

    Returns
    -------
    Implementation or None
        Without `decisions`, None if the node needs no arithmetic, or no family computes all of its
        results; the converter then makes its functions, see `schedule_module`. With `decisions`,
        None if they are not in the node's space, cannot be combined, do not fit, or cannot be
        proven exact for the node's weights.
    """
    if decisions is None:
        return _by_default(node, cpu, oracle, goal, families_for(node, cpu))
    chosen = family_of(decisions)
    if chosen is None or chosen not in families_for(node, cpu):
        return None
    if not is_candidate(chosen.sketches(node, cpu, oracle), decisions):
        return None
    return implement_by(chosen, node, cpu, oracle, goal, decisions)


@per_node
def _by_default(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, registered: tuple[KernelFamily, ...]
) -> Implementation | None:
    tried = (implement_by(family, node, cpu, oracle, goal) for family in registered)
    return next((found for found in tried if found is not None), None)


def implement_by(
    family: KernelFamily,
    node: Node,
    cpu: Cpu,
    oracle: Oracle,
    goal: Goal,
    decisions: Decisions | None = None,
) -> Implementation | None:
    """Implement `node` by one family.

    If the activation ends within the range of int8, outputs are clamped by the kernel itself or
    afterwards, whichever takes less. The arguments are those of `implement`.
    """
    direct = family.implement(node, cpu, oracle, goal, decisions)
    free = None if family.clamp is None else clamped_later(node)
    made = None if free is None else family.implement(free, cpu, oracle, goal, decisions)
    if made is None or family.clamp is None:
        return direct
    clamped = with_clamping(made, node, family.clamp)
    if direct is not None and direct.cycles and clamped.cycles and goal is Goal.SPEED:
        return min(clamped, direct, key=lambda found: found.cycles)
    if direct is not None and direct.instructions <= clamped.instructions:
        return direct
    return clamped


def implementer(
    nodes: Sequence[Node], cpu: Cpu, oracle: Oracle, goal: Goal, flash_budget: int | None = None
) -> Callable[[Node], Implementation | None]:
    """Return a function that implements each of `nodes` for `goal`.

    Parameters
    ----------
    flash_budget
        Limit of constants in bytes for `Goal.SPEED`. Nodes get the faster implementation in the
        order of estimated instructions saved per additional byte, as long as all constants fit. If
        those of `Goal.BALANCED` do not fit, nodes get the implementation of `Goal.SIZE` first.
    """
    if goal is not Goal.SPEED or flash_budget is None:
        return lambda node: implement(node, cpu, oracle, goal)
    small = {node.index: implement(node, cpu, oracle, Goal.BALANCED) for node in nodes}
    fast = {node.index: implement(node, cpu, oracle, goal) for node in nodes}
    if constants_bytes(nodes, small) > flash_budget:
        for node in nodes:
            least = implement(node, cpu, oracle, Goal.SIZE)
            if _constants_bytes(node, least) < _constants_bytes(node, small[node.index]):
                small[node.index] = least
    left = flash_budget - constants_bytes(nodes, small)
    gains = []
    for node in nodes:
        extra = _constants_bytes(node, fast[node.index]) - _constants_bytes(node, small[node.index])
        if extra > 0:
            saved = _instructions(small[node.index]) - _instructions(fast[node.index])
            gains.append((-saved / extra, node.index, extra))
    chosen = dict(small)
    for _, index, extra in sorted(gains):
        if extra <= left:
            chosen[index] = fast[index]
            left -= extra
    return lambda node: chosen[node.index]


def constants_bytes(
    nodes: Sequence[Node], implementations: Mapping[int, Implementation | None]
) -> int:
    """Return the bytes of the constants of all nodes with these implementations."""
    return sum(_constants_bytes(node, implementations.get(node.index)) for node in nodes)


def _instructions(implementation: Implementation | None) -> int:
    return 0 if implementation is None else implementation.instructions


def _constants_bytes(node: Node, implementation: Implementation | None) -> int:
    if implementation is not None:
        return implementation.constants_bytes
    return sum(t.nbytes for t in node.inputs if t is not None and t.data is not None)


def schedule_module(module: IRModule, cpu: Cpu) -> IRModule:
    """Schedule every PrimFunc of `module` that is not scheduled yet.

    The first family that supports a function schedules it.

    Returns
    -------
    IRModule
        A module whose PrimFuncs all have `SCHEDULE_ATTR`.
    """
    scheduled = IRModule(dict(module.functions.items()))
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc) and SCHEDULE_ATTR not in function.attrs:
            operator = str(function.attrs[OPERATOR_ATTR])
            tried = (family.schedule(function, operator, cpu) for family in families(cpu))
            scheduled.update_func(variable, next(found for found in tried if found is not None))
    return scheduled
