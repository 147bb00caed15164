"""UNIDIRECTIONAL_SEQUENCE_LSTM around the kernels of ``tvmtiny_mve_lstm.h``."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.lstm_integer import IntegerLstm, integer_lstm
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.mve import assembly
from tvmtiny.schedule.families.mve.assembly import VECTOR
from tvmtiny.schedule.families.mve.lstm_code import LANES, CellStep, cells_code, sums_code
from tvmtiny.schedule.families.mve.q15 import MOST_INTEGER
from tvmtiny.schedule.families.mve.scaled_sums import sums_vectors
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.lstm_layer import lstm_overlap, sums_fit

HEADERS = ("tvmtiny_math.h", "tvmtiny_lstm.h", "tvmtiny_mve.h", "tvmtiny_mve_lstm.h")

#: The limit on unrolled groups.
_UNROLLS = (1, 2, 4, 8)
_UNROLL = {Goal.SPEED: 4, Goal.BALANCED: 2, Goal.SIZE: 1}

#: Gates in the order of the workspace, as positions in the layer's order.
_ORDER = (0, 1, 3, 2)

#: Instructions of a vector of cells, without the products.
_VECTOR = 500


def implement_lstm(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer in int8; None if sums or scales are too large for the kernels."""
    layer = integer_lstm(node, oracle)
    if layer is None:
        return None
    integer = 15 - layer.cell_bits
    shift = layer.output_scale[1]
    if integer + 1 > MOST_INTEGER or not -31 <= shift <= 0 or not sums_fit(layer):
        return None
    unroll = int(decisions["unroll"]) if decisions else _UNROLL[goal]
    stream = _stream(layer)
    function = _function(node, layer, stream.size, unroll)
    state, cells = node.input(18), node.input(19)
    vectors = -(-layer.sizes[3] // LANES)
    steps = layer.sizes[0] * layer.sizes[1]
    groups = sum(-(-n // VECTOR) for n in layer.sizes[2:4])
    return Implementation(
        function,
        (node.input(0), stream, state, cells),
        {"sketch": "mve_lstm", "unroll": unroll},
        steps * vectors * (_VECTOR + 4 * 17 * groups),
        (Alias(state), Alias(cells)),
    )


def lstm_sketches(node: Node) -> tuple[Sketch, ...]:
    """The sketch of a layer, whose decision is the number of unrolled groups."""
    return (Sketch("mve_lstm", (Decision("unroll", _UNROLLS),)),)


def _stream(layer: IntegerLstm) -> np.ndarray:
    """Biases, weights and scales in the order of the header: int32."""
    count = layer.sizes[3]
    parts = []
    for gate in _ORDER:
        mine = slice(gate * count, (gate + 1) * count)
        sources = [
            sums_vectors(weights[mine], biases[mine], layer.scales[4 * position + gate])
            for position, (weights, biases) in enumerate(
                zip(layer.weights, layer.biases, strict=True)
            )
        ]
        parts += [part for vector in zip(*sources, strict=True) for part in vector]
    return np.concatenate(parts)


def _function(node: Node, layer: IntegerLstm, words: int, unroll: int) -> tirx.PrimFunc:
    batches, _, depth, count = layer.sizes[:4]
    groups = -(-depth // VECTOR), -(-count // VECTOR)
    clip = max(layer.clip, 0)
    numbers = (layer.cell_bits, clip, *layer.output_scale, layer.output_zero_point)
    step = CellStep(count, *numbers)
    gates_kernel = f"mve_lstm_gates_{depth}_{count}_{unroll}"
    cells_kernel, constants = nest.macro_arguments("mve_lstm_cells", (count, *numbers))
    kernel, rest = nest.macro_arguments("mve_lstm", (gates_kernel, cells_kernel, *layer.sizes))
    gates_text, cells_text = (
        assembly.text(sums_code(groups, unroll)),
        assembly.text(cells_code(step)),
    )
    preamble = [
        f"TVMTINY_MVE_LSTM_GATES({gates_kernel}, {depth}, {count}, {gates_text})",
        f"TVMTINY_MVE_LSTM_CELLS({cells_kernel}, {constants}, {cells_text})",
        f"TVMTINY_MVE_LSTM({kernel}, {rest})",
    ]
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", words, "int32")
    before = nest.buffer("state", batches * count, "int8")
    memory = nest.buffer("cells", batches * count, "int16")
    out = nest.buffer("out", node.output.elements, "int8")
    gates = nest.buffer("gates", 4 * LANES * step.vectors, "int16")
    patch = nest.buffer("patch", VECTOR * sum(groups), "int8")
    parameters = [x, stream, before, memory, out]
    return nest.function(
        parameters,
        [gates, patch],
        [nest.call(kernel, *(nest.address(b) for b in (*parameters, gates, patch)))],
        operator=node.operator,
        schedule=f"mve, vectors of cells, unroll {unroll}",
        headers=HEADERS,
        preamble=preamble,
        overlaps=[lstm_overlap(layer)],
    )
