"""Each oracle's rounding of a weighted layer's sums to integer outputs, in numpy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, fields

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
    """A mapping from accumulators, which include bias and zero points, to outputs.

    Attributes
    ----------
    zero_point, output_range
        Zero point of the output, and the range of its fused activation.
    """

    zero_point: int
    output_range: tuple[int, int]

    @property
    @abstractmethod
    def scales(self) -> np.ndarray:
        """Output steps per accumulator step: float64, one per channel or one for all."""

    @property
    def identity(self) -> Hashable:
        """A value that equal mappings share, and different ones do not."""
        values = (getattr(self, field.name) for field in fields(self))
        arrays = ((v.dtype.char, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values)
        return type(self), *arrays

    @abstractmethod
    def scaled(self, acc: np.ndarray) -> np.ndarray:
        """Round outputs without the zero point: int64; channels are the last axis of `acc`."""

    def __call__(self, acc: np.ndarray) -> np.ndarray:
        """Compute clamped outputs: int64; channels are the last axis of `acc`."""
        return (self.scaled(acc) + self.zero_point).clip(*self.output_range)


@dataclass(frozen=True, eq=False)
class _Multiplier(OutputRounding):
    """Rounding by an integer multiplier of 31 bits and a shift.

    Attributes
    ----------
    multiplier, shift
        Arrays of shape ``(channels,)`` or ``(1,)``.
    """

    multiplier: np.ndarray
    shift: np.ndarray

    @property
    def scales(self) -> np.ndarray:
        return self.multiplier * 2.0 ** (self.shift.astype(np.float64) - 31)


class TwoRoundings(_Multiplier):
    """Rounding by `requantize`."""

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return requantize(acc, self.multiplier, self.shift)


class OneRounding(_Multiplier):
    """Rounding by `requantize_once`."""

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return requantize_once(acc, self.multiplier, self.shift)


@dataclass(frozen=True, eq=False)
class DoubleProduct(OutputRounding):
    """Rounding of the product with a double, halves away from zero.

    Attributes
    ----------
    factors
        float64 array of shape ``(channels,)`` or ``(1,)``.
    """

    factors: np.ndarray

    @property
    def scales(self) -> np.ndarray:
        return self.factors

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return round_half_away(acc.astype(np.float64) * self.factors).astype(np.int64)


@dataclass(frozen=True, eq=False)
class WideRounding(OutputRounding):
    """Rounding by `int16_sums.requantize_wide`.

    Attributes
    ----------
    multiplier, shift
        Arrays of shape ``(channels,)`` or ``(1,)``; see `int16_sums.shortened`.
    """

    multiplier: np.ndarray
    shift: np.ndarray

    @property
    def scales(self) -> np.ndarray:
        return self.multiplier / 2.0 ** self.shift.astype(np.float64)

    def scaled(self, acc: np.ndarray) -> np.ndarray:
        return requantize_wide(acc, self.multiplier, self.shift)


def convolution_rounding(node: Node, channels: int) -> OutputRounding:
    """Return the rounding of convolutions, which LiteRT and TFLM share.

    Parameters
    ----------
    node
        A CONV_2D, DEPTHWISE_CONV_2D or TRANSPOSE_CONV.
    channels
        Number of output channels.
    """
    factors = convolution_multipliers(node, channels)
    if has_wide_sums(node):
        return WideRounding(0, activation_range(node), *shortened(*factors))
    return TwoRoundings(node.output.zero_point, activation_range(node), *factors)


def integer_rounding(node: Node, axis: int) -> OutputRounding | None:
    """Return `convolution_rounding`, or None for float32.

    Parameters
    ----------
    node
        The convolution.
    axis
        The dimension of the weights that is the output channels.
    """
    if node.output.dtype == "float32":
        return None
    return convolution_rounding(node, node.input(1).shape[axis])


def litert_fully_connected_rounding(node: Node) -> DoubleProduct:
    """Return the rounding of LiteRT's ``reference_integer_ops::FullyConnected``."""
    quantization = node.input(1).quantization
    assert quantization is not None
    # This is LiteRT's order of operations; another one may differ in the last bit.
    factors = node.input(0).scale * np.array(quantization.scales) / node.output.scale
    return DoubleProduct(node.output.zero_point, activation_range(node), factors)


def tflm_fully_connected_rounding(node: Node) -> TwoRoundings | WideRounding:
    """Return the rounding of TFLM's ``CalculateOpDataFullyConnected``."""
    quantization = node.input(1).quantization
    assert quantization is not None
    if quantization.per_channel:
        factors = node.input(0).scale * np.array(quantization.scales) / node.output.scale
        pairs = [quantize_multiplier(float(factor)) for factor in factors]
    else:
        # Only in this case TFLM multiplies the two scales in single precision.
        product = np.float32(node.input(0).scale) * np.float32(quantization.scales[0])
        pairs = [quantize_multiplier(float(product) / node.output.scale)]
    multipliers, shifts = zip(*pairs, strict=True)
    scaling = np.array(multipliers, np.int32), np.array(shifts, np.int8)
    if has_wide_sums(node):
        return WideRounding(0, activation_range(node), *shortened(*scaling))
    return TwoRoundings(node.output.zero_point, activation_range(node), *scaling)


def fully_connected_rounding(node: Node, oracle: Oracle) -> OutputRounding:
    """Return the oracle's rounding; for nodes of uint8 models LiteRT rounds as TFLM does."""
    if oracle is Oracle.TFLM or is_from_uint8(node):
        return tflm_fully_connected_rounding(node)
    return litert_fully_connected_rounding(node)
