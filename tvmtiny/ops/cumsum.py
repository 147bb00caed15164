"""CUMSUM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_shape
from tvmtiny.ops.shared.expressions import Expression, elementwise, int32, total
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.running_sums import check_running, running_numbers, running_output


@register
class Cumsum(Operator):
    """Sums of all elements from the first to each one along a dimension, or from each to the last.

    Elements are added in the order of LiteRT's and TFLM's ``reference_ops::CumSum``, anew for each
    sum; int32 and int64 wrap around. int8 matches TFLM, which starts with the negated zero point.
    """

    name = "CUMSUM"
    dtypes = ("int8", "int32", "int64", "float32")
    only_tflm = ("int8",)
    exactness = "exact, and int8 bit-exact as TFLM, which alone has it"
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
        elif x.dtype == "int8":
            yield from check_running(node, x.shape[_axis(node)])

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        shape, axis = node.output.shape, _axis(node)
        exclusive, reverse = _option(node, "exclusive"), _option(node, "reverse")
        quantized = node.output.dtype == "int8"
        dtype = "int32" if quantized else node.output.dtype
        running = te.comm_reducer(total, lambda dtype: tirx.const(0, dtype), name="running")

        def expression(x: te.Tensor) -> te.Tensor:
            k = te.reduce_axis((0, shape[axis]), "k")

            def value(*i: tirx.Var) -> Expression:
                source = shape[axis] - 1 - k if reverse else k
                element = x(*i[:axis], source, *i[axis + 1 :])
                if quantized:
                    element = int32(element) - int32(node.input(0).zero_point)
                own = shape[axis] - 1 - i[axis] if reverse else i[axis]
                counts = k < own if exclusive else k <= own
                zero = tirx.const(0, dtype)
                return running(tirx.if_then_else(counts, element, zero), axis=[k])

            acc = elementwise(shape, value, "acc")
            if not quantized:
                return acc

            def output(*i: tirx.Var) -> Expression:
                return running_output(acc(*i) - int32(node.input(0).zero_point), node)

            return elementwise(shape, output)

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        axis = _axis(node)
        quantized = node.output.dtype == "int8"
        zero = node.input(0).zero_point if quantized else 0
        x = inputs[0].astype(np.int64) - zero if quantized else inputs[0]
        x = np.flip(x, axis) if _option(node, "reverse") else x
        sums = np.cumsum(x, axis, dtype=x.dtype)
        if _option(node, "exclusive"):
            zeros = np.zeros_like(np.take(sums, [0], axis))
            kept = np.take(sums, range(x.shape[axis] - 1), axis)
            sums = np.concatenate([zeros, kept], axis)
        sums = np.flip(sums, axis) if _option(node, "reverse") else sums
        return [running_numbers(sums - zero, node) if quantized else sums]


def _axis(node: Node) -> int:
    data = node.input(1).data
    assert data is not None
    return int(data.reshape(-1)[0]) % len(node.input(0).shape)


def _option(node: Node, name: str) -> bool:
    return bool(node.options.get(name, False))
