"""MIRROR_PAD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.constant_inputs import check_numbers
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.padding import pad_widths
from tvmtiny.ops.shared.selecting_operator import Selecting


@register
class MirrorPad(Selecting):
    """A border that mirrors the input, with (SYMMETRIC) or without its outermost elements."""

    name = "MIRROR_PAD"
    input_count = 2

    def arguments(self, node: Node) -> Iterator[Problem]:
        shape = node.input(0).shape
        problems = [*check_numbers(node, 1, "paddings", 2 * len(shape))]
        if problems:
            yield from problems
            return
        shorter = 0 if _mode(node) == "SYMMETRIC" else 1
        for size, pair in zip(shape, pad_widths(node), strict=True):
            if not 0 <= min(pair) <= max(pair) <= size - shorter:
                yield Problem(
                    f"paddings {pair} of a dimension of {size} with mode {_mode(node)}",
                    f"paddings from 0 to {size - shorter}",
                )

    def indices(self, node: Node) -> Sequence[np.ndarray]:
        pairs = zip(node.input(0).shape, pad_widths(node), strict=True)
        if _mode(node) == "SYMMETRIC":
            return [np.pad(np.arange(size), pair, "symmetric") for size, pair in pairs]
        return [np.pad(np.arange(size), pair, "reflect") for size, pair in pairs]


def _mode(node: Node) -> str:
    return str(node.options.get("mode", "REFLECT"))
