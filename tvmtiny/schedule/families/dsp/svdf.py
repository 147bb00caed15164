"""SVDF around the kernels of ``tvmtiny_dsp_svdf.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.weights import accumulator_range
from tvmtiny.ops.svdf import feature_multiplier, output_multiplier, unit_bias
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.int32_sums import HEADERS as SUMS_HEADERS
from tvmtiny.schedule.families.dsp.int32_sums import SumsTile, pack_sums
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation
from tvmtiny.schedule.overlap import Overlap, smallest_distance

HEADERS = (*SUMS_HEADERS, "tvmtiny_dsp_svdf.h")

#: The limit on unrolled groups, by goal.
_UNROLL = {Goal.SPEED: 16, Goal.BALANCED: 8, Goal.SIZE: 4}

#: The limit on steps that a filter remembers, because its code has no loop.
_MOST_MEMORY = 64

#: Instructions of a filter, without its products.
_FILTER = 30


def implement_svdf(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer in int8.

    None if the kernel does not support its sums, scales or state.
    """
    times = node.input(2).data
    assert times is not None
    filters, memory = times.shape
    if decisions or memory > _MOST_MEMORY or times.dtype != np.int16:
        return None
    tile = _features(node, goal)
    if tile is None:
        return None
    padded = np.pad(times, ((0, 0), (0, memory % 2)))
    pairs = np.ascontiguousarray(padded).view(np.int32).ravel()
    (features,), (batches, inputs) = tile.chunks, node.input(0).shape
    rank = int(node.options["rank"])
    multiplier, shift = feature_multiplier(node)
    time, time_arguments = nest.macro_arguments("svdf_time", [memory, multiplier, shift])
    sizes = [tile.weight_format, features.words, batches, inputs, filters, memory, rank]
    scale = output_multiplier(node)
    scaled = "tvmtiny_scale_twice_right" if scale[1] <= 0 else "tvmtiny_requantize"
    sizes += [scaled, *scale, node.output.zero_point]
    name, arguments = nest.macro_arguments("svdf", [features.kernel, time, *sizes])
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", features.words, "int32")
    weights = nest.buffer("times", pairs.size, "int32")
    bias = nest.buffer("bias", filters // rank, "int32")
    state = nest.buffer("state", batches * filters * memory, "int16")
    out = nest.buffer("out", node.output.elements, "int8")
    sums = nest.buffer("sums", filters + -filters % tile.tile.channels, "int32")
    patch = nest.buffer("patch", 2 * packing.groups(inputs), "uint32")
    parameters = [x, stream, weights, bias, state, out]
    function = nest.function(
        parameters,
        [sums, patch],
        [nest.call(name, *(nest.address(b) for b in (*parameters, sums, patch)))],
        operator=node.operator,
        schedule=f"dsp, tile {tile.tile.name}, {tile.weight_format}",
        headers=HEADERS,
        preamble=[
            features.preamble,
            f"TVMTINY_SVDF_TIME({time}, {time_arguments})",
            f"TVMTINY_SVDF({name}, {arguments})",
        ],
        overlaps=[_overlap(batches, inputs, filters // rank)],
    )
    return Implementation(
        function,
        (node.input(0), tile.stream, pairs, unit_bias(node), node.input(4)),
        {"sketch": "svdf"},
        batches * filters * _FILTER,
        (Alias(node.input(4)),),
    )


def _features(node: Node, goal: Goal) -> SumsTile | None:
    """The tile of the weights over features; None if it cannot be exact."""
    weights, zero_point = node.input(1).data, node.input(0).zero_point
    assert weights is not None
    bias = -zero_point * weights.astype(np.int64).sum(axis=1)
    low, high = accumulator_range(weights, np.zeros(len(weights)), zero_point)
    # The kernel shifts sums to the left by the shift of the scale, and by one more bit.
    left = max(feature_multiplier(node)[1], 0) + 1
    if int(max(-low.min(), high.max())) << left >= 2**31:
        return None
    # Use whole tiles, padded with unused filters.
    shape = packing.TILES["1x4"]
    missing = -len(weights) % shape.channels
    weights, bias = np.pad(weights, ((0, missing), (0, 0))), np.pad(bias, (0, missing))
    for weight_format in ("w8", "w16"):
        tile = pack_sums(weights, bias, shape, weight_format, _UNROLL[goal])
        if tile is not None and len(tile.chunks) == 1:
            return tile
    return None


def _overlap(batches: int, inputs: int, units: int) -> Overlap:
    """The overlap that the order allows: inputs are expanded before outputs are written."""
    step = np.arange(batches)
    return Overlap("out", 0, smallest_distance(np.repeat(step, inputs), np.repeat(step, units)))
