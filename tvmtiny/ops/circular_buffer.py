"""CIRCULAR_BUFFER, an operator of TFLM for streams of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Memory, Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall

#: Most elements of a buffer.
_MOST = 1 << 16


@register
class CircularBuffer(Operator):
    """The most recent frames, to which each run adds one; the initial frames are zeros.

    TFLM can end a run at this operator and continue only in every second one. Such buffers are
    refused.
    """

    name = "CUSTOM:CIRCULAR_BUFFER"
    output_count = None
    dtypes = ("int8",)
    in_litert = False
    needs_scale = False
    exactness = "bit-exact with TFLM, which alone has it (values are copied)"

    def memory(self, node: Node) -> tuple[Memory, ...]:
        if len(node.outputs) != 1 or not 0 < node.output.elements <= _MOST:
            return ()
        quantization = node.output.quantization
        zero = quantization.zero_points[0] if quantization is not None else 0
        # The file's zero point is checked later.
        return (Memory("frames", np.full(node.output.shape, zero, np.int64).astype(np.int8)),)

    def check_node(self, node: Node) -> Iterator[Problem]:
        if len(node.inputs) != 2 or len(node.outputs) != 2 or node.optional_input(0) is None:
            yield Problem(f"{len(node.inputs) - 1} inputs", "one input and one output")
            return
        x, y = node.input(0).shape, node.output.shape
        if len(x) != 4 or x[:2] != (1, 1) or y != (1, *y[1:2], *x[2:]):
            yield Problem(f"frames of {list(x)} in {list(y)}", "[1, 1, ...] in [1, slots, ...]")
        if node.input(0).dtype != "int8":
            yield Problem(f"frames of {node.input(0).dtype}", "int8")
        cycles = node.options.get("cycles_max", 0)
        if cycles != 1:
            yield Problem(
                f"cycles_max is {cycles}, with which TFLM runs later operators in some runs only",
                "cycles_max 1",
            )

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x, before = node.input(0), node.input(1)
        call = RuntimeCall(
            "tvmtiny_circular_buffer",
            (x, before),
            (x.elements, node.output.elements),
            ("tvmtiny_circular_buffer.h",),
        )
        return call, Alias(before)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        frame, before = inputs
        after = np.concatenate([before[:, 1:], frame], axis=1)
        assert after.size == prod(node.output.shape)
        return [after, after.copy()]
