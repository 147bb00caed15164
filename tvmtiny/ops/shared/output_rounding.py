"""How an oracle rounds the sums of a layer with weights to its integer outputs, with numpy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops.shared.int16_sums import has_wide_sums, requantize_wide, shortened
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle
from tvmtiny.ops.shared.quantization import (
    activation_range,
    convolution_multipliers,
    quantize_multiplier,
    requantize,
    requantize_once,
    round_half_away,
)


@dataclass(frozen=True, eq=False)
class OutputRounding(ABC):
    """Accumulators, bias and zero points included, to outputs.

    Attributes
    ----------
    zero_point, output_range
        Of the output; the range is that of the fused activation.
    """

    zero_point: int
    output_range: tuple[int, int]

    @property
    @abstractmethod
    def scales(self) -> np.ndarray:
        """Output steps per accumulator step: float64, one per channel or one for all."""

    @abstractmethod
    def scaled(self, acc: np.ndarray) -> np.ndarray:
        """Rounded outputs before the zero point: int64; channels are the last axis of `acc`."""

    def __call__(self, acc: np.ndarray) -> np.ndarray:
        """Outputs, clamped: int64; channels are the last axis of `acc`."""
        return np.clip(self.scaled(acc) + self.zero_point, *self.output_range)


@dataclass(frozen=True, eq=False)
class _Multiplier(OutputRounding):
    """An integer multiplier of 31 bits and a shift.

    Attributes
    ----------
    multiplier, shift
        ``(channels,)`` or ``(1,)``.
    """

    multiplier: np.ndarray
    shift: np.ndarray

    @property
    def scales(self) -> np.ndarray:
        return self.multiplier * 2.0 ** (self.shift.astype(np.float64) - 31)


class TwoRoundings(_Multiplier):
    """`requantize`."""

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return requantize(acc, self.multiplier, self.shift)


class OneRounding(_Multiplier):
    """`requantize_once`."""

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return requantize_once(acc, self.multiplier, self.shift)


@dataclass(frozen=True, eq=False)
class DoubleProduct(OutputRounding):
    """The product with a double, rounded with halves away from zero.

    Attributes
    ----------
    factors
        float64, ``(channels,)`` or ``(1,)``.
    """

    factors: np.ndarray

    @property
    def scales(self) -> np.ndarray:
        return self.factors

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return round_half_away(acc.astype(np.float64) * self.factors).astype(np.int64)


@dataclass(frozen=True, eq=False)
class WideRounding(OutputRounding):
    """`int16_sums.requantize_wide`.

    Attributes
    ----------
    multiplier, shift
        ``(channels,)`` or ``(1,)``; see `int16_sums.shortened`.
    """

    multiplier: np.ndarray
    shift: np.ndarray

    @property
    def scales(self) -> np.ndarray:
        return self.multiplier / 2.0 ** self.shift.astype(np.float64)

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return requantize_wide(acc, self.multiplier, self.shift)


def convolution_rounding(node: Node, channels: int) -> OutputRounding:
    """CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV, in LiteRT and TFLM alike.

    Parameters
    ----------
    channels
        Output channels.
    """
    factors = convolution_multipliers(node, channels)
    if has_wide_sums(node):
        return WideRounding(0, activation_range(node), *shortened(*factors))
    return TwoRoundings(node.output.zero_point, activation_range(node), *factors)


def integer_rounding(node: Node, axis: int) -> OutputRounding | None:
    """`convolution_rounding`, or None for float32.

    Parameters
    ----------
    axis
        The dimension of the weights that holds the output channels.
    """
    if node.output.dtype == "float32":
        return None
    return convolution_rounding(node, node.input(1).shape[axis])


def litert_fully_connected_rounding(node: Node) -> DoubleProduct:
    """LiteRT's ``reference_integer_ops::FullyConnected`` with scales in floating point."""
    quantization = node.input(1).quantization
    assert quantization is not None
    # The order of LiteRT's operations; another one may differ in the last bit.
    factors = node.input(0).scale * np.array(quantization.scales) / node.output.scale
    return DoubleProduct(node.output.zero_point, activation_range(node), factors)


def tflm_fully_connected_rounding(node: Node) -> TwoRoundings | WideRounding:
    """TFLM's ``CalculateOpDataFullyConnected``."""
    quantization = node.input(1).quantization
    assert quantization is not None
    if quantization.per_channel:
        factors = node.input(0).scale * np.array(quantization.scales) / node.output.scale
        pairs = [quantize_multiplier(float(factor)) for factor in factors]
    else:
        # Only here TFLM multiplies the two scales in single precision.
        product = np.float32(node.input(0).scale) * np.float32(quantization.scales[0])
        pairs = [quantize_multiplier(float(product) / node.output.scale)]
    multipliers, shifts = zip(*pairs, strict=True)
    scaling = np.array(multipliers, np.int32), np.array(shifts, np.int8)
    if has_wide_sums(node):
        return WideRounding(0, activation_range(node), *shortened(*scaling))
    return TwoRoundings(node.output.zero_point, activation_range(node), *scaling)


def fully_connected_rounding(node: Node, oracle: Oracle) -> OutputRounding:
    """How the oracle rounds; LiteRT does the same as TFLM for nodes of uint8 models."""
    if oracle is Oracle.TFLM or is_from_uint8(node):
        return tflm_fully_connected_rounding(node)
    return litert_fully_connected_rounding(node)
