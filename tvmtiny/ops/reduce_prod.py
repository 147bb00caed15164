"""REDUCE_PROD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.checks import check_scale, check_symmetric
from tvmtiny.ops.shared.expressions import Expression, wrapped
from tvmtiny.ops.shared.int16_sums import requantize_wide, shortened
from tvmtiny.ops.shared.movement import strides
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, quantize_multiplier
from tvmtiny.ops.shared.reduction import check_reduction, reduced_axes, reduced_count
from tvmtiny.ops.shared.reduction_operator import Reduction
from tvmtiny.ops.shared.runtime_call import RuntimeCall

#: Products are shifted right by at least one bit.
_MOST_SHIFT = 14


@register
class ReduceProd(Reduction):
    """Product along some dimensions; integers wrap around.

    int8 and int16 with a scale match LiteRT's ``reference_ops::QuantizedReduceProd``, which scales
    after each factor by the input scale over a root of the output scale.
    """

    name = "REDUCE_PROD"
    dtypes = ("int8", "int16", "int32", "int64", "float32")
    exactness = "integers bit-exact; float32 within rounding of products"
    numpy_reduction = np.prod

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_reduction(node)]
        if not problems and node.input(0).quantized:
            tensors = (node.input(0), node.output)
            problems = [p for t in tensors for p in check_scale(t)] or [*check_symmetric(node)]
            if not problems and not reduced_axes(node):
                problems = [Problem("a product over no dimensions", "at least one axis")]
            elif not problems and _scaling(node)[1] > _MOST_SHIFT:
                problems = [Problem("an output scale that is too small", "a larger output scale")]
        yield from problems

    def combine(self, current: Expression, element: Expression) -> Expression:
        return wrapped(lambda a, b: a * b, current, element)

    def identity(self, dtype: str) -> Expression:
        return tirx.const(1, dtype)

    def compute(self, node: Node, oracle: Oracle) -> Result:
        x = node.input(0)
        if not x.quantized:
            return super().compute(node, oracle)
        axes, steps = reduced_axes(node), strides(x.shape)
        order = sorted(range(len(x.shape)), key=lambda axis: axis in axes)
        dims = np.array([(x.shape[axis], steps[axis]) for axis in order], np.int32).reshape(-1)
        multiplier, shift = shortened(*(np.array(part) for part in _scaling(node)))
        return RuntimeCall(
            f"tvmtiny_reduce_prod_{x.dtype}",
            (x, dims),
            (
                len(order) - len(axes),
                len(order),
                node.output.elements,
                reduced_count(node),
                int(multiplier),
                int(shift),
                x.zero_point,
                node.output.zero_point,
            ),
            ("tvmtiny_reduce.h",),
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, axes = inputs[0], reduced_axes(node)
        if not node.input(0).quantized:
            return super().reference(node, inputs, oracle)
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        factors = x.transpose(*kept, *axes).reshape(node.output.elements, -1).astype(np.int64)
        factors -= node.input(0).zero_point
        scaling = shortened(*(np.array(part) for part in _scaling(node)))
        product = factors[:, 0]
        for factor in factors.T[1:]:
            product = requantize_wide(product * factor, *scaling)
        scaled = requantize_wide(product, *scaling) + node.output.zero_point
        clipped = np.clip(scaled, *INTEGER_RANGES[node.output.dtype])
        return [clipped.astype(x.dtype).reshape(node.output.shape)]


def _scaling(node: Node) -> tuple[int, int]:
    """Return multiplier and shift that are applied after each factor."""
    root = node.output.scale ** (1.0 / reduced_count(node))
    return quantize_multiplier(node.input(0).scale / root)
