"""SOFTMAX, L2_NORMALIZATION, and functions of int8 by a table, around kernels of rows."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.ops.l2_normalization import OUTPUT_BITS
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.lookup_tables import EVERY_INT8
from tvmtiny.ops.shared.unary_operator import Unary
from tvmtiny.ops.softmax import exponentials
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_rows.h")
_NORM_HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_norm.h")

#: The limit on entries of a table, by goal.
_ENTRIES = {Goal.SPEED: 256, Goal.BALANCED: 256, Goal.SIZE: 64}


def is_table(node: Node) -> bool:
    """Whether each int8 output is a function of the int8 input at the same position."""
    operator = find_operator(node.operator)
    return isinstance(operator, Unary) or node.operator == "QUANTIZE"


def implement_table(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement an operator of one int8 input by a table of 256 bytes.

    None if nothing is computed.
    """
    operator, count = find_operator(node.operator), node.output.elements
    if operator is None or count == 0:
        return None
    (values,) = operator.reference(node, [EVERY_INT8.astype(np.int8)], oracle)
    table = np.roll(values.astype(np.int8), 128)
    x, out = nest.buffer("x", count, "int8"), nest.buffer("out", count, "int8")
    entries = nest.buffer("entries", table.size, "int8")
    parameters = [x, entries, out]
    call = nest.call("tvmtiny_mve_look_up", *map(nest.address, parameters), count)
    function = nest.function(
        parameters,
        [],
        [call],
        operator=node.operator,
        schedule="mve, gathers from a table",
        headers=HEADERS,
        overlaps=[Overlap("out", 0, 0)],
    )
    return Implementation(function, (node.input(0), table), {"sketch": "mve_table"})


def implement_softmax(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """SOFTMAX in int8; None for two classes, which use a table, and if the table is too long."""
    depth, count = node.output.shape[-1], node.output.elements
    if count == 0 or depth <= 2:
        return None
    powers = exponentials(node)
    if powers.size > _ENTRIES[goal]:
        return None
    table = np.append(powers, 0).astype(np.int32)
    x, out = nest.buffer("x", count, "int8"), nest.buffer("out", count, "int8")
    entries = nest.buffer("exponentials", table.size, "int32")
    parameters = [x, entries, out]
    sizes = (count // depth, depth, powers.size)
    function = nest.function(
        parameters,
        [],
        [nest.call("tvmtiny_mve_softmax", *map(nest.address, parameters), *sizes)],
        operator=node.operator,
        schedule="mve, gathers of exponentials",
        headers=HEADERS,
        overlaps=[Overlap("out", 0, 0)],
    )
    return Implementation(function, (node.input(0), table), {"sketch": "mve_softmax"})


def implement_normalization(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement L2_NORMALIZATION in int8."""
    count = node.output.elements
    if not count:
        return None
    x, out = nest.buffer("x", count, "int8"), nest.buffer("out", count, "int8")
    depth = node.output.shape[-1]
    shifts = (OUTPUT_BITS, 0) if is_from_uint8(node) else (0, OUTPUT_BITS)
    sizes = (count // depth, depth, node.input(0).zero_point, *shifts)
    function = nest.function(
        [x, out],
        [],
        [nest.call("tvmtiny_mve_normalize", nest.address(x), nest.address(out), *sizes)],
        operator=node.operator,
        schedule="mve, across vectors",
        headers=_NORM_HEADERS,
        overlaps=[Overlap("out", 0, 0)],
    )
    return Implementation(function, (node.input(0),), {"sketch": "mve_normalize"})


def normalization_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of an L2_NORMALIZATION, without decisions."""
    return (Sketch("mve_normalize"),) if node.output.elements else ()


def table_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of a function, without decisions."""
    return (Sketch("mve_table"),) if node.output.elements else ()


def softmax_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of a SOFTMAX, without decisions."""
    fits = node.output.elements > 0 and node.output.shape[-1] > 2
    return (Sketch("mve_softmax"),) if fits else ()
