"""Schedules around the micro-kernels for RISC-V with multiplication (RV32IM)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.family import KernelFamily
from tvmtiny.schedule.families.riscv.convolution import (
    convolution_sketches,
    implement_convolution,
    smaller_convolution,
)
from tvmtiny.schedule.families.riscv.depthwise import (
    depthwise_sketches,
    implement_depthwise,
    smaller_depthwise,
)
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.targets import Cpu

_IMPLEMENT: dict[
    str, Callable[[Node, Cpu, Oracle, Goal, Decisions | None], Implementation | None]
] = {
    "CONV_2D": implement_convolution,
    "DEPTHWISE_CONV_2D": implement_depthwise,
    "FULLY_CONNECTED": implement_convolution,
}

_SMALLER: dict[str, Callable[[Node, Decisions], Iterator[Decisions]]] = {
    "CONV_2D": smaller_convolution,
    "DEPTHWISE_CONV_2D": smaller_depthwise,
    "FULLY_CONNECTED": smaller_convolution,
}

_SKETCHES: dict[str, Callable[[Node, Cpu], tuple[Sketch, ...]]] = {
    "CONV_2D": convolution_sketches,
    "DEPTHWISE_CONV_2D": depthwise_sketches,
    "FULLY_CONNECTED": convolution_sketches,
}


class RiscV(KernelFamily):
    """int8 layers around 32-bit multiplications, of which some give two products."""

    name = "riscv"
    features = frozenset({"rv32m"})
    priority = 8
    sketch_names = frozenset({"riscv_3x3", "riscv_filter", "riscv_pairs", "riscv_words"})

    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        find = _SKETCHES.get(node.operator)
        return find(node, cpu) if find is not None and _is_int8(node) else ()

    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        implement = _IMPLEMENT.get(node.operator)
        if implement is None or not _is_int8(node):
            return None
        return implement(node, cpu, oracle, goal, decisions)

    def smaller(self, node: Node, decisions: Decisions) -> Iterator[Decisions]:
        find = _SMALLER.get(node.operator)
        return iter(()) if find is None else find(node, decisions)


def _is_int8(node: Node) -> bool:
    return node.input(0).dtype == "int8" and node.output.dtype == "int8"


FAMILY = RiscV()
