"""The interface of kernel families."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.resources import shipped
from tvmtiny.schedule.clamping import ClampKernel
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.targets import Cpu


class KernelFamily(ABC):
    """Kernels for some CPUs, and the schedules around them.

    A family is a subfolder of this package whose ``FAMILY`` is an instance of a subclass, and the
    folder ``runtime/kernels/<name>`` of headers. `tvmtiny.schedule.families.registry` finds both.
    Several families may implement the same node on one CPU.

    Attributes
    ----------
    name
        Unique name, which is that of both folders.
    features
        Features that a CPU must have, see `tvmtiny.targets.Cpu.features`.
    priority
        By default a node is implemented by the family with the highest priority among those that
        can. Loops over tensor expressions, which run on every CPU, have priority 0.
    sketch_names
        Names of all sketches that the family offers for any node. Sketch names are unique among
        families, because decisions, such as those in tuned records, identify the family by the
        name of a sketch.
    replaces
        Names of families that only handle nodes without a kernel in this family, and whose
        sketches are only offered for nodes without a sketch in this family.
    takes_any_weights
        Whether weights of convolutions and dense layers may be computed at run time, so that
        nothing can be proven about them, or may have a zero point, as those of uint8 models do.
    lanes
        Number of int8 inputs of an output that convolutions and dense layers process at once.
        Lanes are wasted if the depth is not a multiple of it.
    arena_worth
        Instructions that a byte of the arena is worth, relative to other families, as long as they
        are few. It is more for the smallest cores, which have less RAM.
    clamp
        The function that clamps outputs of layers with weights to the range of an activation, if
        the kernels leave that to it; None for families that clamp outputs themselves.
    """

    name: ClassVar[str]
    features: ClassVar[frozenset[str]] = frozenset()
    priority: ClassVar[int]
    sketch_names: ClassVar[frozenset[str]] = frozenset()
    replaces: ClassVar[frozenset[str]] = frozenset()
    takes_any_weights: ClassVar[bool] = False
    lanes: ClassVar[int] = 1
    arena_worth: ClassVar[float] = 1.0
    clamp: ClassVar[ClampKernel | None] = None

    def runs_on(self, cpu: Cpu) -> bool:
        """Return whether `cpu` has all features that the kernels need."""
        return self.features <= cpu.features

    @abstractmethod
    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        """Return the ways to compute `node`, with the decisions that each leaves open.

        Parameters
        ----------
        node
            A node of an optimized graph, with any operator and any dtypes.
        cpu
            A CPU that the family runs on.
        oracle
            The reference whose results are reproduced.

        Returns
        -------
        tuple of Sketch
            Empty if the family has no kernel for the node, or there is nothing to decide.
        """

    @abstractmethod
    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        """Implement `node`.

        Parameters
        ----------
        node, cpu, oracle
            See `sketches`.
        goal
            The goal of the family's default rule.
        decisions
            A candidate of `sketches` or `smaller`; by default the family's own rule decides.

        Returns
        -------
        Implementation or None
            The function states the headers that it includes, permitted overlaps of the output with
            inputs that die with it, and its workspaces; see `tvmtiny.schedule.nest.function`. The
            decisions are the chosen values, in the form of `decisions`. None if the family has no
            kernel for the node, the decisions cannot be combined, or the result cannot be proven to
            equal the oracle's.
        """

    def smaller(self, node: Node, decisions: Decisions) -> Iterator[Decisions]:
        """Return decisions with which `node` needs less workspace, the cheapest ones first.

        Parameters
        ----------
        node
            The node.
        decisions
            Decisions of an implementation of `node` by this family.
        """
        return iter(())

    def schedule(self, function: tirx.PrimFunc, operator: str, cpu: Cpu) -> tirx.PrimFunc | None:
        """Schedule a tensor expression that computes one of several outputs of a node.

        Parameters
        ----------
        function
            A function from `te.create_prim_func`.
        operator
            TFLite's name.
        cpu
            A CPU that the family runs on.

        Returns
        -------
        PrimFunc or None
            The function with `tvmtiny.schedule.implementation.SCHEDULE_ATTR`; None leaves it to
            the next family.
        """
        return None

    @property
    def header_folder(self) -> Path:
        """The folder of the headers that implementations include; missing for no headers.

        Names of headers are unique among families and ``runtime/core``, because generated code has
        all of them in one folder.
        """
        return shipped("runtime") / "kernels" / self.name

    @property
    def headers(self) -> frozenset[str]:
        """Names of the headers that the family ships."""
        return frozenset(file.name for file in self.header_folder.glob("*.h"))
