"""SQUEEZE."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.ops.shared.checks import check_axis, check_output
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.reshaping_operator import Reshaping


@register
class Squeeze(Reshaping):
    """The same bytes without dimensions of size 1: those in the options, or all of them."""

    name = "SQUEEZE"

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*super().check_node(node)]
        if problems:
            yield from problems
            return
        shape = node.input(0).shape
        given = node.options.get("squeeze_dims")
        axes = [] if given is None else [int(axis) for axis in given]
        problems = [problem for axis in axes for problem in check_axis(axis, shape)]
        if problems:
            yield from problems
            return
        removed = {a % len(shape) for a in axes} or {i for i, d in enumerate(shape) if d == 1}
        if any(shape[axis] != 1 for axis in removed):
            yield Problem(f"dimensions {axes} of {list(shape)}", "dimensions of size 1")
        yield from check_output(node.output, [d for i, d in enumerate(shape) if i not in removed])
