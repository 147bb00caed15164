"""IF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.control_operator import ControlOperator
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register
from tvmtiny.ops.shared.subprogram import subprograms


@register
class If(ControlOperator):
    """One of two subgraphs, chosen by the first input."""

    name = "IF"

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from super().check_node(node)
        if len(subprograms(node)) == 2 and (
            node.input(0).dtype != "bool" or node.input(0).elements != 1
        ):
            yield Problem(
                f"a condition of {node.input(0).dtype} {list(node.input(0).shape)}", "one bool"
            )

    def run(self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle) -> list[np.ndarray]:
        chosen = subprograms(node)
        if len(chosen) == 1:
            return super().run(node, inputs, oracle)
        return chosen[0 if inputs[0].reshape(-1)[0] else 1].run(1, inputs, oracle)
