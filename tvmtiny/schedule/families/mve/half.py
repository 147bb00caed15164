"""CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D with int16 activations: ``tvmtiny_mve_half.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.int16_sums import largest_sums
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.mve import assembly
from tvmtiny.schedule.families.mve.half_pair import HalfPair, half_pair_code
from tvmtiny.schedule.half_factors import factors
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.per_node import per_node

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_half.h")

#: Channels of a vector, and the least channels of a depthwise layer that computes two pixels.
_LANES, _PAIRED_LANES = 4, 8

_KINDS = {
    "CONV_2D": "convolve",
    "DEPTHWISE_CONV_2D": "depthwise",
    "FULLY_CONNECTED": "convolve",
}

#: Descriptions for reports: one pixel at a time, or two.
_HOW = {"convolve": ("1x4", "2x4"), "depthwise": ("vectors of channels",)}

#: The kernels' names for the scalings of `half_factors.Factors`.
_SCALINGS = {"high": "HIGH", "twice": "TWICE", "precisely": "PRECISE"}


def implement_half(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer.

    None for dilation, groups, few channels, and sums or scales beyond 32 bits.
    """
    scales = _scales(node, oracle)
    if scales is None or not half_sketches(node, oracle):
        return None
    scaling, values = scales
    weights = node.input(1).data
    assert weights is not None
    geometry, channels = _geometry(node), node.output.shape[-1]
    images, inputs = (
        (node.input(0).shape[0], node.input(0).shape[3])
        if len(weights.shape) == 4
        else (1, weights.shape[1])
    )
    bias = bias_values(node, channels).astype(np.int32)
    sizes = [images, *geometry.input, inputs, *geometry.output, channels, *geometry.kernel]
    sizes += [*geometry.stride, *geometry.pad, *activation_range(node)]
    kind = _KINDS[node.operator]
    last = [scaling, values.shape[1], int(values.shape[1] == channels)]
    pair = _pair(node, geometry, inputs)
    beside = kind == "depthwise" and channels >= _PAIRED_LANES and geometry.output[1] > 1
    together, preamble = "0", []
    if pair is not None:
        fields = pair.rows, pair.run, pair.pitch, pair.step
        together, listed = nest.macro_arguments("mve_half_pair", fields)
        text = assembly.text(half_pair_code(pair))
        preamble.append(f"TVMTINY_MVE_HALF_PAIR({together}, {listed}, {text})")
    name, arguments = nest.macro_arguments("mve_half", [kind, together, *sizes, *last])
    x = nest.buffer("x", node.input(0).elements, "int16")
    filters = nest.buffer("weights", weights.size, "int8")
    offsets = nest.buffer("bias", channels, "int32")
    factors_of = nest.buffer("factors", values.size, "int32")
    out = nest.buffer("out", node.output.elements, "int16")
    parameters = [x, filters, offsets, factors_of, out]
    function = nest.function(
        parameters,
        [],
        [nest.call(name, *map(nest.address, parameters))],
        operator=node.operator,
        schedule=f"mve, int16, {_HOW[kind][pair is not None]}",
        headers=HEADERS,
        preamble=[*preamble, f"TVMTINY_MVE_HALF({name}, {arguments})"],
        overlaps=[_overlap(geometry, images, inputs, channels, pair is not None or beside)],
    )
    arguments_of = (node.input(0), weights.ravel(), bias, values.ravel())
    return Implementation(function, arguments_of, {"sketch": "mve_half"})


def half_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """The only sketch of a layer, without decisions."""
    if not _has_kernel(node) or _scales(node, oracle) is None:
        return ()
    return (Sketch("mve_half"),)


def _has_kernel(node: Node) -> bool:
    channels = node.output.shape[-1] if node.output.shape else 0
    if node.operator not in _KINDS or not node.output.elements or channels < _LANES:
        return False
    if node.operator == "FULLY_CONNECTED":
        return True
    if _geometry(node).dilation != (1, 1):
        return False
    if node.operator == "DEPTHWISE_CONV_2D":
        return node.input(0).shape[3] == channels
    return groups(node) == 1


def _geometry(node: Node) -> Window:
    """The window of a FULLY_CONNECTED: each row of inputs is a pixel."""
    shape = node.input(1).shape
    if node.operator == "FULLY_CONNECTED":
        size, one = (1, node.input(0).elements // shape[1]), (1, 1)
        return Window(size, size, one, one, one, (0, 0), (0, 0))
    return window(node, (shape[1], shape[2]))


@per_node
def _scales(node: Node, oracle: Oracle) -> tuple[str, np.ndarray] | None:
    """Return the scaling of sums: the kernel's name for the scaling, and its numbers.

    Returns
    -------
    tuple of str and np.ndarray, or None
        The numbers are int32, ``(numbers per channel, channels)``; four equal channels stand for
        all. None if the kernel does not support the scaling, or sums exceed 32 bits.
    """
    if not _has_kernel(node):
        return None
    channels, weights = node.output.shape[-1], node.input(1).data
    assert weights is not None
    depthwise = node.operator == "DEPTHWISE_CONV_2D"
    taps = weights.reshape(-1, channels).T if depthwise else weights.reshape(channels, -1)
    found = factors(node, oracle, False)
    if found.kind not in _SCALINGS or max(largest_sums(node, taps), default=0) >= 2**31:
        return None
    numbers = {"high": 1, "twice": 2, "precisely": 3}[found.kind]
    columns = found.values.reshape(-1, numbers).astype(np.int64).T
    if found.kind == "twice":
        multiplier, shift = columns
        right = np.minimum(shift, 0)
        columns = np.stack([multiplier, np.maximum(shift, 0), right, np.where(right, -1, 0)])
    elif found.kind == "precisely":
        columns[2] = -columns[2]
    if columns.shape[1] == 1:
        columns = np.repeat(columns, _LANES, axis=1)
    return _SCALINGS[found.kind], columns.astype(np.uint32).view(np.int32)


def _pair(node: Node, geometry: Window, inputs: int) -> HalfPair | None:
    """The code of two pixels; None if no two neighbouring windows are inside of the image."""
    if node.operator == "DEPTHWISE_CONV_2D":
        return None
    (rows, columns), (height, width) = geometry.kernel, geometry.input
    step = geometry.stride[1]
    pair = HalfPair(rows, columns * inputs, width * inputs, step * inputs)
    fits = geometry.output[1] > 1 and height >= rows and width >= columns + step
    return pair if fits and pair.usable else None


def _overlap(geometry: Window, images: int, depth: int, channels: int, pairs: bool) -> Overlap:
    """The overlap that the order of pixels allows: inputs of a pixel are read until it is written.

    A pair of pixels can begin at a column of any parity. Therefore each pixel may be read as long
    as the next one, and written as early as the previous one.
    """
    (height, width), (rows, columns) = geometry.input, geometry.output
    last_read = np.full((images, height, width), -1)
    first_write = np.arange(images * rows * columns) - pairs
    for step, (image, y, x) in enumerate(np.ndindex(images, rows, columns)):
        top = y * geometry.stride[0] - geometry.pad[0]
        left = x * geometry.stride[1] - geometry.pad[1]
        end, last = top + geometry.kernel[0], left + geometry.kernel[1]
        last_read[image, max(0, top) : max(0, end), max(0, left) : max(0, last)] = step + 1
    distance = smallest_distance(
        np.repeat(last_read.ravel(), 2 * depth), np.repeat(first_write, 2 * channels)
    )
    return Overlap("out", 0, distance)
