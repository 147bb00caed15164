"""DEPTHWISE_CONV_2D of so few taps that their weights fit in registers, for Arm cores."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule.depthwise_scaling import scale_channels

#: Most taps whose weights fit in registers, of whole patches and of columns of outputs.
_MOST_TAPS, MOST_TAPS_OF_COLUMNS = 4, 6

#: Most outputs of a layer for which copies of planes are faster than packing for pairs.
_FEW_OUTPUTS = 512

#: Largest immediate offset of LDRSB, and of MOVW.
_OFFSET, _MOST_CHANNELS = 4095, 65535

#: Least channels for which a call for each pixel is worth it.
_LEAST_CHANNELS = 4


def fits_whole(node: Node, geometry: Window) -> bool:
    """Return whether each patch is one run of inputs, with few taps of each channel."""
    channels, taps = node.output.shape[3], geometry.kernel[0] * geometry.kernel[1]
    return (
        geometry.flat
        and node.input(0).shape[3] == channels <= _MOST_CHANNELS
        and taps <= _MOST_TAPS
        and (taps - 1) * channels <= _OFFSET
    )


def is_whole_faster(node: Node, geometry: Window) -> bool:
    """Return whether kernels for whole patches are faster than copies of planes."""
    pixels = geometry.output[0] * geometry.output[1]
    return fits_whole(node, geometry) and (pixels == 1 or node.output.shape[3] >= _LEAST_CHANNELS)


def is_faster_by_taps(node: Node) -> bool:
    """Return whether products one by one are faster than packing inputs for products of pairs.

    They are for whole patches, and for few taps of a small output that is one column wide.
    """
    weights = node.input(1)
    assert weights.data is not None and weights.quantization is not None
    _, rows, columns, channels = weights.shape
    geometry = window(node, (rows, columns))
    column = geometry.output[1] == 1 and rows * columns <= MOST_TAPS_OF_COLUMNS
    column = column and node.output.elements <= _FEW_OUTPUTS
    fits = node.input(0).shape[3] == channels and (column or is_whole_faster(node, geometry))
    exact = fits and not np.any(weights.quantization.zero_points)
    return exact and scale_channels(node) is not None
