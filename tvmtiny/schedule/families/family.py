"""The interface of kernel families."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.resources import shipped
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.targets import Cpu


class KernelFamily(ABC):
    """Kernels for some CPUs, and the schedules around them.

    A family of tvmtiny is a folder here, whose package has an instance as ``FAMILY``, and the
    folder ``runtime/kernels/<name>`` of headers. `tvmtiny.schedule.families.registry` finds both.
    Several families may implement the same node on one CPU.

    Attributes
    ----------
    name
        The name of both folders; no other family has it.
    features
        What a CPU must have, all of it; see `tvmtiny.targets.Cpu.features`.
    priority
        By default, a node is implemented by the family with the highest priority of those that
        can. Loops over tensor expressions, which run on every CPU, have 0.
    sketch_names
        Names of all sketches that the family offers, for any node. No other family has any of
        them: decisions, such as those in tuned records, name their sketch and thereby the family.
    replaces
        Names of families that are only asked for nodes that this one has no kernel for, and
        whose sketches are only offered for those for which this one has none.
    takes_any_weights
        Whether convolutions and dense layers may have weights that are computed at run time, about
        which nothing can be proven, or that have a zero point, as those of uint8 models do.
    lanes
        How many int8 inputs of one output its convolutions and dense layers take at a time. Lanes
        are wasted where the depth is no multiple.
    """

    name: ClassVar[str]
    features: ClassVar[frozenset[str]] = frozenset()
    priority: ClassVar[int]
    sketch_names: ClassVar[frozenset[str]] = frozenset()
    replaces: ClassVar[frozenset[str]] = frozenset()
    takes_any_weights: ClassVar[bool] = False
    lanes: ClassVar[int] = 1

    def runs_on(self, cpu: Cpu) -> bool:
        """Whether `cpu` has all that the kernels need."""
        return self.features <= cpu.features

    @abstractmethod
    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        """Ways to compute `node`, with the decisions that each leaves open.

        Parameters
        ----------
        node
            Of an optimized graph, with any operator and any dtypes.
        cpu
            One that the family runs on.

        Returns
        -------
        tuple of Sketch
            Empty where the family has no kernel for the node, or where nothing is to be decided.
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
        node, cpu
            As for `sketches`.
        decisions
            A candidate of `sketches`, or one of `smaller`; by default the family's own rule
            decides, for `goal`.

        Returns
        -------
        Implementation or None
            Its function states the headers that it includes, how far the output may run over
            inputs that die with it, and its workspaces; see `tvmtiny.schedule.nest.function`. Its
            decisions are what was chosen, in a form that `decisions` takes. None where the family
            has no kernel for the node, the decisions cannot be combined, or the result cannot be
            proven to have the oracle's bytes.
        """

    def smaller(self, node: Node, decisions: Decisions) -> Iterator[Decisions]:
        """Decisions with which `node` needs less workspace, at some cost; the cheapest first.

        Parameters
        ----------
        decisions
            Of an implementation of `node` by this family.
        """
        return iter(())

    def schedule(self, function: tirx.PrimFunc, operator: str, cpu: Cpu) -> tirx.PrimFunc | None:
        """Schedule a tensor expression that is only part of a node: one of several outputs.

        Parameters
        ----------
        function
            As `te.create_prim_func` made it.
        operator
            TFLite's name.

        Returns
        -------
        PrimFunc or None
            With `tvmtiny.schedule.implementation.SCHEDULE_ATTR`; None leaves the function to the
            families after this one.
        """
        return None

    @property
    def header_folder(self) -> Path:
        """The folder of the headers that implementations include.

        A family without headers has none. No other family, nor ``runtime/core``, has a header of
        the same name: generated code has all of them in one folder.
        """
        return shipped("runtime") / "kernels" / self.name

    @property
    def headers(self) -> frozenset[str]:
        """Names of the headers that the family ships."""
        return frozenset(file.name for file in self.header_folder.glob("*.h"))
