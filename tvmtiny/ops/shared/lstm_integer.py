"""int8 layers of long short-term memory as computed by LiteRT, with int16 cells.

In ``lstm_eval::EvalInteger8x8_16``, products are scaled with two roundings. Gates have 12
fractional bits and pass through gemmlowp's 16-bit logistic and tanh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.fixed_point_q15 import INT16_MAX, logistic_q15, saturate, tanh_q15
from tvmtiny.ops.shared.fixed_point_q31 import rounding_shift
from tvmtiny.ops.shared.lstm import (
    BIASES,
    CELLS,
    PEEPHOLES,
    PROJECTION,
    RECURRENT,
    STATE,
    WEIGHTS,
    cell_count,
    clip,
    gate_tensors,
    gates,
    has_peepholes,
    has_projection,
    is_plain,
    peepholes,
    projection_bias,
    sizes,
    stacked,
)
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem
from tvmtiny.ops.shared.quantization import (
    INT8_RANGE,
    power_of_two,
    quantize_multiplier,
    requantize,
)
from tvmtiny.ops.shared.weights import check_accumulator

#: Fractional bits of the gates; smallest and largest number of fractional bits of the cells.
GATE_BITS, LEAST_BITS, MOST_BITS = 12, 9, 15


@dataclass(frozen=True, eq=False)
class IntegerLstm:
    """Constants of an int8 layer with four gates, no peepholes and no projection.

    Attributes
    ----------
    weights
        int8, ``(4 * cells, inputs)`` for the input and ``(4 * cells, cells)`` for the state.
    biases
        int32, ``(4 * cells,)`` each, including the zero points.
    scales
        Multiplier and shift of the sums of each gate: four for the input, four for the state.
    output_scale, output_zero_point
        Quantization of the hidden values.
    cell_bits
        Fractional bits of the cells.
    clip
        Limit of the cells; no limit if it is not positive.
    sizes
        Batches, steps, inputs and cells, then the distances in elements between batches and
        between steps: first in the input, then in the output.
    """

    weights: tuple[np.ndarray, np.ndarray]
    biases: tuple[np.ndarray, np.ndarray]
    scales: tuple[tuple[int, int], ...]
    output_scale: tuple[int, int]
    output_zero_point: int
    cell_bits: int
    clip: int
    sizes: tuple[int, ...]


def integer_lstm(node: Node, oracle: Oracle) -> IntegerLstm | None:
    """Return the constants of a plain int8 layer, for schedules; None for other layers."""
    if oracle is not Oracle.LITERT or node.input(0).dtype != "int8" or not is_plain(node):
        return None
    if not has_tanh(node):
        return None
    scales = all_scales(node)
    inputs, state = folded_biases(node)
    return IntegerLstm(
        (stacked(gate_tensors(node, WEIGHTS)), stacked(gate_tensors(node, RECURRENT))),
        (inputs, state),
        tuple(scales[:8]),
        scales[8],
        node.intermediates[4].zero_point,
        cell_bits(node),
        cell_limit(node),
        tuple(int(size) for size in sizes(node)[:8]),
    )


def check_scales(node: Node) -> Iterator[Problem]:
    """Yield problems with the scales of a node whose tensors and shapes are correct."""
    weights = [t for p in (WEIGHTS, RECURRENT) for t in gate_tensors(node, p)]
    weights += [node.input(PROJECTION)] if has_projection(node) else []
    scaled = [node.input(0), node.input(STATE), node.output, *weights, *peepholes(node)]
    problems = [p for tensor in scaled for p in check_scale(tensor)]
    yield from problems
    if problems:
        return
    cells = node.input(CELLS).quantization
    if power_of_two(cells.scales[0] if cells and 0 < cells.scales[0] < 1 else 3.0) is None:
        yield Problem("cells with a scale that is not a power of two", "a scale from 2^-15 to 2^-9")
        return
    if len(node.intermediates) != 5 or list(check_scale(node.intermediates[4])):
        yield Problem("hidden values without quantization", "five intermediate tensors")
        return
    if max(shift for _, shift in all_scales(node)) > 30:
        yield Problem("scales that are too far apart", "scales that fit the sums")
    for tensor in (*weights, *peepholes(node)):
        if tensor.quantization is not None and any(tensor.quantization.zero_points):
            yield Problem(f"{tensor.name} has a zero point", "symmetric weights")
    if has_peepholes(node) and cell_count(node) != node.output.shape[-1]:
        yield Problem(
            f"peepholes of {cell_count(node)} cells with {node.output.shape[-1]} outputs, of which "
            "LiteRT reads only one per output",
            "as many outputs as cells",
        )
    for position, source in ((WEIGHTS, node.input(0)), (RECURRENT, node.input(STATE))):
        for gate, tensor in zip(gates(node), gate_tensors(node, position), strict=True):
            bias = node.input(BIASES + gate).data
            assert tensor.data is not None and bias is not None
            offset = bias if position == WEIGHTS else np.zeros_like(bias)
            yield from check_accumulator(tensor.data, offset, source.zero_point)


def cell_bits(node: Node) -> int:
    """Return the number of fractional bits of the cells."""
    power = power_of_two(node.input(CELLS).scale)
    assert power is not None
    return -power


def has_tanh(node: Node) -> bool:
    """Return whether LiteRT computes tanh of the cells' scale."""
    return LEAST_BITS <= cell_bits(node) <= MOST_BITS


def cell_limit(node: Node) -> int:
    """Return the largest magnitude of cells; 0 for no limit."""
    limit = np.float32(clip(node, "cell_clip")) / np.float32(node.input(CELLS).scale)
    return int(max(min(limit, 32767.0), -32768.0))


def projection_limit(node: Node) -> int:
    """Return the largest magnitude of outputs; 0 for no limit."""
    limit = np.float32(clip(node, "proj_clip")) / np.float32(node.output.scale)
    return int(max(min(limit, 127.0), -128.0))


def all_scales(node: Node) -> list[tuple[int, int]]:
    """Return all multipliers and shifts, from scales that LiteRT computes in single precision.

    Returns
    -------
    list
        Factors of the inputs of four gates, of their recurrent inputs, of hidden values, of the
        cells that the input, forget and output gates read, and of the projection; zeros for absent
        parts.
    """
    single, own = np.float32, gates(node)
    pairs = []
    for position, source in ((WEIGHTS, node.input(0)), (RECURRENT, node.input(STATE))):
        for gate in range(4):
            scale = single(0)
            if gate in own:
                weights = node.input(position + gate)
                scale = single(weights.scale) * single(source.scale)
            pairs.append(quantize_multiplier(float(scale) * 2.0**GATE_BITS))
    hidden = node.intermediates[4].scale
    pairs.append(quantize_multiplier(float(single(2.0**-15 / hidden * 2.0**-15))))
    for gate, position in PEEPHOLES.items():
        scale = single(0)
        if has_peepholes(node) and gate in own:
            scale = single(2.0 ** -cell_bits(node) * node.input(position).scale)
        pairs.append(quantize_multiplier(float(scale) * 2.0**GATE_BITS))
    scale = single(0)
    if has_projection(node):
        weights = node.input(PROJECTION)
        scale = single(weights.scale) * single(hidden) / single(node.input(STATE).scale)
    return [*pairs, quantize_multiplier(float(scale))]


def folded_biases(node: Node) -> list[np.ndarray]:
    """Fold the zero points of the input and of the state into the biases."""
    weights = stacked(gate_tensors(node, WEIGHTS)).astype(np.int64).sum(axis=1)
    recurrent = stacked(gate_tensors(node, RECURRENT)).astype(np.int64).sum(axis=1)
    biases = stacked(gate_tensors(node, BIASES)) - node.input(0).zero_point * weights
    recurrent_biases = -node.input(STATE).zero_point * recurrent
    return [biases.astype(np.int32), recurrent_biases.astype(np.int32)]


def folded_projection_bias(node: Node) -> np.ndarray:
    """Fold the zero point of the hidden values into the bias of the projection.

    LiteRT computes these hidden values with the opposite sign of the zero point.
    """
    weights = node.input(PROJECTION).data
    assert weights is not None
    sums = weights.astype(np.int64).sum(axis=1)
    return (projection_bias(node) + node.intermediates[4].zero_point * sums).astype(np.int32)


def integer_step(
    node: Node, x: np.ndarray, state: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute outputs and cells after one step."""
    biases, scales, own = folded_biases(node), all_scales(node), gates(node)
    weights, recurrent = (
        stacked(gate_tensors(node, position)).astype(np.int64) for position in (WEIGHTS, RECURRENT)
    )
    sums = np.split(x.astype(np.int64) @ weights.T + biases[0], len(own), axis=1)
    more = np.split(state.astype(np.int64) @ recurrent.T + biases[1], len(own), axis=1)
    values = {}
    for gate, inputs, states in zip(own, sums, more, strict=True):
        total = saturate(requantize(inputs, *scales[gate]))
        values[gate] = saturate(requantize(states, *scales[4 + gate]) + total)

    def seen(gate: int, of: np.ndarray) -> np.ndarray:
        if not has_peepholes(node):
            return values[gate]
        data = node.input(PEEPHOLES[gate]).data
        assert data is not None
        scale = scales[9 + [*PEEPHOLES].index(gate)]
        return saturate(values[gate] + requantize(data.astype(np.int64) * of, *scale))

    integer_bits, bits = 15 - GATE_BITS, cell_bits(node)
    before = cells.astype(np.int64)
    forget = logistic_q15(seen(1, before), integer_bits)
    new = logistic_q15(seen(0, before), integer_bits) if 0 in own else INT16_MAX - forget
    added = new * tanh_q15(values[2], integer_bits)
    kept = saturate(rounding_shift(forget * before, 15))
    after = saturate(kept + saturate(rounding_shift(added, 30 - bits)))
    limit = cell_limit(node)
    if limit > 0:
        after = np.clip(after, -limit, limit)
    product = logistic_q15(seen(3, after), integer_bits) * tanh_q15(after, 15 - bits)
    zero_point = node.intermediates[4].zero_point
    zero_point = -zero_point if has_projection(node) else zero_point
    hidden = np.clip(requantize(product, *scales[8]) + zero_point, *INT8_RANGE)
    if has_projection(node):
        data = node.input(PROJECTION).data
        assert data is not None
        total = hidden @ data.astype(np.int64).T + folded_projection_bias(node)
        hidden = requantize(total, *scales[12]) + node.input(STATE).zero_point
        hidden = np.clip(hidden, *INT8_RANGE)
        limit = projection_limit(node)
        if limit > 0:
            hidden = np.clip(hidden, -limit, limit)
    return hidden.astype(np.int8), after.astype(np.int16)
