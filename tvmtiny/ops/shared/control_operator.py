"""Base class of operators that run subgraphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.block import parts, results, with_block
from tvmtiny.ops.shared.control_call import REFUSED, SUBPROGRAMS, TURNS, ControlCall
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, find_operator
from tvmtiny.ops.shared.subprogram import subprograms


class ControlOperator(Operator):
    """An operator whose node has subprograms, see `tvmtiny.ops.shared.subprogram`."""

    output_count = None
    dtypes = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")
    per_channel = True
    needs_scale = False
    in_block = True
    exactness = "as the operators inside"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if SUBPROGRAMS not in node.options:
            reason, allowed = node.options.get(REFUSED, ("its subgraphs are missing", "subgraphs"))
            yield Problem(reason, allowed)

    def compute(self, node: Node, oracle: Oracle) -> tuple[ControlCall | Alias, ...]:
        return (ControlCall(node), *parts(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        found = self.run(node, inputs, oracle)
        found = [v.reshape(t.shape) for v, t in zip(found, results(node), strict=True)]
        return with_block(node, found)

    def run(self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle) -> list[np.ndarray]:
        """Compute the results with the numpy references of the operators inside."""
        (only,) = subprograms(node)
        return only.run(int(node.options.get(TURNS, 1)), inputs, oracle)

    def macs(self, node: Node) -> int:
        found = [sum(map(_macs, program.graph.nodes)) for program in subprograms(node)]
        return int(node.options.get(TURNS, 1)) * max(found, default=0)


def _macs(node: Node) -> int:
    operator = find_operator(node.operator)
    return 0 if operator is None else operator.macs(node)
