"""TOPK_V2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem, Result, register


@register
class TopkV2(Moving):
    """The largest elements of each row in descending order, and their indices.

    Among equal elements, the one with the smaller index comes first. The rank of an element is the
    number of elements that come before it, so the time grows with the square of the row's length.
    """

    name = "TOPK_V2"
    dtypes = ("int8", "uint8", "int16", "int32", "int64", "float32")
    exactness = "bit-exact (float32 on finite values)"
    input_count = 2
    output_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_numbers(node, 1, "k", 1)]
        if problems:
            yield from problems
            return
        x, (values, indices) = node.input(0), node.outputs
        yield from check_one_dtype(x, values)
        if indices.dtype not in ("int16", "int32"):
            yield Problem(f"{indices.dtype} indices", "int16 or int32")
        if not x.shape or not 1 <= numbers(node, 1)[0] <= x.shape[-1]:
            yield Problem(
                f"k of {numbers(node, 1)[0]} in {list(x.shape)}", "at most the size of a row"
            )
            return
        for output in node.outputs:
            yield from check_output(output, (*x.shape[:-1], numbers(node, 1)[0]))

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x = node.input(0)
        size = x.shape[-1]

        def ranks(source: te.Tensor) -> te.Tensor:
            k = te.reduce_axis((0, size), "k")

            def value(*i: tirx.Var) -> Expression:
                mine, other = source(*i), source(*i[:-1], k)
                before = tirx.any(other > mine, tirx.all(k < i[-1], other == mine))
                return te.sum(tirx.Select(before, 1, 0), axis=k)

            return te.compute(x.shape, value, name="rank")

        def outputs(values: bool, dtype: str) -> Result:
            def expression(source: te.Tensor) -> te.Tensor:
                rank = ranks(source)
                k = te.reduce_axis((0, size), "j")
                # Exactly one element has each rank, so the sum selects it.
                only = te.comm_reducer(lambda a, b: a + b, lambda t: tirx.const(0, t), name="only")

                def value(*i: tirx.Var) -> Expression:
                    element = source(*i[:-1], k) if values else k.var.astype(dtype)
                    found = rank(*i[:-1], k) == i[-1]
                    return only(tirx.Select(found, element, tirx.const(0, dtype)), axis=k)

                return elementwise(node.output.shape, value)

            return Compute((x,), expression)

        return outputs(True, x.dtype), outputs(False, node.outputs[1].dtype)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, (k, *_) = inputs[0], numbers(node, 1)
        # The sort runs backwards, so that equal elements keep their order.
        order = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        indices = x.shape[-1] - 1 - order[..., :k]
        values = np.take_along_axis(x, indices, axis=-1)
        return [values, indices.astype(node.outputs[1].dtype)]
