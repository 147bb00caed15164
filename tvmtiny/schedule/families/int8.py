"""Base class of kernel families that only have int8 kernels for some operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.targets import Cpu


@dataclass(frozen=True)
class Kernels:
    """A family's kernels for one operator; see the methods of `KernelFamily` of these names."""

    sketches: Callable[[Node, Cpu], tuple[Sketch, ...]]
    implement: Callable[[Node, Cpu, Oracle, Goal, Decisions | None], Implementation | None]
    smaller: Callable[[Node, Decisions], Iterator[Decisions]]


class Int8Family(KernelFamily):
    """A family that selects its kernels by operator.

    Attributes
    ----------
    kernels
        Kernels by TFLite's name of the operator, for nodes with int8 first input and output.
    """

    kernels: ClassVar[Mapping[str, Kernels]]

    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        kernels = self._find(node)
        return () if kernels is None else kernels.sketches(node, cpu)

    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        kernels = self._find(node)
        return None if kernels is None else kernels.implement(node, cpu, oracle, goal, decisions)

    def smaller(self, node: Node, decisions: Decisions) -> Iterator[Decisions]:
        kernels = self._find(node)
        return iter(()) if kernels is None else kernels.smaller(node, decisions)

    def _find(self, node: Node) -> Kernels | None:
        # Nodes of other operators may have no inputs.
        kernels = self.kernels.get(node.operator)
        if kernels is None:
            return None
        int8 = node.input(0).dtype == "int8" and node.output.dtype == "int8"
        return kernels if int8 else None
