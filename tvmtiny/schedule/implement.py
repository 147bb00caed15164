"""Implementing nodes: by default rules, or by given decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tvm import IRModule, tirx

from tvmtiny.frontend.converter import tensor_function
from tvmtiny.ops import Compute, Node, Oracle, find_operator
from tvmtiny.ops.shared.primfunc_attributes import OPERATOR_ATTR
from tvmtiny.schedule.families.dsp import dsp_sketches, implement_dsp
from tvmtiny.schedule.families.scalar.loops import scalar_space, schedule_scalar
from tvmtiny.schedule.implementation import (
    SCHEDULE_ATTR,
    Decisions,
    Goal,
    Implementation,
    is_candidate,
)
from tvmtiny.targets import Cpu


def implement(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement `node`.

    Parameters
    ----------
    decisions
        A candidate of `tvmtiny.schedule.space`; by default the rule's own for `goal`.

    Returns
    -------
    Implementation or None
        Without `decisions`, None where `cpu` has no micro-kernels for the node: its tensor
        expression is scheduled then, see `schedule_module`. With `decisions`, None where they
        are not in the node's space, cannot be combined, do not fit, or cannot be proven exact for
        its weights.
    """
    if decisions is not None and decisions.get("sketch") == "scalar":
        return implement_plain(node, cpu, oracle, decisions)
    if decisions is not None and not is_candidate(dsp_sketches(node), decisions):
        return None
    if "dsp" in cpu.features:
        return implement_dsp(node, oracle, goal, decisions)
    return None


def implement_plain(
    node: Node, cpu: Cpu, oracle: Oracle, decisions: Decisions | None = None
) -> Implementation | None:
    """Schedule the tensor expression of `node` for plain C; None where it needs no code.

    Parameters
    ----------
    decisions
        A candidate with the sketch ``scalar``; by default the rule's own.
    """
    operator = find_operator(node.operator)
    compute = None if operator is None else operator.compute(node, oracle)
    if not isinstance(compute, Compute):
        return None
    function = tensor_function(node, compute)
    if decisions is not None and not is_candidate(
        scalar_space(function, node.operator, cpu)[0], decisions
    ):
        return None
    scheduled, description = schedule_scalar(function, node.operator, cpu, decisions)
    scheduled = scheduled.with_attr(SCHEDULE_ATTR, description)
    return Implementation(scheduled, compute.arguments, decisions or {"sketch": "scalar"})


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


def constants_bytes(
    nodes: Sequence[Node], implementations: Mapping[int, Implementation | None]
) -> int:
    """Bytes of constants of all nodes, with these implementations."""
    return sum(_constants_bytes(node, implementations.get(node.index)) for node in nodes)


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
