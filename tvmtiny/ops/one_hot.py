"""ONE_HOT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_axis, check_one_dtype, check_shape
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem, Result, register


@register
class OneHot(Moving):
    """One value where the position along a new dimension equals the index, another elsewhere."""

    name = "ONE_HOT"
    dtypes = ("int8", "uint8", "int32", "int64", "float32", "bool")
    input_count = 4

    def check_node(self, node: Node) -> Iterator[Problem]:
        indices, on, off = (node.input(i) for i in (0, 2, 3))
        problems = [
            *check_numbers(node, 1, "depth", 1, ("int32",)),
            *check_axis(_axis(node), (*indices.shape, 1)),
        ]
        if problems:
            yield from problems
            return
        yield from check_one_dtype(on, off, node.output)
        if indices.dtype not in ("int32", "int64"):
            yield Problem(f"{indices.dtype} indices", "int32 or int64")
        if (on.elements, off.elements) != (1, 1):
            yield Problem(f"{on.elements} and {off.elements} values", "one value each")
        axis = _axis(node) % (len(indices.shape) + 1)
        shape = indices.shape
        yield from check_shape(node, (*shape[:axis], numbers(node, 1)[0], *shape[axis:]))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        indices, on, off = (node.input(i) for i in (0, 2, 3))
        axis = _axis(node) % len(node.output.shape)

        def expression(index: te.Tensor, hit: te.Tensor, miss: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                position = (*i[:axis], *i[axis + 1 :]) or (0,)
                found = index(*position) == i[axis].astype(indices.dtype)
                return tirx.Select(
                    found, hit(*[0] * (len(on.shape) or 1)), miss(*[0] * (len(off.shape) or 1))
                )

            return elementwise(node.output.shape, value)

        return Compute((indices, on, off), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        indices, depth, on, off = inputs
        axis = _axis(node) % len(node.output.shape)
        steps = np.arange(int(depth.reshape(-1)[0]))
        hit = np.moveaxis(indices[..., None] == steps, -1, axis)
        chosen = np.where(hit, on.reshape(-1)[0], off.reshape(-1)[0])
        return [chosen.astype(node.output.dtype)]


def _axis(node: Node) -> int:
    return int(node.options.get("axis", -1))
