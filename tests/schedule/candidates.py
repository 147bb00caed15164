"""Layers whose copies in one model each get another candidate of their space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

import tvmtiny.compiler
from tests.ops.three_ways import Case, SideBySide
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule import Decisions, Goal, Implementation, implement, space
from tvmtiny.schedule.per_node import resized
from tvmtiny.targets import resolve


@cache
def _node(content: bytes) -> Node:
    return optimized_nodes(tvmtiny.load(content, name="case"))[0]


def node_of(case: Case) -> Node:
    """The node of a case; what is computed for it serves all cores, goals and tests."""
    return _node(case.model())


def covering(
    node: Node, cpu: str, scalar: bool, only: Mapping[str, int | str] | None = None
) -> list[Decisions]:
    """Candidates that can be implemented, such that each value of each decision occurs.

    With `only`, all of them have those decisions.
    """
    target, rng = resolve(cpu).cpu, np.random.default_rng(1)
    candidates = list(space(node, target, Oracle.LITERT))
    covered: set[object] = set()
    chosen = []
    for position in rng.permutation(len(candidates)):
        decisions = candidates[position]
        if only is not None and not only.items() <= decisions.items():
            continue
        values = {(decisions["sketch"], *item) for item in decisions.items()}
        if values <= covered or (decisions["sketch"] == "scalar") != scalar:
            continue
        if implement(node, target, Oracle.LITERT, Goal.BALANCED, decisions) is not None:
            covered |= values
            chosen.append(decisions)
    return chosen


class Candidates:
    """All copies as one model.

    Parameters
    ----------
    scalar
        Whether plain C is tested instead of the micro-kernels.
    tolerance, external
        As for `SideBySide`.
    only
        Decisions that all candidates have.

    Attributes
    ----------
    layers
        The model.
    decisions
        Decisions of its nodes, in their order.
    """

    def __init__(
        self,
        name: str,
        cases: Mapping[str, Case],
        cpu: str,
        scalar: bool,
        tolerance: float = 0.0,
        external: bool = False,
        only: Mapping[str, int | str] | None = None,
    ) -> None:
        self._cpu = cpu
        self.decisions: list[Decisions] = []
        self._nodes: list[Node] = []
        copies: dict[str, Case] = {}
        for key, case in cases.items():
            node = node_of(case)
            for decisions in covering(node, cpu, scalar, only):
                copies[f"{key}_{len(self.decisions)}"] = case
                self.decisions.append(decisions)
                self._nodes.append(node)
        self.layers = SideBySide(name, copies, tolerance, external=external)

    def force(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the compiler take these decisions, and no others for a smaller arena."""

        cpu = resolve(self._cpu).cpu

        def implementer(nodes: Any, *_: Any) -> Callable[[Node], Implementation | None]:
            # What depends on the numbers of a layer alone is known from the choice of candidates.
            for node in nodes:
                resized(node, self._nodes[node.index])
            return lambda node: implement(
                node, cpu, Oracle.LITERT, Goal.BALANCED, self.decisions[node.index]
            )

        def build_once(build: Any, nodes: Any, chosen: Any, *_: Any) -> Any:
            assert all(implementation is not None for implementation in chosen.values())
            return build(chosen)

        monkeypatch.setattr(tvmtiny.compiler, "implementer", implementer)
        monkeypatch.setattr(tvmtiny.compiler, "shrink", build_once)

    def values(self) -> Iterator[tuple[str, str, object]]:
        """Sketch, name and value of every decision that some candidate takes."""
        for decisions in self.decisions:
            for name, value in decisions.items():
                yield str(decisions["sketch"]), name, value
