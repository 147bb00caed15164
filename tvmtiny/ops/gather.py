"""GATHER."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_axis, check_one_dtype, check_shape
from tvmtiny.ops.shared.gathering import EXACTNESS, check_indices, taken
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class Gather(Moving):
    """Slices along one dimension, chosen by an array of indices."""

    name = "GATHER"
    exactness = EXACTNESS
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, indices = node.input(0), node.input(1)
        problems = [*check_axis(int(node.options.get("axis", 0)), x.shape)]
        if problems:
            yield from problems
            return
        axis, batch = _place(node)
        if not 0 <= batch <= min(axis, len(indices.shape)) or (
            x.shape[:batch] != indices.shape[:batch]
        ):
            yield Problem(
                f"{batch} batch dimensions of {list(x.shape)} and {list(indices.shape)}",
                "equal leading dimensions before the axis",
            )
            return
        yield from check_one_dtype(x, node.output)
        yield from check_indices(indices, [x.shape[axis]], ("int16", "int32", "int64"))
        yield from check_shape(
            node, (*x.shape[:axis], *indices.shape[batch:], *x.shape[axis + 1 :])
        )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        return taken(node, node.input(0), node.input(1), *_place(node))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        axis, batch = _place(node)
        x, indices = inputs[0], inputs[1].clip(0, inputs[0].shape[axis] - 1)
        out = np.empty(node.output.shape, x.dtype)
        for i in np.ndindex(*x.shape[:batch]):
            out[i] = x[i].take(indices[i], axis - batch)
        return [out]


def _place(node: Node) -> tuple[int, int]:
    """Return axis and number of batch dimensions, both counted from the front."""
    batch = int(node.options.get("batch_dims", 0))
    if batch < 0:
        batch += len(node.input(1).shape)
    return int(node.options.get("axis", 0)) % len(node.input(0).shape), batch
