"""int16 LOGISTIC and TANH: interpolation in one table of the logistic function.

The formulas are those of ``reference_integer_ops::Logistic`` and ``Tanh`` for int16, and of the
kernels' ``Prepare``, in LiteRT and TFLM.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import Expression, elementwise, int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem
from tvmtiny.ops.shared.quantization import power_of_two
from tvmtiny.ops.shared.unary_operator import Unary

#: Interpolates between the entries left and right of an input, for that input.
Between = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

_ENTRIES = 256
#: Entries of the table per unit of the input.
_PER_ONE = 24


def sigmoid_table() -> np.ndarray:
    """Return approximately ``65536 / (1 + exp(-i / 24))`` for i from 0 to 255: uint16.

    Each entry is shifted by half of the error that interpolation would have in the middle of its
    step; the last entry is the largest number.
    """

    def exact(position: np.ndarray) -> np.ndarray:
        return 65536 / (1 + np.exp(-position / _PER_ONE))

    position = np.arange(_ENTRIES)
    error = (exact(position) + exact(position + 1)) / 2 - exact(position + 0.5)
    values = np.rint(exact(position) - error / 2)
    values[-1] = 65535
    return values.astype(np.uint16)


def logistic_between(left: np.ndarray, right: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate the logistic function between entries that are 512 steps of `x` apart."""
    size = np.abs(x)
    between = (left << 9) + (size & 511) * (right - left)
    result = np.where(size >> 9 >= 255, 0x7FFF << 10, between)
    return np.where(x >= 0, result + 512, (1 << 25) - result + 511) >> 10


def tanh_between(left: np.ndarray, right: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate the hyperbolic tangent between entries that are 256 steps of `x` apart."""
    size = np.abs(x)
    between = (left << 8) + (size & 0xFF) * (right - left)
    result = np.where(size >> 8 >= 255, 0xFFFF << 8, between)
    upper, lower = result - (1 << 23) + (1 << 7), -result + (1 << 23) + (1 << 7) - 1
    return np.where(x >= 0, upper, lower) >> 8


def from_table(between: Between, scaled: np.ndarray, fraction_bits: int) -> np.ndarray:
    """Apply an interpolation to inputs that are scaled to steps; int64 that fits int16."""
    index = np.minimum(np.abs(scaled) >> fraction_bits, _ENTRIES - 2)
    table = sigmoid_table().astype(np.int64)
    return between(table[index], table[index + 1], scaled)


class SigmoidTable(Unary):
    """An operator whose int16 variant interpolates in `sigmoid_table`.

    Attributes
    ----------
    largest_power
        Largest k for which inputs with a scale of ``2^(k - 12)`` need no multiplier; k starts at 0.
    interpolation
        The function of the runtime that interpolates.
    fraction_bits
        Bits of a scaled input between two entries.
    """

    largest_power: ClassVar[int]
    interpolation: ClassVar[str]
    fraction_bits: ClassVar[int]

    @abstractmethod
    def interpolated(self, left: np.ndarray, right: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Interpolate between adjacent entries for scaled inputs; int64 that fits int16."""

    def compute(self, node: Node, oracle: Oracle) -> Compute:
        multiplier, shift = self.scaling(node)

        def expression(x: te.Tensor, table: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                element = int32(x(*i[: len(x.shape)]))
                scaled = (element * int32(multiplier) + int32(_half(shift))) >> int32(shift)
                size = tirx.Select(scaled < int32(0), int32(0) - scaled, scaled)
                index = tirx.min(size >> int32(self.fraction_bits), int32(_ENTRIES - 2))
                left, right = int32(table[index]), int32(table[index + int32(1)])
                result = tirx.call_pure_extern("int32", self.interpolation, scaled, left, right)
                return result.astype("int16")

            return elementwise(node.output.shape, value)

        if node.output.dtype == "int16":
            return Compute((node.input(0), sigmoid_table()), expression)
        return super().compute(node, oracle)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        if node.output.dtype != "int16":
            return super().reference(node, inputs, oracle)
        multiplier, shift = self.scaling(node)
        scaled = (inputs[0].astype(np.int64) * multiplier + _half(shift)) >> shift
        return [from_table(self.interpolated, scaled, self.fraction_bits).astype(np.int16)]

    def scaling(self, node: Node) -> tuple[int, int]:
        """Return multiplier and right shift that scale the input 1 to 24 * 512 steps."""
        if node.output.dtype != "int16":
            return 0, 0
        scale = node.input(0).scale
        power = power_of_two(scale)
        if power is not None and 0 <= power + 12 <= self.largest_power:
            return 3 << (power + 12), 0
        multiplier, shift = scale * 4096.0 * 3.0, 0
        while multiplier <= 32767.0 / 2.0 and shift <= 30:
            multiplier, shift = multiplier * 2.0, shift + 1
        return int(multiplier), shift


def check_output_scale(node: Node) -> Iterator[Problem]:
    """Yield problems with the scales of an int16 node."""
    if power_of_two(node.output.scale) != -15:
        yield Problem(f"output scale {node.output.scale:.9g}", "scale 1/32768")
    if not 2.0**-30 < node.input(0).scale < 5.0:
        yield Problem(f"input scale {node.input(0).scale:.9g}", "scales from 2^-30 to 5")


def _half(shift: int) -> int:
    return 1 << (shift - 1) if shift > 0 else 0
