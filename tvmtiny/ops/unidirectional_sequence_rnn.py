"""UNIDIRECTIONAL_SEQUENCE_RNN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype
from tvmtiny.ops.shared.lstm import sequence_sizes
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall

#: Position of the state, a variable tensor.
_STATE = 4
#: Limits of sums; tanh is not a clamping activation.
_LIMITS = {"NONE": (-np.inf, np.inf), "RELU": (0.0, np.inf), "RELU6": (0.0, 6.0)}


@register
class UnidirectionalSequenceRnn(Operator):
    """A recurrent layer without gates over the steps of a sequence.

    The state is a variable tensor; the second output is its new value, see
    `tvmtiny.frontend.variables`. The kernel writes it over the old value.
    """

    name = "UNIDIRECTIONAL_SEQUENCE_RNN"
    output_count = None
    dtypes = ("float32",)
    exactness = "within rounding of sums"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if len(node.inputs) != 5 or any(tensor is None for tensor in node.inputs):
            yield Problem(f"{len(node.inputs)} inputs", "5 inputs")
            return
        if len(node.outputs) != 2:
            yield Problem("the state is not a variable", "a variable tensor as input 4")
            return
        yield from check_one_dtype(*(node.input(i) for i in range(5)), node.output)
        if any(node.input(i).data is None for i in (1, 2, 3)):
            yield Problem("weights or biases are computed at run time", "constants")
        if node.activation not in (*_LIMITS, "TANH"):
            yield Problem(f"fused activation {node.activation}", ", ".join((*_LIMITS, "TANH")))
        x, y = node.input(0).shape, node.output.shape
        if len(x) != 3 or len(y) != 3 or x[:2] != y[:2]:
            yield Problem(f"input {list(x)} and output {list(y)}", "three dimensions, two equal")
            return
        batches = x[1] if node.options.get("time_major") else x[0]
        shapes = ((y[2], x[2]), (y[2], y[2]), (y[2],), (batches, y[2]))
        for position, shape in enumerate(shapes, 1):
            found = node.input(position).shape
            if found != shape:
                yield Problem(
                    f"{node.input(position).name} is {list(found)}", f"the shape {list(shape)}"
                )

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        state = node.input(_STATE)
        limits = np.array(_LIMITS.get(node.activation, (0, 0)), np.float32)
        call = RuntimeCall(
            "tvmtiny_rnn_float",
            (
                *(node.input(i) for i in range(4)),
                sequence_sizes(node, node.output.shape[2]),
                limits,
                state,
            ),
            (int(node.activation == "TANH"),),
            ("tvmtiny_math.h", "tvmtiny_rnn.h"),
        )
        return call, Alias(state)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, weights, recurrent, bias, state = inputs
        axis = 0 if node.options.get("time_major") else 1
        outputs = []
        for values in np.moveaxis(x, axis, 0):
            sums = bias + values @ weights.T + state @ recurrent.T
            limits = _LIMITS.get(node.activation)
            state = np.tanh(sums) if limits is None else np.clip(sums, *limits)
            outputs.append(state.astype(np.float32))
        return [np.stack(outputs, axis), outputs[-1]]

    def macs(self, node: Node) -> int:
        return node.output.elements * (node.input(0).shape[-1] + node.output.shape[-1])
