"""CAST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_shape
from tvmtiny.ops.shared.expressions import Expression, call, elementwise, int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register


@register
class Cast(Operator):
    """The same number in another dtype; quantized values are converted without their scales.

    Integers lose their upper bits, as in LiteRT and TFLM. Floats are truncated and saturate beyond
    the range of the output, where C leaves the result undefined and LiteRT's differs between
    versions. NaN gives the largest integer.
    """

    name = "CAST"
    dtypes = ("bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "float32")
    needs_scale = False
    exactness = "exact (floats within the range of the output)"
    input_count = 1

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_shape(node, node.input(0).shape)
        if (node.input(0).dtype, node.output.dtype) == ("float32", "uint32"):
            yield Problem("float32 as uint32", "uint32 from integers")

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        source, target = node.input(0).dtype, node.output.dtype

        def converted(x: Expression) -> Expression:
            if target == "bool":
                return x if source == "bool" else x != tirx.const(0, source)
            if source != "float32" or target == "float32":
                return x.astype(target)
            if target == "int64":
                return call("tvmtiny_to_int64", x, dtype="int64")
            whole = call("tvmtiny_to_int32", x, dtype="int32")
            if target == "int32":
                return whole
            info = np.iinfo(target)
            low, high = int32(int(info.min)), int32(int(info.max))
            return tirx.max(tirx.min(whole, high), low).astype(target)

        def expression(x: te.Tensor) -> te.Tensor:
            return elementwise(node.output.shape, lambda *i: converted(x(*i[: len(x.shape)])))

        return Compute((node.input(0),), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, target = inputs[0], np.dtype(node.output.dtype)
        if x.dtype.kind != "f" or target.kind not in "iu":
            return [x.astype(target)]
        info = np.iinfo(target)
        whole = np.trunc(x.astype(np.float64))
        inside = np.clip(whole, float(info.min), np.nextafter(float(info.max) + 1, 0))
        saturates = np.isnan(whole) | (whole > info.max)
        return [np.where(saturates, info.max, np.nan_to_num(inside).astype(target)).astype(target)]
