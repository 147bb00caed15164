"""Integer layers of long short-term memory as computed by TFLM, with its own tables.

``lstm_eval`` of TFLM consists of its other kernels: dense layers and int16 products with two
roundings, and int16 logistic and tanh that interpolate in one table. Activations are int8, or int16
with 64-bit sums. LiteRT's arithmetic differs, see `lstm_integer`.
"""

from __future__ import annotations

import numpy as np

from tvmtiny.ops.shared.int16_sums import requantize_wide, shortened
from tvmtiny.ops.shared.lstm import (
    BIASES,
    CELLS,
    RECURRENT,
    STATE,
    WEIGHTS,
    clip,
    gate_tensors,
    stacked,
)
from tvmtiny.ops.shared.lstm_integer import GATE_BITS
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.quantization import (
    INTEGER_RANGES,
    power_of_two,
    quantize_multiplier,
    requantize,
)
from tvmtiny.ops.shared.sigmoid_operator import from_table, logistic_between, tanh_between

#: Steps of the table per unit, for gates and for cells with 12 fractional bits.
_STEPS = 3


def table_scales(node: Node) -> list[tuple[int, int]]:
    """Return multipliers and shifts of sums and products, each of which is a TFLM kernel.

    Returns
    -------
    list
        Factors of the inputs of the gates, of their recurrent inputs, of the products that are kept
        and added in cells, and of the hidden values.
    """
    pairs = []
    for position, source in ((WEIGHTS, node.input(0)), (RECURRENT, node.input(STATE))):
        for tensor in gate_tensors(node, position):
            scale = np.float32(tensor.scale) * np.float32(source.scale)
            pairs.append(quantize_multiplier(float(scale) * 2.0**GATE_BITS))
    cells, hidden = node.input(CELLS).scale, node.input(STATE).scale
    pairs.append(quantize_multiplier(2.0**-15 * cells / cells))
    return [*pairs, *(quantize_multiplier(2.0**-30 / scale) for scale in (cells, hidden))]


def cell_steps(node: Node) -> tuple[int, int]:
    """Return the factor and the right shift that scale cells for the table of tanh."""
    power = power_of_two(node.input(CELLS).scale)
    assert power is not None
    shift = power + GATE_BITS
    return (_STEPS << shift, 0) if shift >= 0 else (_STEPS, -shift)


def cell_limit(node: Node) -> int:
    """Return the largest magnitude of cells; 0 for no limit."""
    limit = float(np.float32(clip(node, "cell_clip"))) / node.input(CELLS).scale
    return int(max(min(limit, 32767.0), -32768.0))


def table_biases(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Fold the zero points of the input and of the state into the biases."""
    weights = stacked(gate_tensors(node, WEIGHTS)).astype(np.int64).sum(axis=1)
    recurrent = stacked(gate_tensors(node, RECURRENT)).astype(np.int64).sum(axis=1)
    biases = stacked(gate_tensors(node, BIASES))
    return (
        (biases - node.input(0).zero_point * weights).astype(biases.dtype),
        (-node.input(STATE).zero_point * recurrent).astype(biases.dtype),
    )


def table_step(
    node: Node, x: np.ndarray, state: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute outputs and cells after one step."""
    scales, biases = table_scales(node), table_biases(node)
    gates = []
    for position, source, bias in ((WEIGHTS, x, biases[0]), (RECURRENT, state, biases[1])):
        weights = stacked(gate_tensors(node, position)).astype(np.int64)
        sums = np.split(source.astype(np.int64) @ weights.T + bias, 4, axis=1)
        first = 0 if position == WEIGHTS else 4
        gates.append([_scaled(node, s, scales[first + g]) for g, s in enumerate(sums)])
    inputs, forget, new, outputs = (_int16(a + b) for a, b in zip(*gates, strict=True))
    inputs, forget, outputs = (
        from_table(logistic_between, gate * _STEPS, 9) for gate in (inputs, forget, outputs)
    )
    new = from_table(tanh_between, new * _STEPS, 8)
    kept = _int16(requantize(forget * cells.astype(np.int64), *scales[8]))
    after = _int16(kept + _int16(requantize(inputs * new, *scales[9])))
    limit = cell_limit(node)
    if limit > 0:
        after = np.clip(after, -limit, limit)
    multiplier, shift = cell_steps(node)
    half = 1 << (shift - 1) if shift else 0
    seen = from_table(tanh_between, (after * multiplier + half) >> shift, 8)
    hidden = requantize(seen * outputs, *scales[10]) + node.input(STATE).zero_point
    return np.clip(hidden, *INTEGER_RANGES[str(x.dtype)]).astype(x.dtype), after.astype(np.int16)


def _scaled(node: Node, sums: np.ndarray, scale: tuple[int, int]) -> np.ndarray:
    if node.input(0).dtype == "int8":
        return _int16(requantize(sums, *scale))
    return _int16(requantize_wide(sums, *shortened(*map(np.array, scale))))


def _int16(values: np.ndarray) -> np.ndarray:
    return np.clip(values, *INTEGER_RANGES["int16"])
