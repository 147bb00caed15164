"""DYNAMIC_UPDATE_SLICE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem, Result, register


@register
class DynamicUpdateSlice(Moving):
    """The input with a block of it replaced, at a place that may be computed at run time.

    As in LiteRT, a place at which the block would not fit becomes the nearest one where it does.
    """

    name = "DYNAMIC_UPDATE_SLICE"
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, block, starts = (node.input(i) for i in range(3))
        yield from check_one_dtype(x, block, node.output)
        yield from check_shape(node, x.shape)
        if starts.dtype not in ("int32", "int64"):
            yield Problem(f"a place of {starts.dtype}", "int32 or int64")
        fits = len(x.shape) == len(block.shape) > 0 and all(
            size <= whole for size, whole in zip(block.shape, x.shape, strict=True)
        )
        if not fits or starts.shape != (len(x.shape),):
            yield Problem(
                f"a block of {list(block.shape)} at a place of shape {list(starts.shape)} in "
                f"{list(x.shape)}",
                "a block that is nowhere larger, and a place with one number a dimension",
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        x, block = node.input(0).shape, node.input(1).shape
        most = [whole - size for whole, size in zip(x, block, strict=True)]

        def expression(source: te.Tensor, new: te.Tensor, starts: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                begin = [_clamped(starts(k), last) for k, last in enumerate(most)]
                place = [index - first for index, first in zip(i, begin, strict=True)]
                inside = [
                    condition
                    for index, size, last in zip(place, block, most, strict=True)
                    if last
                    for condition in (index >= 0, index < size)
                ]
                replaced = new(*place)
                if not inside:
                    return replaced
                return tirx.if_then_else(tirx.all(*inside), replaced, source(*i))

            return elementwise(node.output.shape, value)

        return Compute(tuple(node.input(i) for i in range(3)), expression, in_place=(0,))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, block, starts = inputs
        out = x.copy()
        most = np.array(x.shape) - block.shape
        begin = np.clip(starts.reshape(-1), 0, most)
        out[tuple(slice(b, b + n) for b, n in zip(begin, block.shape, strict=True))] = block
        return [out]


def _clamped(start: Expression, last: int) -> Expression:
    """A start from 0 to `last`, as int32; int64 is cut only after that."""
    if last == 0:
        return tirx.const(0, "int32")
    zero, most = (tirx.const(bound, start.ty.dtype) for bound in (0, last))
    return tirx.max(tirx.min(start, most), zero).astype("int32")
