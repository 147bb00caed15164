"""Reductions of int8 and int16 around the kernels of ``tvmtiny_mve_reduce.h``."""

from __future__ import annotations

from math import prod

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.mean import mean_multiplier, reduced_block
from tvmtiny.ops.shared.expressions import float32
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.sum import scaled_line
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_reduce.h")

_EXTREMES = {"REDUCE_MAX": "max", "REDUCE_MIN": "min"}
_SUMS = ("MEAN", "SUM")
REDUCTIONS = frozenset((*_EXTREMES, *_SUMS))

#: Bits, letter and lanes of a dtype.
_VECTORS = {"int8": (8, "b", 16), "int16": (16, "h", 8)}


def implement_reduction(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the reduction; None if the reduced dimensions are not neighbours."""
    block = _block(node)
    if block is None:
        return None
    _, count, after = block
    dtype = node.output.dtype
    x = nest.buffer("x", node.input(0).elements, dtype)
    out = nest.buffer("out", node.output.elements, dtype)
    preamble, last = [], []
    if node.operator in _EXTREMES:
        bits, letter, lanes = _VECTORS[dtype]
        kind = _EXTREMES[node.operator]
        ends = np.iinfo(dtype)
        first = int(ends.min) if kind == "max" else int(ends.max)
        name = f"mve_{kind}_{dtype}"
        preamble = [
            f"TVMTINY_MVE_EXTREMUM({name}, {dtype}_t, {bits}, {letter}, {lanes}, {kind}, ({first}))"
        ]
    elif node.operator == "MEAN":
        name = "tvmtiny_mve_mean"
        last = [-count * node.input(0).zero_point, *mean_multiplier(node), node.output.zero_point]
    else:
        name = "tvmtiny_mve_scaled_sum"
        last = [*(float32(float(number)) for number in scaled_line(node)), node.output.zero_point]
    function = nest.function(
        [x, out],
        [],
        [nest.call(name, nest.address(x), nest.address(out), *block, *last)],
        operator=node.operator,
        schedule=f"mve, {'across vectors' if after == 1 else 'vectors of outputs'}",
        headers=HEADERS,
        preamble=preamble,
        # Outputs are written after their inputs were read, and precede the inputs of the next ones.
        overlaps=[Overlap("out", 0, 0)],
    )
    return Implementation(function, (node.input(0),), {"sketch": "mve_reduce"})


def reduction_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of a reduction, without decisions."""
    return () if _block(node) is None else (Sketch("mve_reduce"),)


def _block(node: Node) -> tuple[int, int, int] | None:
    """Sizes before, of and after the reduced dimensions, for a node that the kernels support."""
    dtypes = {node.input(0).dtype, node.output.dtype}
    fits = dtypes == {"int8"} or (node.operator in _EXTREMES and dtypes == {"int16"})
    # A SUM of a uint8 model is requantized like a MEAN, without its count.
    fits &= node.operator != "SUM" or not is_from_uint8(node)
    block = reduced_block(node) if fits else None
    return None if block is None or not prod(block) else block
