"""GATHER_ND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.gathering import EXACTNESS, check_indices, taken_nd
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class GatherND(Moving):
    """Elements or slices, each chosen by its position in the leading dimensions."""

    name = "GATHER_ND"
    exactness = EXACTNESS
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, indices = node.input(0), node.input(1)
        if not indices.shape or not 1 <= indices.shape[-1] <= len(x.shape):
            yield Problem(
                f"indices of shape {list(indices.shape)} into {len(x.shape)} dimensions",
                "positions of at least 1 number, in the last dimension",
            )
            return
        depth = indices.shape[-1]
        yield from check_one_dtype(x, node.output)
        yield from check_indices(indices, x.shape[:depth], ("int16", "int32", "int64"))
        yield from check_shape(node, (*indices.shape[:-1], *x.shape[depth:]))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return taken_nd(node, node.input(0), node.input(1))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        depth = inputs[1].shape[-1]
        indices = inputs[1].clip(0, np.array(inputs[0].shape[:depth]) - 1)
        return [np.asarray(inputs[0][tuple(np.moveaxis(indices, -1, 0))])]
