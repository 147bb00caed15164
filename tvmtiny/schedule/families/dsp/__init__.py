"""Schedules around the micro-kernels for the DSP extension (Armv7E-M, Armv8-M)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.dsp.add import add_sketches, implement_add
from tvmtiny.schedule.families.dsp.convolution import (
    convolution_sketches,
    implement_convolution,
    implement_fully_connected,
    smaller_convolution,
)
from tvmtiny.schedule.families.dsp.depthwise import (
    depthwise_sketches,
    implement_depthwise,
    smaller_depthwise,
)
from tvmtiny.schedule.families.dsp.pool import (
    implement_average_pool,
    implement_max_pool,
    implement_mean,
    pool_sketches,
)
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch

_IMPLEMENT: dict[str, Callable[[Node, Oracle, Goal, Decisions | None], Implementation | None]] = {
    "ADD": implement_add,
    "AVERAGE_POOL_2D": implement_average_pool,
    "CONV_2D": implement_convolution,
    "DEPTHWISE_CONV_2D": implement_depthwise,
    "MAX_POOL_2D": implement_max_pool,
    "MEAN": implement_mean,
    "FULLY_CONNECTED": implement_fully_connected,
    "SUB": implement_add,
}

_SMALLER: dict[str, Callable[[Node, Decisions], Iterator[Decisions]]] = {
    "CONV_2D": smaller_convolution,
    "DEPTHWISE_CONV_2D": smaller_depthwise,
    "FULLY_CONNECTED": smaller_convolution,
}

_SKETCHES: dict[str, Callable[[Node], tuple[Sketch, ...]]] = {
    "ADD": add_sketches,
    "AVERAGE_POOL_2D": pool_sketches,
    "CONV_2D": convolution_sketches,
    "DEPTHWISE_CONV_2D": depthwise_sketches,
    "FULLY_CONNECTED": convolution_sketches,
    "MAX_POOL_2D": pool_sketches,
}


def dsp_sketches(node: Node) -> tuple[Sketch, ...]:
    """Ways to compute `node` around micro-kernels; none where there is nothing to decide."""
    find = _SKETCHES.get(node.operator)
    if find is None or node.input(0).dtype != "int8" or node.output.dtype != "int8":
        return ()
    return find(node)


def smaller_dsp(node: Node, implementation: Implementation) -> Iterator[Decisions]:
    """Decisions with which `node` needs less workspace, at some cost; the cheapest first."""
    find = _SMALLER.get(node.operator)
    if find is not None and implementation.decisions["sketch"] != "scalar":
        yield from find(node, implementation.decisions)


def implement_dsp(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement `node`; None where there is no micro-kernel for it or it cannot be proven exact.

    Parameters
    ----------
    decisions
        Of an earlier implementation of the same node, varied; by default the rule's own.
    """
    if node.input(0).dtype != "int8" or node.output.dtype != "int8":
        return None
    implement = _IMPLEMENT.get(node.operator)
    return implement(node, oracle, goal, decisions) if implement else None
