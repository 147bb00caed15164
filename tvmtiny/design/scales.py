"""Scales of quantized weights and activations, by precision."""

from __future__ import annotations

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted

__all__ = ["AXES", "LARGEST", "PRECISIONS", "affine", "rounded", "weight_scales"]

#: Precisions of a layer: ``int8``; ``int4`` for weights from -7 to 7 between int8 activations; and
#: ``int16`` for int16 activations on both sides of int8 weights.
PRECISIONS = ("int8", "int4", "int16")

#: Dimension of the filters in TFLite's weights.
AXES = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}

#: Largest quantized weight.
LARGEST = {"int8": 127, "int4": 7, "int16": 127}

#: Shares of the largest weight that are tried as the end of the range of int4 weights.
_ENDS = np.linspace(0.5, 1.0, 26)

_LEAST_SCALE = 1e-8


def affine(name: str, low: float, high: float, dtype: str) -> tuple[float, int]:
    """Return scale and zero point of an activation.

    Parameters
    ----------
    name
        Name for messages.
    low, high
        Smallest and largest value; the range is extended to include zero.
    dtype
        ``int8``; or ``int16``, which is symmetric, as TFLite requires.

    Raises
    ------
    InputError
        If the range is not finite.
    """
    if not np.isfinite([low, high]).all():
        raise InputError(
            f"the activation {quoted(name)} is not finite on the data; check data and weights for "
            "NaN and infinity"
        )
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if dtype == "int16":
        return float(np.float32(max(high, -low, 1e-6) / 32767)), 0
    least, most = -128, 127
    scale = float(np.float32(max(high - low, 1e-6) / (most - least)))
    return scale, int(np.clip(round(least - low / scale), least, most))


def weight_scales(weights: np.ndarray, axis: int, precision: str) -> np.ndarray:
    """Return a scale per filter: float32, ``(filters,)``.

    The range of int8 weights ends at the largest magnitude. The range of int4 weights ends where
    the squared error of all weights of the filter is smallest.

    Parameters
    ----------
    weights
        The float weights.
    axis
        Dimension of the filters.
    precision
        One of `PRECISIONS`.
    """
    flat = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    most = np.float32(LARGEST[precision])
    largest = np.maximum(np.abs(flat).max(axis=1), _LEAST_SCALE).astype(np.float32)
    if precision != "int4":
        return largest / most
    tried = [(largest * np.float32(end) / most) for end in _ENDS]
    errors = [
        ((rounded(flat, scales, 0, precision) * scales[:, None] - flat) ** 2).sum(axis=1)
        for scales in tried
    ]
    return np.array(tried)[np.argmin(errors, axis=0), np.arange(len(flat))].astype(np.float32)


def rounded(weights: np.ndarray, scales: np.ndarray, axis: int, precision: str) -> np.ndarray:
    """Quantize weights with a scale per filter; return int8 of the same shape."""
    shape = [1] * weights.ndim
    shape[axis] = -1
    most = LARGEST[precision]
    return np.rint(weights / scales.reshape(shape)).clip(-most, most).astype(np.int8)
