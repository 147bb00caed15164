"""STRIDED_SLICE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import EllipsisType

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_output
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.movement import moved, selection
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register

#: An entry of a numpy index; None is a new dimension.
_Entry = slice | int | EllipsisType | None


@register
class StridedSlice(Moving):
    """Python's slices; masks determine the meaning of each entry of begin, end and strides."""

    name = "STRIDED_SLICE"
    input_count = 4

    def check_node(self, node: Node) -> Iterator[Problem]:
        count = node.input(1).elements
        problems = [
            *check_numbers(node, 1, "begin"),
            *check_numbers(node, 2, "end", count),
            *check_numbers(node, 3, "strides", count),
            *check_one_dtype(node.input(0), node.output),
        ]
        if problems:
            yield from problems
        elif node.options.get("offset", False):
            yield Problem("ends that are counted from begin", "ends that are positions")
        elif 0 in numbers(node, 3):
            yield Problem("a stride of 0", "strides other than 0")
        else:
            yield from _check_entries(node)

    def compute(self, node: Node, oracle: Oracle) -> Result:
        shape, entries = node.input(0).shape, _entries(node)
        used = [entry for entry in entries if entry is not None]
        spread = used.index(...) if ... in used else len(used)
        rest = [slice(None)] * (len(shape) - sum(entry is not ... for entry in used))
        every = [*used[:spread], *rest, *used[spread + 1 :]]
        indices = [
            np.atleast_1d(np.arange(size)[entry]) for size, entry in zip(shape, every, strict=True)
        ]
        return moved(node, [selection(shape, indices)])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        return [np.asarray(inputs[0][tuple(_entries(node))])]


def _entries(node: Node) -> list[_Entry]:
    begin, end, strides = (numbers(node, position) for position in (1, 2, 3))

    def masked(mask: str, position: int) -> bool:
        return bool(int(node.options.get(f"{mask}_mask", 0)) >> position & 1)

    entries: list[_Entry] = []
    for i, stride in enumerate(strides):
        first = None if masked("begin", i) else begin[i]
        if masked("ellipsis", i):
            entries.append(...)
        elif masked("new_axis", i):
            entries.append(None)
        elif masked("shrink_axis", i):
            entries.append(first or 0)
        else:
            entries.append(slice(first, None if masked("end", i) else end[i], stride))
    return entries


def _check_entries(node: Node) -> Iterator[Problem]:
    entries, shape = _entries(node), node.input(0).shape
    try:
        # Nothing is allocated, because all elements are the same one.
        expected = np.broadcast_to(np.int8(0), shape)[tuple(entries)].shape
    except (IndexError, ValueError) as error:
        yield Problem(f"a slice that is out of bounds ({error})", "a slice inside the input")
    else:
        yield from check_output(node.output, expected)
