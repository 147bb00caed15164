"""SVDF around the kernels of ``tvmtiny_mve_svdf.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.weights import accumulator_range
from tvmtiny.ops.svdf import feature_multiplier, output_multiplier, unit_bias
from tvmtiny.schedule import nest
from tvmtiny.schedule.assembly import text
from tvmtiny.schedule.families.mve.assembly import VECTOR
from tvmtiny.schedule.families.mve.lstm import HEADERS as LSTM_HEADERS
from tvmtiny.schedule.families.mve.lstm_code import sums_code
from tvmtiny.schedule.families.mve.sums import LANES, sums_vectors
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance

HEADERS = (*LSTM_HEADERS, "tvmtiny_mve_svdf.h")

#: Groups that are unrolled at most.
_UNROLLS = (1, 2, 4, 8)
_UNROLL = {Goal.SPEED: 4, Goal.BALANCED: 2, Goal.SIZE: 1}


def implement_svdf(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """The layer in int8; None where its sums cannot be shifted as far as their scale asks for."""
    weights, times = node.input(1).data, node.input(2).data
    assert weights is not None and times is not None
    zero_point = node.input(0).zero_point
    low, high = accumulator_range(weights, np.zeros(len(weights)), zero_point)
    scale = feature_multiplier(node)
    if int(max(-low.min(), high.max())) << (max(scale[1], 0) + 1) >= 2**31:
        return None
    unroll = int(decisions["unroll"]) if decisions else _UNROLL[goal]
    bias = -zero_point * weights.astype(np.int64).sum(axis=1)
    vectors = sums_vectors(weights, bias, scale)
    stream = np.concatenate(vectors)
    (filters, memory), (batches, inputs) = times.shape, node.input(0).shape
    rank = int(node.options["rank"])
    groups = -(-inputs // VECTOR)
    features = f"mve_features_{inputs}_{unroll}"
    sizes = [batches, inputs, filters, memory, rank, *output_multiplier(node)]
    name, arguments = nest.macro_arguments("mve_svdf", [features, *sizes, node.output.zero_point])
    x = nest.buffer("x", node.input(0).elements, "int8")
    words = nest.buffer("stream", stream.size, "int32")
    weights_of_time = nest.buffer("times", times.size, "int16")
    offsets = nest.buffer("bias", filters // rank, "int32")
    state = nest.buffer("state", batches * filters * memory, "int16")
    out = nest.buffer("out", node.output.elements, "int8")
    sums = nest.buffer("sums", LANES * len(vectors), "int16")
    patch = nest.buffer("patch", VECTOR * groups, "int8")
    parameters = [x, words, weights_of_time, offsets, state, out]
    function = nest.function(
        parameters,
        [sums, patch],
        [nest.call(name, *(nest.address(b) for b in (*parameters, sums, patch)))],
        operator=node.operator,
        schedule=f"mve, vectors of filters, unroll {unroll}",
        headers=HEADERS,
        preamble=[
            f"TVMTINY_MVE_FEATURES({features}, {inputs}, {text(sums_code((groups,), unroll))})",
            f"TVMTINY_MVE_SVDF({name}, {arguments})",
        ],
        overlaps=[_overlap(batches, inputs, filters // rank)],
    )
    return Implementation(
        function,
        (node.input(0), stream, times.ravel(), unit_bias(node), node.input(4)),
        {"sketch": "mve_svdf", "unroll": unroll},
        others=(Alias(node.input(4)),),
    )


def svdf_sketches(node: Node) -> tuple[Sketch, ...]:
    """One way to compute a layer, with the groups that are unrolled open."""
    return (Sketch("mve_svdf", (Decision("unroll", _UNROLLS),)),)


def _overlap(batches: int, inputs: int, units: int) -> Overlap:
    """What the order of the batches allows: inputs are copied before outputs are written."""
    step = np.arange(batches)
    return Overlap("out", 0, smallest_distance(np.repeat(step, inputs), np.repeat(step, units)))
