"""EMBEDDING_LOOKUP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.gathering import EXACTNESS, check_indices, taken
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class EmbeddingLookup(Moving):
    """Rows of a table, chosen by an array of indices."""

    name = "EMBEDDING_LOOKUP"
    exactness = EXACTNESS
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        indices, table = node.input(0), node.input(1)
        if len(indices.shape) != 1 or len(table.shape) < 2:
            yield Problem(
                f"indices of shape {list(indices.shape)} into {list(table.shape)}",
                "a list of indices into a table of rows",
            )
            return
        yield from check_one_dtype(table, node.output)
        yield from check_indices(indices, [table.shape[0]], ("int32",))
        yield from check_shape(node, (*indices.shape, *table.shape[1:]))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return taken(node, node.input(1), node.input(0), 0, 0)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [inputs[1][inputs[0].clip(0, len(inputs[1]) - 1)]]
