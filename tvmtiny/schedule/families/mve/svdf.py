"""SVDF around the kernels of ``tvmtiny_mve_svdf.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.weights import accumulator_range
from tvmtiny.ops.svdf import feature_multiplier, output_multiplier, unit_bias
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.mve.assembly import VECTOR, Lines, add, text
from tvmtiny.schedule.families.mve.lstm import HEADERS as LSTM_HEADERS
from tvmtiny.schedule.families.mve.lstm_code import sums_code
from tvmtiny.schedule.families.mve.scaled_sums import LANES, sums_vectors
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap, smallest_distance

HEADERS = (*LSTM_HEADERS, "tvmtiny_mve_svdf.h")

#: Values of the state per vector, and the reach of its addresses.
_VALUES, _MOST_MEMORY = 8, 120

#: The limit on unrolled groups.
_UNROLLS = (1, 2, 4, 8)
_UNROLL = {Goal.SPEED: 4, Goal.BALANCED: 2, Goal.SIZE: 1}


def implement_svdf(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer in int8; None for a long memory, and for sums with unsupported shifts."""
    weights, times = node.input(1).data, node.input(2).data
    assert weights is not None and times is not None
    if times.shape[1] > _MOST_MEMORY or times.dtype != np.int16:
        return None
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
    time = f"mve_time_{memory}_{rank}"
    every = [features, time, *sizes, node.output.zero_point]
    name, arguments = nest.macro_arguments("mve_svdf", every)
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
            f"TVMTINY_MVE_TIME({time}, {memory}, {rank}, {text(_time_code(memory, rank))})",
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
    """The sketch of a layer, whose decision is the number of unrolled groups."""
    return (Sketch("mve_svdf", (Decision("unroll", _UNROLLS),)),)


def _time_code(memory: int, rank: int) -> Lines:
    """A step in time: state r0, weights r1, features r2, bias r3; totals and units on the stack."""
    kept = memory - 1
    whole, rest = divmod(kept, _VALUES)

    def chunk(number: int, then: str) -> Lines:
        at = VECTOR * number
        return [
            f"vldrh{then}.16 q0, [r0, #{at + 2}]",
            f"vldrh{then}.16 q1, [r1, #{at}]",
            f"vmladava{then}.s16 r8, q0, q1",
            f"vstrh{then}.16 q0, [r0, #{at}]",
        ]

    filter_ = ["ldrsh r12, [r2], #2"]
    for number in range(whole):
        filter_ += chunk(number, "")
    filter_ += ["vpstttt", *chunk(whole, "t")] if rest else []
    filter_ += [f"ldrsh r5, [r1, #{2 * kept}]", f"strh r12, [r0, #{2 * kept}]"]
    filter_ += ["mla r8, r12, r5, r8", *add("r0", 2 * memory), *add("r1", 2 * memory)]
    code = ["push {r4-r8, lr}", "ldrd r4, lr, [sp, #24]"]
    code += [f"mov r5, #{rest}", "vctp.16 r5"] if rest else []
    code += ["dls lr, lr", "1:", "ldr r8, [r3], #4"]
    if rank > 1:
        filter_ = [f"mov r6, #{rank}", "2:", *filter_, "subs r6, r6, #1", "bne 2b"]
    return [*code, *filter_, "str r8, [r4], #4", "le lr, 1b", "pop {r4-r8, pc}"]


def _overlap(batches: int, inputs: int, units: int) -> Overlap:
    """The overlap that the order allows: inputs are copied before outputs are written."""
    step = np.arange(batches)
    return Overlap("out", 0, smallest_distance(np.repeat(step, inputs), np.repeat(step, units)))
