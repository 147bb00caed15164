"""Sums of int8 values as in TFLM's ADD_N and CUMSUM: widened by 19 bits, then requantized."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.expressions import Expression, clamp_int8, int32, requantize
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.quantization import INT8_RANGE, quantize_multiplier
from tvmtiny.ops.shared.quantization import requantize as requantize_reference

#: Bits by which values are widened; one of them is lost because the values are halved.
_SHIFT = 20
#: Most values, including the initial one, whose widened sum fits 32 bits.
_MOST = 15


def check_running(node: Node, count: int) -> Iterator[Problem]:
    """Yield a problem for more values than TFLM can add up, or for too small a scale."""
    if count > _MOST:
        yield Problem(f"sums of {count} int8 values, which overflow in TFLM", f"at most {_MOST}")
    elif node.input(0).quantized and node.output.quantized and _multiplier(node)[1] > 0:
        yield Problem(
            "an output scale that is too small", "an output scale above the input's scale / 2^19"
        )


def running_output(total: Expression, node: Node) -> Expression:
    """Return the output for a sum of values without their zero points."""
    scaled = requantize(total * int32(1 << _SHIFT - 1), *map(int32, _multiplier(node)))
    return clamp_int8(scaled + int32(node.output.zero_point), *INT8_RANGE)


def running_numbers(total: np.ndarray, node: Node) -> np.ndarray:
    """Compute `running_output` in numpy."""
    scaled = requantize_reference(total << _SHIFT - 1, *_multiplier(node))
    return np.clip(scaled + node.output.zero_point, *INT8_RANGE).astype(np.int8)


def _multiplier(node: Node) -> tuple[int, int]:
    return quantize_multiplier(2 * node.input(0).scale / ((1 << _SHIFT) * node.output.scale))
