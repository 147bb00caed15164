"""CONV_2D and DEPTHWISE_CONV_2D with int16 activations, around ``tvmtiny_mve_half.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.int16_sums import largest_sums
from tvmtiny.ops.shared.output_rounding import WideRounding, convolution_rounding
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.per_node import per_node

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_half.h")

#: Shifts of the reference for which a factor of 15 bits, shifted to the left, has 32 bits.
_LEAST_SHIFT, _MOST_SHIFT = 16, 32

#: Channels of a vector.
_LANES = 4

_KINDS = {"CONV_2D": "convolve", "DEPTHWISE_CONV_2D": "depthwise"}


def implement_half(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """The layer; None for dilation, groups, few channels, and sums or scales beyond 32 bits."""
    if not half_sketches(node):
        return None
    factors = _factors(node)
    assert factors is not None
    weights = node.input(1).data
    assert weights is not None
    geometry, channels = _geometry(node), node.output.shape[3]
    bias = bias_values(node, channels).astype(np.int32)
    rounding = convolution_rounding(node, channels)
    sizes = [*node.input(0).shape, *geometry.output, channels, *geometry.kernel, *geometry.stride]
    sizes += [*geometry.pad, *rounding.output_range]
    kind = _KINDS[node.operator]
    name, arguments = nest.macro_arguments("mve_half", [kind, *sizes])
    x = nest.buffer("x", node.input(0).elements, "int16")
    filters = nest.buffer("weights", weights.size, "int8")
    offsets = nest.buffer("bias", channels, "int32")
    scales = nest.buffer("factors", channels, "int32")
    out = nest.buffer("out", node.output.elements, "int16")
    parameters = [x, filters, offsets, scales, out]
    function = nest.function(
        parameters,
        [],
        [nest.call(name, *map(nest.address, parameters))],
        operator=node.operator,
        schedule=f"mve, int16, {'1x4' if kind == 'convolve' else 'vectors of channels'}",
        headers=HEADERS,
        preamble=[f"TVMTINY_MVE_HALF({name}, {arguments})"],
        overlaps=[_overlap(node, geometry)],
    )
    arguments_of = (node.input(0), weights.ravel(), bias, factors)
    return Implementation(function, arguments_of, {"sketch": "mve_half"})


def half_sketches(node: Node) -> tuple[Sketch, ...]:
    """One way to compute a layer, which leaves nothing open."""
    if node.operator not in _KINDS or not node.output.elements or _factors(node) is None:
        return ()
    if _geometry(node).dilation != (1, 1):
        return ()
    channels = node.output.shape[3]
    if node.operator == "DEPTHWISE_CONV_2D":
        fits = node.input(0).shape[3] == channels
    else:
        fits = groups(node) == 1
    fits = fits and channels >= _LANES
    return (Sketch("mve_half"),) if fits else ()


def _geometry(node: Node) -> Window:
    shape = node.input(1).shape
    return window(node, (shape[1], shape[2]))


@per_node
def _factors(node: Node) -> np.ndarray | None:
    """What sums are multiplied by, ``(channels,)`` of int32; None where the kernel has none."""
    channels, weights = node.output.shape[-1], node.input(1).data
    assert weights is not None
    rounding = convolution_rounding(node, channels)
    if not isinstance(rounding, WideRounding):
        return None
    depthwise = node.operator == "DEPTHWISE_CONV_2D"
    taps = weights.reshape(-1, channels).T if depthwise else weights.reshape(channels, -1)
    shift = rounding.shift.astype(np.int64)
    fits = shift.min() >= _LEAST_SHIFT and shift.max() <= _MOST_SHIFT
    if not fits or max(largest_sums(node, taps), default=0) >= 2**31:
        return None
    factors = rounding.multiplier.astype(np.int64) << (_MOST_SHIFT - shift)
    return np.broadcast_to(factors, (channels,)).astype(np.int32)


def _overlap(node: Node, geometry: Window) -> Overlap:
    """What the order of pixels allows: the inputs of one are read until all of it is written."""
    images, height, width, depth = node.input(0).shape
    rows, columns = geometry.output
    last_read = np.full((images, height, width), -1)
    first_write = np.arange(images * rows * columns)
    for step, (image, y, x) in enumerate(np.ndindex(images, rows, columns)):
        top = y * geometry.stride[0] - geometry.pad[0]
        left = x * geometry.stride[1] - geometry.pad[1]
        end, last = top + geometry.kernel[0], left + geometry.kernel[1]
        last_read[image, max(0, top) : max(0, end), max(0, left) : max(0, last)] = step + 1
    distance = smallest_distance(
        np.repeat(last_read.ravel(), 2 * depth),
        np.repeat(first_write, 2 * node.output.shape[3]),
    )
    return Overlap("out", 0, distance)
