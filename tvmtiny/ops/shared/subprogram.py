"""Subgraphs that a node runs: the body of a loop, the branches of a condition.

`tvmtiny.frontend.control` makes them of what a file says: with constants in place of values that no
turn changes, without what nothing needs, and with indices of tensors and nodes that no other graph
of the model has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops.shared.control_call import SUBPROGRAMS
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle


@dataclass(frozen=True, eq=False)
class Subprogram:
    """A subgraph and how its values belong to those of the node.

    Attributes
    ----------
    graph
        Its inputs are values of the graph around it, its states what one turn leaves to the next.
    captured
        For each of its inputs, the position among the node's inputs.
    initial
        For each of its states, the position among the node's inputs of the value at first.
    kept
        For each of its states, the position among the node's results of the value at last; None
        where that is no result.
    given
        For each of its outputs, the position among the node's results.
    """

    graph: Graph
    captured: tuple[int, ...]
    initial: tuple[int, ...] = ()
    kept: tuple[int | None, ...] = ()
    given: tuple[int, ...] = ()

    def run(self, turns: int, inputs: Sequence[np.ndarray], oracle: Oracle) -> list[np.ndarray]:
        """The results after so many turns, by the operators' numpy references.

        Parameters
        ----------
        inputs
            The values of all inputs of the node.
        """
        captured = [inputs[position] for position in self.captured]
        states = [inputs[position] for position in self.initial]
        values: dict[int, np.ndarray] = {}
        for _ in range(turns):
            values = evaluate(self.graph, captured, oracle, states)
            states = [values[state.after.index] for state in self.graph.states]
        results = dict(zip(self.kept, states, strict=True))
        for position, output in zip(self.given, self.graph.outputs, strict=True):
            results[position] = values[output.index]
        results.pop(None, None)
        return [results[position] for position in range(len(results))]


def subprograms(node: Node) -> tuple[Subprogram, ...]:
    """What a node runs; nothing for most."""
    found: tuple[Subprogram, ...] = node.options.get(SUBPROGRAMS, ())
    return found


def all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph, each in front of those that it runs."""
    for node in graph.nodes:
        yield node
        for subprogram in subprograms(node):
            yield from all_nodes(subprogram.graph)
