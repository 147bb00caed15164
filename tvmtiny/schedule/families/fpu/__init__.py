"""Schedules around the micro-kernels for single precision in hardware (FPv4-SP, FPv5)."""

from __future__ import annotations

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.fpu.depthwise import (
    depthwise_sketches,
    implement_depthwise,
    is_depthwise,
)
from tvmtiny.schedule.families.fpu.elementwise import (
    BINARY,
    elementwise_sketches,
    implement_elementwise,
)
from tvmtiny.schedule.families.fpu.matrix import implement_matrix, matrix_sketches
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.targets import Cpu

_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class Fpu(KernelFamily):
    """float32 layers with VFMA."""

    name = "fpu"
    features = frozenset({"fpu"})
    priority = 8
    sketch_names = frozenset({"fpu_binary", "fpu_tile", "fpu_window"})

    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        if _is_binary(node):
            return elementwise_sketches(node)
        if not _is_float(node):
            return ()
        return depthwise_sketches(node) if is_depthwise(node) else matrix_sketches(node)

    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        if _is_binary(node):
            return implement_elementwise(node)
        if not _is_float(node):
            return None
        implement = implement_depthwise if is_depthwise(node) else implement_matrix
        # On cores where VFMA takes longer than VMUL and VADD, speed justifies an extra instruction.
        return implement(node, goal is not Goal.SPEED or cpu.fused_cycles < 2, decisions)


def _is_binary(node: Node) -> bool:
    return node.operator in BINARY and node.output.dtype == "float32" and node.output.elements > 0


def _is_float(node: Node) -> bool:
    """Return whether a node has float activations and constants."""
    if node.operator not in _OPERATORS or node.output.dtype != "float32":
        return False
    constants = [t for t in node.inputs[1:] if t is not None]
    floats = node.input(0).dtype == "float32" and node.output.elements > 0
    return floats and all(t.data is not None and t.dtype == "float32" for t in constants)


FAMILY = Fpu()
