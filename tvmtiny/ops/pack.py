"""PACK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_axis, check_one_dtype, check_output
from tvmtiny.ops.shared.joining import joined
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register


@register
class Pack(Moving):
    """Tensors of one shape side by side along a new dimension."""

    name = "PACK"

    def check_node(self, node: Node) -> Iterator[Problem]:
        if not node.inputs or None in node.inputs or len(node.outputs) != 1:
            yield Problem("inputs or outputs are missing", "at least one input and one output")
            return
        shape = node.input(0).shape
        yield from check_one_dtype(*_inputs(node), node.output)
        problems = [*check_axis(_axis(node), (*shape, 1))]
        if any(tensor.shape != shape for tensor in _inputs(node)):
            shapes = ", ".join(str(list(tensor.shape)) for tensor in _inputs(node))
            problems.append(Problem(f"inputs of {shapes}", "inputs of one shape"))
        if problems:
            yield from problems
            return
        axis = _axis(node) % (len(shape) + 1)
        yield from check_output(node.output, (*shape[:axis], len(node.inputs), *shape[axis:]))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        axis = _axis(node) % len(node.output.shape)
        shape = node.input(0).shape
        return joined(
            node, _inputs(node), axis, [(*shape[:axis], 1, *shape[axis:])] * len(node.inputs)
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.stack(inputs, _axis(node))]


def _inputs(node: Node) -> list[Tensor]:
    return [tensor for tensor in node.inputs if tensor is not None]


def _axis(node: Node) -> int:
    return int(node.options.get("axis", 0))
