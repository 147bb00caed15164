"""Subgraphs that a node runs: the body of a loop, or the branches of a condition.

`tvmtiny.frontend.control` makes them from the file: values that no iteration changes become
constants, unused values are removed, and the indices of tensors and nodes are unique in the model.
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
    """A subgraph, and the relation of its values to those of the node.

    Attributes
    ----------
    graph
        The subgraph. Its inputs are values of the surrounding graph, and its states the values that
        an iteration passes to the next.
    captured
        For each input of the subgraph, the position among the node's inputs.
    initial
        For each state, the position of its initial value among the node's inputs.
    kept
        For each state, the position of its final value among the node's results; None if it is no
        result.
    given
        For each output, the position among the node's results.
    """

    graph: Graph
    captured: tuple[int, ...]
    initial: tuple[int, ...] = ()
    kept: tuple[int | None, ...] = ()
    given: tuple[int, ...] = ()

    def run(self, turns: int, inputs: Sequence[np.ndarray], oracle: Oracle) -> list[np.ndarray]:
        """Compute the results after `turns` iterations with the operators' numpy references.

        Parameters
        ----------
        turns
            Number of iterations.
        inputs
            Values of all inputs of the node.
        oracle
            The reference whose rounding is reproduced.
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
    """Return the subprograms that a node runs; empty for most nodes."""
    found: tuple[Subprogram, ...] = node.options.get(SUBPROGRAMS, ())
    return found


def all_nodes(graph: Graph) -> Iterator[Node]:
    """Yield the nodes of a graph, each followed by those that it runs."""
    for node in graph.nodes:
        yield node
        for subprogram in subprograms(node):
            yield from all_nodes(subprogram.graph)
