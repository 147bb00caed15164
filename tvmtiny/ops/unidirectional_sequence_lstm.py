"""UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared import lstm_integer, lstm_tables
from tvmtiny.ops.shared.int16_sums import shortened
from tvmtiny.ops.shared.lstm import (
    BIASES,
    CELLS,
    PROJECTION,
    RECURRENT,
    STATE,
    WEIGHTS,
    cell_count,
    check_operands,
    check_shapes,
    clip,
    float_step,
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
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.sigmoid_operator import sigmoid_table

_HEADERS = ("tvmtiny_math.h", "tvmtiny_lstm.h")


@register
class UnidirectionalSequenceLstm(Operator):
    """A long short-term memory over the steps of a sequence, such as Keras' LSTM.

    The states of the outputs and of the cells are variable tensors; the further outputs are their
    new values, see `tvmtiny.frontend.variables`. The kernel writes them over the old values.

    int8 is computed as in `tvmtiny.ops.shared.lstm_integer` for LiteRT; int8 and int16 are computed
    as in `tvmtiny.ops.shared.lstm_tables` for TFLM, and for layers that LiteRT cannot compute:
    int16, and cells of other scales than 2^-15 to 2^-9. float32 uses this package's own functions,
    in the order of ``lstm_eval::EvalFloat``. TFLM supports neither peepholes nor projections nor
    coupled gates, so such layers are always computed as in LiteRT.
    """

    name = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    output_count = None
    dtypes = ("int8", "int16", "float32")
    exactness = (
        "int8 bit-exact (cells of int16, differs by oracle), int16 with TFLM bit-exact; float32 "
        "within rounding of sums"
    )

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*check_operands(node)]
        if not problems:
            problems = [*check_shapes(node)]
        if not problems and node.input(0).dtype != "float32":
            problems = [*lstm_integer.check_scales(node)]
        yield from problems

    def check_oracle(self, node: Node, oracle: Oracle) -> Iterator[Problem]:
        if node.input(0).dtype == "float32":
            return
        bits = lstm_integer.cell_bits(node)
        if _follows_tflm(node, oracle):
            if not 0 <= bits <= 24:
                yield Problem(f"cells with a scale of 2^{-bits}", "a scale from 2^-24 to 1")
        elif node.input(0).dtype == "int16":
            yield Problem(
                "int16 data, for which LiteRT has no kernel",
                "a layer without peepholes, projection and coupled gates, for which TFLM has one",
            )
        elif not lstm_integer.has_tanh(node):
            yield Problem(
                f"cells with a scale of 2^{-bits}, for which LiteRT has no tanh",
                "a scale from 2^-15 to 2^-9, or a layer without peepholes, projection and coupled "
                "gates, for which TFLM has one",
            )

    def known_to_litert(self, node: Node) -> bool:
        dtype = node.input(0).dtype
        return dtype == "float32" or (dtype == "int8" and lstm_integer.has_tanh(node))

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x, state, cells = node.input(0), node.input(STATE), node.input(CELLS)
        weights = [stacked(gate_tensors(node, position)) for position in (WEIGHTS, RECURRENT)]
        if x.dtype == "float32":
            call = _float_call(node, weights)
        elif _follows_tflm(node, oracle):
            call = _table_call(node, weights)
        else:
            call = _integer_call(node, weights)
        return call, Alias(state), Alias(cells)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, state, cells = inputs[0], inputs[-2], inputs[-1]
        axis = 0 if node.options.get("time_major") else 1
        if x.dtype == np.float32:
            step = float_step
        elif _follows_tflm(node, oracle):
            step = lstm_tables.table_step
        else:
            step = lstm_integer.integer_step
        outputs = []
        for values in np.moveaxis(x, axis, 0):
            state, cells = step(node, values, state, cells)
            outputs.append(state)
        return [np.stack(outputs, axis), state, cells]

    def macs(self, node: Node) -> int:
        outputs, cells = node.output.shape[-1], cell_count(node)
        products = cells * (node.input(0).shape[-1] + outputs + has_peepholes(node))
        projected = cells * outputs if has_projection(node) else 0
        return node.output.elements // outputs * (len(gates(node)) * products + projected)


def _follows_tflm(node: Node, oracle: Oracle) -> bool:
    """Return whether an integer layer is computed as in TFLM."""
    of_litert = oracle is Oracle.LITERT and node.input(0).dtype == "int8"
    return is_plain(node) and not (of_litert and lstm_integer.has_tanh(node))


def _float_call(node: Node, weights: Sequence[np.ndarray]) -> RuntimeCall:
    clips = np.array([clip(node, "cell_clip"), clip(node, "proj_clip")], np.float32)
    tail: list[Tensor | np.ndarray] = [sizes(node), clips, node.input(STATE), node.input(CELLS)]
    biases = stacked(gate_tensors(node, BIASES))
    start: list[Tensor | np.ndarray] = [node.input(0), *weights, biases]
    if is_plain(node):
        return RuntimeCall("tvmtiny_lstm_float", (*start, *tail), (), _HEADERS)
    seen, projection, bias = _others(node, projection_bias(node), np.float32, np.float32)
    return RuntimeCall(
        "tvmtiny_lstm_float_other",
        (*start, seen, projection, bias, *tail),
        (int(has_peepholes(node)), int(has_projection(node)), len(gates(node))),
        _HEADERS,
        ((cell_count(node), "float32"),),
    )


def _integer_call(node: Node, weights: Sequence[np.ndarray]) -> RuntimeCall:
    scales = np.array(lstm_integer.all_scales(node), np.int32).reshape(-1)
    zero_point = node.intermediates[4].zero_point
    numbers = (lstm_integer.cell_bits(node), lstm_integer.cell_limit(node))
    tail: list[Tensor | np.ndarray] = [sizes(node), node.input(STATE), node.input(CELLS)]
    start: list[Tensor | np.ndarray] = [node.input(0), *weights]
    start += lstm_integer.folded_biases(node)
    if is_plain(node):
        return RuntimeCall(
            "tvmtiny_lstm_int8", (*start, scales[:18], *tail), (*numbers, zero_point), _HEADERS
        )
    bias = np.zeros(1, np.int32)
    if has_projection(node):
        bias, zero_point = lstm_integer.folded_projection_bias(node), -zero_point
    seen, projection, bias = _others(node, bias, np.int16, np.int8)
    return RuntimeCall(
        "tvmtiny_lstm_int8_other",
        (*start, seen, projection, bias, scales, *tail),
        (
            int(has_peepholes(node)),
            int(has_projection(node)),
            *numbers,
            zero_point,
            len(gates(node)),
            lstm_integer.projection_limit(node),
            node.input(STATE).zero_point,
        ),
        _HEADERS,
        ((cell_count(node), "int8"),),
    )


def _table_call(node: Node, weights: Sequence[np.ndarray]) -> RuntimeCall:
    scales = np.array(lstm_tables.table_scales(node), np.int32)
    if node.input(0).dtype == "int16":
        short = shortened(scales[:8, 0], scales[:8, 1])
        scales = np.concatenate([np.stack(short, axis=1).astype(np.int32), scales[8:]])
    return RuntimeCall(
        f"tvmtiny_lstm_tables_{node.input(0).dtype}",
        (
            node.input(0),
            *weights,
            *lstm_tables.table_biases(node),
            scales.reshape(-1),
            sigmoid_table(),
            sizes(node),
            node.input(STATE),
            node.input(CELLS),
        ),
        (
            *lstm_tables.cell_steps(node),
            lstm_tables.cell_limit(node),
            node.input(STATE).zero_point,
        ),
        (*_HEADERS, "tvmtiny_lstm_tables.h"),
    )


def _others(
    node: Node, bias: np.ndarray, seen: type, projected: type
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the constants that plain layers lack; an array of one element for a missing one."""
    weights = node.optional_input(PROJECTION)
    return (
        stacked(peepholes(node)) if has_peepholes(node) else np.zeros(1, seen),
        np.zeros(1, projected) if weights is None or weights.data is None else weights.data,
        bias,
    )
