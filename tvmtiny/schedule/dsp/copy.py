"""CONCATENATION and PAD by the copies and fills of ``tvmtiny_dsp_copy.h``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.pad import pad_value, pad_widths
from tvmtiny.schedule import nest
from tvmtiny.schedule.dsp.add import HEADERS
from tvmtiny.schedule.implementation import (
    HEADERS_ATTR,
    SCHEDULE_ATTR,
    Decisions,
    Goal,
    Implementation,
)

#: Shorter runs of bytes are copied as fast by plain loops.
_SHORTEST_RUN = 8


def implement_concatenation(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """CONCATENATION in int8; None where neighbouring bytes are few."""
    shape = node.output.shape
    axis = int(node.options.get("axis", 0)) % len(shape)
    parts = [t for t in node.inputs if t is not None and t.elements]
    inner, whole = prod(shape[axis + 1 :]), prod(shape[axis:])
    runs = [tensor.shape[axis] * inner for tensor in parts]
    if not parts or min(runs) < _SHORTEST_RUN:
        return None
    sources = [nest.buffer(f"x{i}", t.elements, "int8") for i, t in enumerate(parts)]
    out = nest.buffer("out", node.output.elements, "int8")

    def copies(index: nest.Argument) -> Sequence[tirx.Stmt]:
        return [
            nest.call(
                "tvmtiny_copy",
                nest.address(out, index * whole + sum(runs[:part])),
                nest.address(source, index * run),
                run,
            )
            for part, (source, run) in enumerate(zip(sources, runs, strict=True))
        ]

    body = [nest.loop(prod(shape[:axis]), "row", copies)]
    function = nest.function([*sources, out], [], body, _attributes(node))
    return Implementation(function, tuple(parts), {})


def implement_pad(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """PAD in int8: the border's value everywhere, then the input; None for short runs of bytes."""
    x, pairs = node.input(0), pad_widths(node)
    # What lies within the last dimension that has a border is contiguous in both tensors.
    bordered = [axis for axis, pair in enumerate(pairs) if any(pair)]
    last = bordered[-1] if bordered else 0
    run = prod(x.shape[last:])
    if x.elements == 0 or run < _SHORTEST_RUN:
        return None
    source = nest.buffer("x", x.elements, "int8")
    out = nest.buffer("out", node.output.elements, "int8")
    pitches = [prod(node.output.shape[axis + 1 :]) for axis in range(len(pairs))]
    start = sum(before * pitch for (before, _), pitch in zip(pairs, pitches, strict=True))

    def rows(axis: int, number: nest.Argument, offset: nest.Argument) -> tirx.Stmt:
        """Copies of all runs below `axis`: `number` counts runs, `offset` is in the output."""
        if axis == last:
            target = nest.address(out, offset)
            return nest.call("tvmtiny_copy", target, nest.address(source, number * run), run)
        return nest.loop(
            x.shape[axis],
            f"i{axis}",
            lambda i: [rows(axis + 1, number * x.shape[axis] + i, offset + i * pitches[axis])],
        )

    fill = nest.call("tvmtiny_fill", nest.address(out), pad_value(node), node.output.elements)
    body = [fill, rows(0, 0, start)] if bordered else [rows(0, 0, start)]
    return Implementation(nest.function([source, out], [], body, _attributes(node)), (x,), {})


def _attributes(node: Node) -> Mapping[str, str]:
    return {
        "tvmtiny.operator": node.operator,
        SCHEDULE_ATTR: "dsp, copies of words",
        HEADERS_ATTR: f"{HEADERS} tvmtiny_dsp_copy.h",
    }
