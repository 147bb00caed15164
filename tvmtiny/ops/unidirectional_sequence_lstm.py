"""UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.fixed_point_q15 import logistic_q15, saturate, tanh_q15
from tvmtiny.ops.shared.fixed_point_q31 import rounding_shift
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.quantization import (
    INT8_RANGE,
    power_of_two,
    quantize_multiplier,
    requantize,
)
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.weights import check_accumulator

#: Positions of what each of the four gates has (input, forget, cell, output), and of the states.
_WEIGHTS, _RECURRENT, _BIASES, _STATE, _CELLS = 1, 5, 12, 18, 19
#: Inputs of layers with peepholes, projection or layer normalization.
_ABSENT = (9, 10, 11, 16, 17, 20, 21, 22, 23)
_HEADERS = ("tvmtiny_math.h", "tvmtiny_lstm.h")
_GATE_BITS, _LEAST_BITS, _MOST_BITS = 12, 9, 15


@dataclass(frozen=True, eq=False)
class IntegerLstm:
    """Constants of an int8 layer; gates come in the order input, forget, cell, output.

    Attributes
    ----------
    weights
        int8, ``(4 * cells, inputs)`` and, of the state, ``(4 * cells, cells)``.
    biases
        int32, ``(4 * cells,)`` each: with the zero points folded in.
    scales
        Multiplier and shift of the sums of each gate: four of the inputs, four of the state.
    output_scale, output_zero_point
        Of the hidden values.
    cell_bits
        Fractional bits of the cells.
    clip
        Of the cells; none where it is not positive.
    sizes
        Batches, steps, inputs and cells, and how many elements batches and steps are apart: first
        in the input, then in the output.
    """

    weights: tuple[np.ndarray, np.ndarray]
    biases: tuple[np.ndarray, np.ndarray]
    scales: tuple[tuple[int, int], ...]
    output_scale: tuple[int, int]
    output_zero_point: int
    cell_bits: int
    clip: int
    sizes: tuple[int, ...]


def integer_lstm(node: Node) -> IntegerLstm:
    """The constants of an int8 layer, for schedules."""
    scales = _scales(node)
    inputs, state = _folded_biases(node)
    return IntegerLstm(
        (_stacked(node, _WEIGHTS), _stacked(node, _RECURRENT)),
        (inputs, state),
        tuple(scales[:8]),
        scales[8],
        node.intermediates[4].zero_point,
        _cell_bits(node),
        _quantized_clip(node),
        tuple(int(size) for size in _sizes(node)),
    )


@register
class UnidirectionalSequenceLstm(Operator):
    """A long short-term memory over the steps of a sequence, as Keras' LSTM becomes.

    The states of the outputs and of the cells are variable tensors; the further outputs are their
    new values, see `tvmtiny.frontend.variables`. The kernel writes these where the old ones are.

    int8 with int16 cells matches LiteRT's ``lstm_eval::EvalInteger8x8_16`` bit by bit: products are
    scaled with two roundings, gates have 12 fractional bits and go through gemmlowp's logistic and
    tanh. float32 computes with functions of our own, in the order of ``lstm_eval::EvalFloat``.
    """

    name = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    output_count = None
    exactness = "int8 bit-exact (int16 cells, both oracles); float32 within rounding of sums"

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*_check_operands(node)]
        if not problems:
            problems = [*_check_shapes(node)]
        if not problems and node.input(0).dtype == "int8":
            problems = [*_check_scales(node)]
        yield from problems

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x, state, cells = node.input(0), node.input(_STATE), node.input(_CELLS)
        constants = [_stacked(node, _WEIGHTS), _stacked(node, _RECURRENT)]
        numbers: tuple[int, ...] = ()
        clip = float(node.options.get("cell_clip", 0.0))
        if x.dtype == "int8":
            constants += [*_folded_biases(node), np.array(_scales(node), np.int32).reshape(-1)]
            name = "tvmtiny_lstm_int8"
            numbers = (_cell_bits(node), _quantized_clip(node), node.intermediates[4].zero_point)
            tail = [_sizes(node)]
        else:
            constants.append(_stacked(node, _BIASES))
            name = "tvmtiny_lstm_float"
            tail = [_sizes(node), np.array([clip], np.float32)]
        arguments: tuple[Tensor | np.ndarray, ...] = (x, *constants, *tail, state, cells)
        call = RuntimeCall(name, arguments, numbers, _HEADERS)
        return call, Alias(state), Alias(cells)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, state, cells = inputs[0], inputs[-2], inputs[-1]
        axis = 0 if node.options.get("time_major") else 1
        step = _integer_step if x.dtype == np.int8 else _float_step
        outputs = []
        for values in np.moveaxis(x, axis, 0):
            state, cells = step(node, values, state, cells)
            outputs.append(state)
        return [np.stack(outputs, axis), state, cells]

    def macs(self, node: Node) -> int:
        rows = node.output.elements
        return rows * 4 * (node.input(0).shape[-1] + node.output.shape[-1])


def _gate_tensors(node: Node, position: int) -> list[Tensor]:
    return [node.input(position + gate) for gate in range(4)]


def _stacked(node: Node, position: int) -> np.ndarray:
    """What the four gates have at a position, one after the other."""
    values = []
    for tensor in _gate_tensors(node, position):
        assert tensor.data is not None
        values.append(tensor.data)
    return np.concatenate(values)


def _check_operands(node: Node) -> Iterator[Problem]:
    needed = [0, *range(1, 9), *range(12, 16), _STATE, _CELLS]
    if any(node.optional_input(i) is None for i in needed):
        yield Problem("inputs are absent", "weights and biases of four gates, and two states")
        return
    if len(node.outputs) != 3:
        yield Problem("the states are no variables", "variable tensors as inputs 18 and 19")
        return
    if any(node.optional_input(i) is not None for i in _ABSENT):
        yield Problem(
            "peepholes, a projection or layer normalization", "a layer without these, as Keras has"
        )
    if node.activation != "TANH":
        yield Problem(f"fused activation {node.activation}", "TANH")
    if node.options.get("diagonal_recurrent_tensors"):
        yield Problem("diagonal recurrent weights", "full matrices")
    constants = [t for p in (_WEIGHTS, _RECURRENT, _BIASES) for t in _gate_tensors(node, p)]
    if any(t.data is None for t in constants):
        yield Problem("weights or biases are computed at run time", "constants")
    integer = node.input(0).dtype == "int8"
    wanted = (
        *(("int8" if integer else "float32",) * 8),
        *(("int32" if integer else "float32",) * 4),
        "int8" if integer else "float32",
        "int16" if integer else "float32",
    )
    given = [t.dtype for t in (*constants, node.input(_STATE), node.input(_CELLS))]
    if tuple(given) != wanted or node.output.dtype != node.input(0).dtype:
        names = ", ".join(dict.fromkeys(given))
        yield Problem(f"weights, biases and states of {names}", ", ".join(dict.fromkeys(wanted)))


def _check_shapes(node: Node) -> Iterator[Problem]:
    x, y = node.input(0).shape, node.output.shape
    if len(x) != 3 or len(y) != 3 or x[:2] != y[:2]:
        yield Problem(f"input {list(x)} and output {list(y)}", "three dimensions, the first equal")
        return
    inputs, cells = x[2], y[2]
    batches = x[1] if node.options.get("time_major") else x[0]
    shapes = {
        _WEIGHTS: (cells, inputs),
        _RECURRENT: (cells, cells),
        _BIASES: (cells,),
    }
    for position, shape in shapes.items():
        for tensor in _gate_tensors(node, position):
            if tensor.shape != shape:
                yield Problem(f"{tensor.name} is {list(tensor.shape)}", f"the shape {list(shape)}")
    for position in (_STATE, _CELLS):
        if node.input(position).shape != (batches, cells):
            found = list(node.input(position).shape)
            yield Problem(f"a state of {found}", f"the shape {[batches, cells]}")


def _check_scales(node: Node) -> Iterator[Problem]:
    scaled = [node.input(0), node.input(_STATE), node.output]
    scaled += [*_gate_tensors(node, _WEIGHTS), *_gate_tensors(node, _RECURRENT)]
    problems = [p for tensor in scaled for p in check_scale(tensor)]
    yield from problems
    if problems:
        return
    cells = node.input(_CELLS).quantization
    power = power_of_two(cells.scales[0]) if cells and 0 < cells.scales[0] < 1 else None
    if power is None:
        yield Problem("cells whose scale is no power of two", "a scale from 2^-15 to 2^-9")
    elif not _LEAST_BITS <= -power <= _MOST_BITS:
        yield Problem(
            f"cells with a scale of 2^{power}, of which LiteRT computes no tanh",
            "a scale from 2^-15 to 2^-9",
        )
    if len(node.intermediates) != 5 or list(check_scale(node.intermediates[4])):
        yield Problem("no quantization of the hidden values", "five intermediate tensors")
        return
    if max(shift for _, shift in _scales(node)) > 30:
        yield Problem("scales that are too far apart", "scales that fit the sums")
    for position, source in ((_WEIGHTS, node.input(0)), (_RECURRENT, node.input(_STATE))):
        for gate, tensor in enumerate(_gate_tensors(node, position)):
            if tensor.quantization is not None and any(tensor.quantization.zero_points):
                yield Problem(f"{tensor.name} has a zero point", "symmetric weights")
            bias = node.input(_BIASES + gate).data
            assert tensor.data is not None and bias is not None
            offset = bias if position == _WEIGHTS else np.zeros_like(bias)
            yield from check_accumulator(tensor.data, offset, source.zero_point)


def _cell_bits(node: Node) -> int:
    """Fractional bits of the cells."""
    power = power_of_two(node.input(_CELLS).scale)
    assert power is not None
    return -power


def _quantized_clip(node: Node) -> int:
    clip = np.float32(node.options.get("cell_clip", 0.0)) / np.float32(node.input(_CELLS).scale)
    return int(max(min(clip, 32767.0), -32768.0))


def _scales(node: Node) -> list[tuple[int, int]]:
    """Multipliers and shifts: of the inputs of the gates, of their recurrent ones, of outputs."""
    pairs = []
    for position, source in ((_WEIGHTS, node.input(0)), (_RECURRENT, node.input(_STATE))):
        for tensor in _gate_tensors(node, position):
            pairs.append(quantize_multiplier(tensor.scale * source.scale * 2.0**_GATE_BITS))
    pairs.append(quantize_multiplier(2.0**-15 / node.intermediates[4].scale * 2.0**-15))
    return pairs


def _folded_biases(node: Node) -> list[np.ndarray]:
    """Biases with the zero points of the input and of the state folded in."""
    weights = _stacked(node, _WEIGHTS).astype(np.int64).sum(axis=1)
    recurrent = _stacked(node, _RECURRENT).astype(np.int64).sum(axis=1)
    biases = _stacked(node, _BIASES) - node.input(0).zero_point * weights
    recurrent_biases = -node.input(_STATE).zero_point * recurrent
    return [biases.astype(np.int32), recurrent_biases.astype(np.int32)]


def _sizes(node: Node) -> np.ndarray:
    """``struct tvmtiny_lstm_shape``."""
    first, second, inputs = node.input(0).shape
    cells = node.output.shape[2]
    if node.options.get("time_major"):
        batches, steps, apart = second, first, (1, second)
    else:
        batches, steps, apart = first, second, (second, 1)
    strides = [inputs * apart[0], inputs * apart[1], cells * apart[0], cells * apart[1]]
    return np.array([batches, steps, inputs, cells, *strides], np.int32)


def _integer_step(
    node: Node, x: np.ndarray, state: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    biases, scales = _folded_biases(node), _scales(node)
    sums = x.astype(np.int64) @ _stacked(node, _WEIGHTS).astype(np.int64).T + biases[0]
    recurrent = state.astype(np.int64) @ _stacked(node, _RECURRENT).astype(np.int64).T + biases[1]
    gates = []
    for gate in range(4):
        mine = slice(gate * cells.shape[1], (gate + 1) * cells.shape[1])
        total = saturate(requantize(sums[:, mine], *scales[gate]))
        gates.append(saturate(requantize(recurrent[:, mine], *scales[4 + gate]) + total))
    integer_bits = 15 - _GATE_BITS
    bits = _cell_bits(node)
    kept = rounding_shift(logistic_q15(gates[1], integer_bits) * cells.astype(np.int64), 15)
    added = logistic_q15(gates[0], integer_bits) * tanh_q15(gates[2], integer_bits)
    after = saturate(saturate(kept) + saturate(rounding_shift(added, 30 - bits)))
    clip = _quantized_clip(node)
    if clip > 0:
        after = np.clip(after, -clip, clip)
    product = logistic_q15(gates[3], integer_bits) * tanh_q15(after, 15 - bits)
    outputs = requantize(product, *scales[8]) + node.intermediates[4].zero_point
    return np.clip(outputs, *INT8_RANGE).astype(np.int8), after.astype(np.int16)


def _float_step(
    node: Node, x: np.ndarray, state: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    sums = _stacked(node, _BIASES) + x @ _stacked(node, _WEIGHTS).T
    gates = np.split(sums + state @ _stacked(node, _RECURRENT).T, 4, axis=1)
    into, kept, out = (1 / (1 + np.exp(-gates[gate])) for gate in (0, 1, 3))
    after = kept * cells + into * np.tanh(gates[2])
    clip = float(node.options.get("cell_clip", 0.0))
    if clip > 0:
        after = np.clip(after, -clip, clip)
    return (out * np.tanh(after)).astype(np.float32), after.astype(np.float32)
