"""CUMSUM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_shape
from tvmtiny.ops.shared.expressions import Expression, elementwise, total
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register


@register
class Cumsum(Operator):
    """Sums of all elements up to each along one dimension, or from each to the last.

    Elements are added in the order of LiteRT's and TFLM's ``reference_ops::CumSum``, each sum anew;
    int32 and int64 wrap around.
    """

    name = "CUMSUM"
    dtypes = ("int32", "int64", "float32")
    exactness = "exact"
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, axis = node.input(0), node.input(1)
        if x.dtype != node.output.dtype:
            yield Problem(f"{x.dtype} input and {node.output.dtype} output", "one dtype")
        yield from check_shape(node, x.shape)
        if axis.data is None:
            yield Problem("an axis that is computed at run time", "a constant axis")
        elif axis.dtype != "int32" or axis.elements != 1:
            yield Problem(f"an axis of {axis.dtype} {list(axis.shape)}", "one int32")
        elif not -len(x.shape) <= int(axis.data.reshape(-1)[0]) < len(x.shape):
            yield Problem(
                f"axis {int(axis.data.reshape(-1)[0])} of {len(x.shape)} dimensions",
                "an axis of the input",
            )

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        shape, axis = node.output.shape, _axis(node)
        exclusive, reverse = _option(node, "exclusive"), _option(node, "reverse")
        dtype = node.output.dtype
        running = te.comm_reducer(total, lambda dtype: tirx.const(0, dtype), name="running")

        def expression(x: te.Tensor) -> te.Tensor:
            k = te.reduce_axis((0, shape[axis]), "k")

            def value(*i: tirx.Var) -> Expression:
                source = shape[axis] - 1 - k if reverse else k
                element = x(*i[:axis], source, *i[axis + 1 :])
                own = shape[axis] - 1 - i[axis] if reverse else i[axis]
                counts = k < own if exclusive else k <= own
                zero = tirx.const(0, dtype)
                return running(tirx.if_then_else(counts, element, zero), axis=[k])

            return elementwise(shape, value, "acc")

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        axis = _axis(node)
        x = np.flip(inputs[0], axis) if _option(node, "reverse") else inputs[0]
        sums = np.cumsum(x, axis, dtype=x.dtype)
        if _option(node, "exclusive"):
            zeros = np.zeros_like(np.take(sums, [0], axis))
            kept = np.take(sums, range(x.shape[axis] - 1), axis)
            sums = np.concatenate([zeros, kept], axis)
        return [np.flip(sums, axis) if _option(node, "reverse") else sums]


def _axis(node: Node) -> int:
    data = node.input(1).data
    assert data is not None
    return int(data.reshape(-1)[0]) % len(node.input(0).shape)


def _option(node: Node, name: str) -> bool:
    return bool(node.options.get(name, False))
