"""UNIDIRECTIONAL_SEQUENCE_LSTM around the kernels of ``tvmtiny_dsp_lstm.h``."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.fixed_point_q15 import exp_q15
from tvmtiny.ops.shared.lstm_integer import IntegerLstm, integer_lstm
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.int32_sums import HEADERS as SUMS_HEADERS
from tvmtiny.schedule.families.dsp.int32_sums import SumsTile, pack_sums
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation
from tvmtiny.schedule.lstm_layer import lstm_overlap, sums_fit

HEADERS = (*SUMS_HEADERS, "tvmtiny_dsp_lstm.h")

#: Integer bits of the exponents in gates and their tanh.
_GATE_INTEGER = 3

#: The limit of the kernel.
_MOST_INTEGER = 5

#: The limit on unrolled groups, by goal.
_UNROLL = {Goal.SPEED: 16, Goal.BALANCED: 8, Goal.SIZE: 4}

#: Instructions of a cell, without the products.
_CELL = 400


def implement_lstm(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer in int8; None if sums or scales are too large for the kernel."""
    if decisions:
        return None
    layer = integer_lstm(node, oracle)
    if layer is None:
        return None
    integer = 15 - layer.cell_bits
    if integer + 1 > _MOST_INTEGER or layer.output_scale[1] > 0 or not sums_fit(layer):
        return None
    tiles = _tiles(layer, goal)
    if tiles is None:
        return None
    finest = min(_GATE_INTEGER, integer + 1)
    stream = np.concatenate([tile.stream for tile in tiles])
    table = exponentials(finest)
    function = _function(node, layer, tiles, table.size, finest)
    state, cells = node.input(18), node.input(19)
    return Implementation(
        function,
        (node.input(0), stream, table, state, cells),
        {"sketch": "lstm"},
        node.output.elements * _CELL,
        (Alias(state), Alias(cells)),
    )


def _tiles(layer: IntegerLstm, goal: Goal) -> tuple[SumsTile, SumsTile] | None:
    """The tiles of the inputs and of the state in the same format; None if no format fits."""
    by_cell = []
    for weights, biases in zip(layer.weights, layer.biases, strict=True):
        # (gate, cell, ...) -> (cell, gate, ...)
        order = np.arange(len(weights)).reshape(4, -1).T.ravel()
        by_cell.append((weights[order], biases[order]))
    for weight_format in ("w8", "w16"):
        found = [
            pack_sums(weights, biases, packing.TILES["1x4"], weight_format, _UNROLL[goal])
            for weights, biases in by_cell
        ]
        inputs, state = found
        if inputs is not None and state is not None and len(inputs.chunks) + len(state.chunks) == 2:
            return inputs, state
    return None


def exponentials(finest: int) -> np.ndarray:
    """The table of the kernel: int16."""
    # Further integer bits make no difference between 0 and -1/4.
    steps = np.arange(1, (1 << (13 - finest)) + 1)
    return exp_q15(-steps, finest).astype(np.int16)


def _function(
    node: Node, layer: IntegerLstm, tiles: tuple[SumsTile, SumsTile], table: int, finest: int
) -> tirx.PrimFunc:
    inputs, state = (tile.chunks[0] for tile in tiles)
    weight_format = tiles[0].weight_format
    batches, _, depth, count = layer.sizes[:4]
    numbers = [n for pair in layer.scales for n in pair]
    numbers += [layer.cell_bits, max(layer.clip, 0), *layer.output_scale]
    numbers += [layer.output_zero_point, finest]
    cells_kernel, cells = nest.macro_arguments("lstm_cells", numbers)
    total = inputs.words + state.words
    names = [inputs.kernel, state.kernel, cells_kernel, weight_format]
    kernel, arguments = nest.macro_arguments("lstm", [*names, inputs.words, total, *layer.sizes])
    preamble = [
        *dict.fromkeys((inputs.preamble, state.preamble)),
        f"TVMTINY_LSTM_CELLS({cells_kernel}, {cells})",
        f"TVMTINY_LSTM({kernel}, {arguments})",
    ]
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", total, "int32")
    exponentials = nest.buffer("exponentials", table, "int16")
    before = nest.buffer("state", batches * count, "int8")
    memory = nest.buffer("cells", batches * count, "int16")
    out = nest.buffer("out", node.output.elements, "int8")
    sums = nest.buffer("sums", 8 * count, "int32")
    words = 2 * max(packing.groups(depth), packing.groups(count))
    patch = nest.buffer("patch", words, "uint32")
    parameters = [x, stream, exponentials, before, memory, out]
    return nest.function(
        parameters,
        [sums, patch],
        [nest.call(kernel, *(nest.address(b) for b in (*parameters, sums, patch)))],
        operator=node.operator,
        schedule=f"dsp, tiles {tiles[0].tile.name}, {weight_format}",
        headers=HEADERS,
        preamble=preamble,
        overlaps=[lstm_overlap(layer)],
    )
