"""RANGE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.constant_inputs import check_numbers
from tvmtiny.ops.shared.constant_operator import ConstantOutput
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, register


@register
class Range(ConstantOutput):
    """Numbers from a start up to, but not including, a limit, in equal steps."""

    name = "RANGE"
    dtypes = ("int32", "int64", "float32")
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        start, limit, step = (node.input(i) for i in range(3))
        problems = [*check_one_dtype(start, limit, step, node.output)]
        if not problems:
            for position, what in enumerate(("start", "limit", "step")):
                problems += check_numbers(node, position, what, 1, self.dtypes)
        if problems:
            yield from problems
            return
        first, last, step_size = _ends(node)
        if not np.isfinite([first, last, step_size]).all() or step_size == 0:
            yield Problem(
                f"a range from {first} to {last} by {step_size}", "steps toward the limit"
            )
            return
        count = max(0, int(np.ceil((float(last) - float(first)) / float(step_size))))
        yield from check_output(node.output, [count])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        first, _, step = _ends(node)
        dtype = np.dtype(node.output.dtype)
        # LiteRT adds step by step, which makes a difference in float32.
        values = np.full(node.output.shape, step, dtype)
        values[:1] = first
        return [np.cumsum(values, dtype=dtype)]


def _ends(node: Node) -> list[np.generic]:
    found = [node.input(i).data for i in range(3)]
    return [data.reshape(-1)[0] for data in found if data is not None]
