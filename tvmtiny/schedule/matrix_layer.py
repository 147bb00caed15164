"""CONV_2D and FULLY_CONNECTED as matrix products, for schedules of all kernel families."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np

from tvmtiny.ops import Node, Oracle, fully_connected
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.output_rounding import (
    OutputRounding,
    convolution_rounding,
    fully_connected_rounding,
)
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.shared.weights import accumulator_range, bias_values
from tvmtiny.schedule.clamping import free_limits
from tvmtiny.schedule.overlap import smallest_distance
from tvmtiny.schedule.per_node import per_layer, per_node
from tvmtiny.schedule.requantize import SHIFTS, solve
from tvmtiny.schedule.scaling import Scaling


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution as a matrix product.

    Attributes
    ----------
    weights
        int8, ``(channels, depth)``, in the order of a patch in memory.
    pixels
        Number of output positions.
    geometry
        The window; None if a patch is `depth` consecutive inputs, one patch after the other.
    pad
        Value of the padding.
    groups
        Number of groups of input channels; each has the same number of filters.
    """

    weights: np.ndarray
    pixels: int
    geometry: Window | None
    pad: int
    groups: int = 1

    @property
    def channels(self) -> int:
        return len(self.weights)

    @property
    def group_channels(self) -> int:
        """Output channels of a group."""
        return self.channels // self.groups

    @property
    def depth(self) -> int:
        return self.weights.shape[1]


def is_multiplied(node: Node) -> bool:
    """Return whether a DEPTHWISE_CONV_2D has enough filters per channel to share its patches."""
    filters, channels = node.input(1).shape[3], node.input(0).shape[3]
    return filters >= (2 if channels == 1 else 3) * channels


@per_node
def as_convolution(node: Node) -> Node:
    """Return a DEPTHWISE_CONV_2D as a CONV_2D with a group for each input channel."""
    weights = node.input(1)
    assert weights.data is not None and weights.quantization is not None
    filters = np.ascontiguousarray(weights.data.transpose(3, 1, 2, 0))
    changed = replace(
        weights,
        shape=filters.shape,
        data=filters,
        quantization=replace(weights.quantization, axis=0),
    )
    inputs = (node.inputs[0], changed, *node.inputs[2:])
    return replace(node, operator="CONV_2D", inputs=inputs)


def weight_zero_points(node: Node) -> np.ndarray:
    """Return the zero points of a node's weights."""
    quantization = node.input(1).quantization
    return np.zeros(1) if quantization is None else np.array(quantization.zero_points)


@per_node
def plain_layer(node: Node) -> Layer | None:
    """Return a CONV_2D or FULLY_CONNECTED with one group and no weight zero points, else None."""
    weights = node.input(1)
    assert weights.data is not None
    if np.any(weight_zero_points(node)):
        return None
    if node.operator == "FULLY_CONNECTED":
        return Layer(weights.data, node.input(0).elements // weights.shape[1], None, 0)
    if groups(node) > 1:
        return None
    channels, height, width, _ = weights.shape
    geometry = window(node, (height, width))
    flat = weights.data.reshape(channels, -1)
    pixels = node.output.shape[0] * prod(geometry.output)
    return Layer(flat, pixels, None if geometry.flat else geometry, node.input(0).zero_point)


def reads_pixels(node: Node) -> bool:
    """Return whether each patch is one run of inputs: a pixel, or a whole image without padding."""
    shape = node.input(1).shape
    return node.operator != "CONV_2D" or window(node, (shape[1], shape[2])).flat


def layer_rounding(node: Node, oracle: Oracle) -> OutputRounding:
    """Return the oracle's rounding, in the oracle's own arithmetic."""
    if node.operator == "CONV_2D":
        return convolution_rounding(node, node.input(1).shape[0])
    return fully_connected_rounding(node, oracle)


def exact_rounding(node: Node, oracle: Oracle) -> OutputRounding:
    """Return the oracle's rounding, in integers where they equal LiteRT's double arithmetic."""
    if node.operator == "FULLY_CONNECTED":
        rounding = fully_connected.exact_rounding(node, oracle)
        assert rounding is not None
        return rounding
    return layer_rounding(node, oracle)


def matrix_scaling(
    node: Node,
    oracle: Oracle,
    excess: np.ndarray | int = 0,
    shifts: tuple[int, ...] = SHIFTS,
    gain: int = 256,
) -> Scaling | None:
    """Find output constants of a CONV_2D or FULLY_CONNECTED; return None if none are exact.

    Parameters
    ----------
    node
        The layer.
    oracle
        The reference whose rounding is reproduced.
    excess, shifts, gain
        See `tvmtiny.schedule.requantize.solve`.
    """
    data = node.input(1).data
    assert data is not None
    channels = len(data)
    weights = data.reshape(channels, -1)
    rounding = layer_rounding(node, oracle)
    zero_point = node.input(0).zero_point
    bias = bias_values(node, channels)
    return solve(
        lambda acc: rounding(acc.T).T,
        np.broadcast_to(rounding.scales, (channels,)),
        accumulator_range(weights, bias, zero_point),
        bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum(axis=1),
        gain=gain,
        excess=excess,
        shifts=shifts,
        limits=free_limits(node),
        identity=rounding.identity,
    )


@per_layer
def plain_scaling(node: Node, oracle: Oracle) -> Scaling | None:
    """Find output constants as `matrix_scaling` does, for sums without an excess."""
    return matrix_scaling(node, oracle)


def read_patches(last_read: np.ndarray, steps: np.ndarray, geometry: Window, images: int) -> None:
    """Update `last_read` of each input pixel with the steps of all patches that contain it."""
    (height, width), (rows, columns) = geometry.input, geometry.output
    image, y, x = np.unravel_index(np.arange(len(steps)), (images, rows, columns))
    for ky, kx in np.ndindex(geometry.kernel):
        row = y * geometry.stride[0] - geometry.pad[0] + ky * geometry.dilation[0]
        column = x * geometry.stride[1] - geometry.pad[1] + kx * geometry.dilation[1]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        pixel = (image * height + row) * width + column
        np.maximum.at(last_read, pixel[inside], steps[inside])


def patch_distance(node: Node, layer: Layer, pixels: int) -> int:
    """Return the least distance in bytes from the start of the output to that of the input.

    Parameters
    ----------
    node
        The layer.
    layer
        The layer as a matrix product.
    pixels
        Pixels of a step, which reads all of their patches before it writes their outputs. The last
        step may repeat pixels of the one before. Groups of channels are separate steps.
    """
    inputs = node.input(0)
    sizes = layer.pixels, layer.depth, layer.channels, layer.groups
    return _patch_distance(layer.geometry, inputs.shape, *sizes, pixels)


@lru_cache(maxsize=4096)
def _patch_distance(
    geometry: Window | None,
    inputs: tuple[int, ...],
    positions: int,
    depth: int,
    channels: int,
    groups: int,
    pixels: int,
) -> int:
    first_write = np.arange(positions) // pixels
    last_step = first_write.copy()
    last_step[max(positions - pixels, 0) :] = first_write[-1]
    part = inputs[-1] if geometry is not None else depth
    last_read = np.full(prod(inputs) // part, -1)
    if geometry is None:
        last_read[:] = last_step
    else:
        read_patches(last_read, last_step, geometry, inputs[0])
    each_group = np.arange(groups)

    def by_channel(steps: np.ndarray, count: int) -> np.ndarray:
        each = np.where(steps[:, None] < 0, -1, steps[:, None] * groups + each_group)
        return np.repeat(each.ravel(), count // groups)

    return smallest_distance(by_channel(last_read, part), by_channel(first_write, channels))


@lru_cache(maxsize=1024)
def split_groups(count: int, limit: int) -> tuple[int, int, int]:
    """Split a tile's groups of inputs into unrolled ones and a loop of unrolled ones.

    Returns
    -------
    first, unroll, loops
        ``first + unroll * loops == count``, with ``first >= 1``.
    """
    if count <= limit:
        return count, 0, 0
    # A loop costs three instructions per iteration; a remainder only costs code.
    unroll = max(range(limit // 2, limit + 1), key=lambda u: (-((count - 1) % u), u))
    loops = (count - 1) // unroll
    return count - unroll * loops, unroll, loops
