"""The epilogue of convolutions and dense layers: bias, requantization and clamping of sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import (
    Expression,
    call,
    float_output,
    int32,
    quantized_output,
    requantize,
    requantize_once,
)
from tvmtiny.ops.shared.expressions import total as wrapping_sum
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Compute
from tvmtiny.ops.shared.output_rounding import (
    DoubleProduct,
    OneRounding,
    OutputRounding,
    TwoRoundings,
    WideRounding,
)
from tvmtiny.ops.shared.quantization import clamp_float

#: Makes stage ``acc``, the sums of products in the output's shape, from activations and weights.
Accumulate = Callable[[te.Tensor, te.Tensor], te.Tensor]


def layer(
    node: Node, accumulate: Accumulate, bias: np.ndarray | Tensor, rounding: OutputRounding | None
) -> Compute:
    """Express a convolution or dense layer whose output channels are the last dimension.

    Parameters
    ----------
    node
        The layer; its first two inputs are activations and weights.
    accumulate
        Makes the sums of products.
    bias
        Addends of the sums, shape ``(channels,)``; a tensor if they are computed at run time.
    rounding
        Rounding of the sums with bias to integers; None for float32.
    """

    def added(acc: Expression, offset: Expression) -> Expression:
        # Sums with a constant bias have been proven to fit.
        return acc + offset if isinstance(bias, np.ndarray) else wrapping_sum(acc, offset)

    def output(x: te.Tensor, w: te.Tensor, bias: te.Tensor, *scaling: te.Tensor) -> te.Tensor:
        acc = accumulate(x, w)
        wide = rounding is not None and _is_wide(node, rounding)

        def value(*index: tirx.Var) -> Expression:
            channel = index[-1]
            total = added(acc[index].astype("int64") if wide else acc[index], bias[channel])
            if rounding is None:
                return float_output(total, node)
            factors = [_per_channel(values, channel) for values in scaling]
            return quantized_output(_scaled(rounding, total, factors, wide), node)

        names = [axis.var.name for axis in acc.op.axis]
        return te.compute(node.output.shape, value, name="out", varargs_names=names)

    # The names of the parameters end up in the C code.
    def floating(x: te.Tensor, w: te.Tensor, bias: te.Tensor) -> te.Tensor:
        return output(x, w, bias)

    def by_double(x: te.Tensor, w: te.Tensor, bias: te.Tensor, scale: te.Tensor) -> te.Tensor:
        return output(x, w, bias, scale)

    def by_integers(
        x: te.Tensor, w: te.Tensor, bias: te.Tensor, multiplier: te.Tensor, shift: te.Tensor
    ) -> te.Tensor:
        return output(x, w, bias, multiplier, shift)

    arguments = (node.input(0), node.input(1), bias)
    if rounding is None:
        return Compute(arguments, floating)
    if isinstance(rounding, DoubleProduct):
        return Compute((*arguments, rounding.factors), by_double)
    assert isinstance(rounding, TwoRoundings | OneRounding | WideRounding)
    return Compute((*arguments, rounding.multiplier, rounding.shift), by_integers)


def weight(value: Expression, wide: str, zero_point: int) -> Expression:
    """Return a weight minus the zero point, in the dtype of sums."""
    return value.astype(wide) - int32(zero_point) if zero_point else value.astype(wide)


def finished(
    node: Node, acc: np.ndarray, bias: Sequence[np.ndarray], rounding: OutputRounding | None
) -> list[np.ndarray]:
    """Compute the outputs of a node from its sums, in numpy.

    Parameters
    ----------
    node
        The layer.
    acc
        Sums of products without zero points: int64 or float32, of the output's shape.
    bias
        The bias as the only element, or empty.
    rounding
        See `layer`.
    """
    for values in bias:
        acc = acc + values.reshape(-1).astype(acc.dtype)
    if rounding is None:
        return [clamp_float(acc, node)]
    return [rounding(acc).astype(node.output.dtype)]


def _is_wide(node: Node, rounding: OutputRounding) -> bool:
    """Return whether sums with the bias have 64 bits."""
    return node.input(0).dtype == "int16" and not isinstance(rounding, TwoRoundings)


def _scaled(
    rounding: OutputRounding, total: Expression, factors: Sequence[Expression], wide: bool
) -> Expression:
    """Return `OutputRounding.scaled` as an int32 expression."""
    if isinstance(rounding, DoubleProduct):
        name = "tvmtiny_requantize_wide_double" if wide else "tvmtiny_requantize_double"
        return call(name, total, *factors, dtype="int32")
    multiplier, shift = factors
    if isinstance(rounding, WideRounding):
        return call(
            "tvmtiny_requantize_wide", total, int32(multiplier), int32(shift), dtype="int32"
        )
    scale = requantize_once if isinstance(rounding, OneRounding) else requantize
    return scale(total, multiplier, shift)


def _per_channel(values: te.Tensor, channel: Expression) -> Expression:
    """Return an element of an array with one entry per channel, or one for all channels."""
    return values[channel if int(values.shape[0]) > 1 else 0]
