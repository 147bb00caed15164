"""Base class of RESHAPE, SQUEEZE and EXPAND_DIMS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem


class Reshaping(Moving):
    """An operator that gives the same bytes another shape, which needs no code."""

    exactness: ClassVar[str] = "bit-exact (no code)"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if node.optional_input(0) is None or len(node.inputs) > 2 or len(node.outputs) != 1:
            yield Problem(
                f"{len(node.inputs)} inputs and {len(node.outputs)} outputs",
                "one input, optionally a shape, and one output",
            )
            return
        x = node.input(0)
        if x.dtype != node.output.dtype:
            yield Problem(f"{x.dtype} input and {node.output.dtype} output", "one dtype")
        if x.elements != node.output.elements:
            yield Problem(
                f"{list(x.shape)} has {x.elements} elements, {list(node.output.shape)} has "
                f"{node.output.elements}",
                "shapes with equally many elements",
            )

    def compute(self, node: Node, oracle: Oracle) -> Alias:
        return Alias(node.input(0))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[0].reshape(node.output.shape)]
