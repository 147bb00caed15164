"""DEQUANTIZE around the kernels of ``tvmtiny_mve_dequantize.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.shared.expressions import float32
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch

HEADERS = (
    "tvmtiny_mve.h",
    "tvmtiny_mve_tile.h",
    "tvmtiny_mve_float.h",
    "tvmtiny_mve_dequantize.h",
)

_LOADS = {"int8": "vldrb.s32 q0, [%[x]], #4", "int16": "vldrh.s32 q0, [%[x]], #8"}


def implement_dequantize(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the operator with one scale; None if results can be subnormal."""
    if not dequantize_sketches(node):
        return None
    source, count = node.input(0), node.output.elements
    x, out = nest.buffer("x", count, source.dtype), nest.buffer("out", count, "float32")
    name = f"mve_dequantize_{source.dtype}"
    numbers = count, source.zero_point, float32(source.scale)
    function = nest.function(
        [x, out],
        [],
        [nest.call(name, nest.address(x), nest.address(out), *numbers)],
        operator=node.operator,
        schedule="mve, vectors",
        headers=HEADERS,
        preamble=[f'TVMTINY_MVE_DEQUANTIZE({name}, {source.dtype}_t, "{_LOADS[source.dtype]}")'],
    )
    return Implementation(function, (source,), {"sketch": "mve_dequantize"})


def dequantize_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of the operator, without decisions."""
    x = node.input(0)
    if x.dtype not in _LOADS or x.data is not None or not node.output.elements:
        return ()
    if x.quantization is None or x.quantization.per_channel:
        return ()
    normal = float(np.float32(x.scale)) >= float(np.finfo(np.float32).tiny)
    return (Sketch("mve_dequantize"),) if normal else ()
