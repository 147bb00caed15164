"""Functions of one int16, changes of scale between int16 and int8, and signs of plain integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.ops.abs import is_quantized, size_multiplier
from tvmtiny.ops.leaky_relu import leaky_multipliers
from tvmtiny.ops.quantize import rescaling
from tvmtiny.ops.relu import Clamp, clamp_multiplier
from tvmtiny.ops.shared.quantization import INTEGER_RANGES
from tvmtiny.ops.shared.sigmoid_operator import SigmoidTable, sigmoid_table
from tvmtiny.ops.shared.unary_operator import TableUnary
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_half_functions.h")

#: Instructions that load and store four numbers of a dtype as int32.
_LOADS = {"int8": "vldrbq_z_s32", "int16": "vldrhq_z_s32"}
_STORES = {"int8": "vstrbq_p_s32", "int16": "vstrhq_p_s32"}

#: The largest right shift of the kernels.
_MOST_SHIFT = 31

#: Kernels of plain integers, which leave the smallest value unchanged.
_PLAIN = {"ABS": "tvmtiny_mve_size", "NEG": "tvmtiny_mve_negate"}

#: A multiplier and a left shift.
_Factor = tuple[int, int]
_DECIDED: Decisions = {"sketch": "mve_half_function"}


def implement_half_function(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the function with vectors; None for shifts that the kernels do not support."""
    if not is_half_function(node):
        return None
    operator, count = find_operator(node.operator), node.output.elements
    plain = _plain(node)
    if plain is not None:
        made = _function(node, [], lambda x, out: nest.call(plain, x, out, count), "vectors", [])
        return Implementation(made, (node.input(0),), _DECIDED)
    if isinstance(operator, SigmoidTable):
        name = f"tvmtiny_mve_{node.operator.lower()}"
        return _looked_up(node, name, _sigmoid_words(node.operator), operator.scaling(node))
    if isinstance(operator, TableUnary):
        return _looked_up(node, "tvmtiny_mve_interpolate", operator.interpolated(node), ())
    line = _line(node)
    if line is None:
        return None
    x, out = node.input(0), node.output
    kinds = [f"{x.dtype}_t", f"{out.dtype}_t", _LOADS[x.dtype], _STORES[out.dtype]]
    name, listed = nest.macro_arguments("mve_line", [*kinds, *line])
    made = _function(
        node,
        [],
        lambda x, out: nest.call(name, x, out, count),
        "vectors, scaled precisely",
        [f"TVMTINY_MVE_LINE_16({name}, {listed})"],
    )
    return Implementation(made, (x,), _DECIDED)


def half_function_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of a function, without decisions."""
    return (Sketch("mve_half_function"),) if is_half_function(node) else ()


def is_half_function(node: Node) -> bool:
    """Whether a node is a function of int16 or plain integers, or changes such scales."""
    if _plain(node) is not None:
        return True
    dtypes = [tensor.dtype for tensor in (*node.inputs[:1], node.output) if tensor is not None]
    if "int16" not in dtypes or not node.output.elements or len(dtypes) != 2:
        return False
    if node.operator == "QUANTIZE":
        return _LOADS.keys() >= set(dtypes) and _line(node) is not None
    if dtypes != ["int16", "int16"]:
        return False
    if node.operator in _LINES:
        return _line(node) is not None
    return isinstance(find_operator(node.operator), TableUnary | SigmoidTable)


def _plain(node: Node) -> str | None:
    """The kernel of a function of integers without a scale, or that ignores it.

    None without one.
    """
    bits = {"int16": 16, "int32": 32}.get(node.output.dtype) if node.output.elements else None
    if bits is None or node.operator not in _PLAIN or node.input(0).dtype != node.output.dtype:
        return None
    scaled = node.operator == "ABS" and is_quantized(node)
    return None if scaled else f"{_PLAIN[node.operator]}_{bits}"


def _line(node: Node) -> tuple[int, ...] | None:
    """The fields of a line; None if there is no line, or a shift is too large."""
    above, below = _LINES[node.operator](node)
    if min(above[1], below[1]) < -_MOST_SHIFT:
        return None
    operator, out = find_operator(node.operator), node.output
    limits = operator.limits(node) if isinstance(operator, Clamp) else INTEGER_RANGES[out.dtype]
    factors = (*above, abs(below[0]), below[1], int(below[0] < 0), int(node.operator == "ABS"))
    return (node.input(0).zero_point, *factors, out.zero_point, *limits)


def _size(node: Node) -> _Factor:
    same = node.input(0).scale == node.output.scale
    return (1 << 30, 1) if same else size_multiplier(node)


_LINES: dict[str, Callable[[Node], tuple[_Factor, _Factor]]] = {
    "ABS": lambda node: (_size(node), _size(node)),
    "LEAKY_RELU": leaky_multipliers,
    "QUANTIZE": lambda node: (rescaling(node), rescaling(node)),
    "RELU": lambda node: (clamp_multiplier(node), clamp_multiplier(node)),
    "RELU6": lambda node: (clamp_multiplier(node), clamp_multiplier(node)),
}


def _sigmoid_words(operator: str) -> np.ndarray:
    """Each table entry minus 2^15, and the difference to the next entry: int32, ``(256,)``.

    Beyond the table, LOGISTIC uses an entry that is smaller than the last one.
    """
    entries = sigmoid_table().astype(np.int64)
    words = np.append(np.diff(entries), 0) << 16
    entries[-1] -= operator == "LOGISTIC"
    return (words | (entries - 2**15)).astype(np.int32)


def _looked_up(node: Node, name: str, table: np.ndarray, numbers: Sequence[int]) -> Implementation:
    entries = nest.buffer("entries", table.size, str(table.dtype))
    count = node.output.elements
    made = _function(
        node,
        [entries],
        lambda x, out: nest.call(name, x, nest.address(entries), out, count, *numbers),
        "gathers from a table",
        [],
    )
    return Implementation(made, (node.input(0), table), _DECIDED)


def _function(
    node: Node,
    constants: Sequence[tirx.Buffer],
    call: Callable[[nest.Argument, nest.Argument], tirx.Stmt],
    how: str,
    preamble: Sequence[str],
) -> tirx.PrimFunc:
    source, count = node.input(0), node.output.elements
    x, out = nest.buffer("x", count, source.dtype), nest.buffer("out", count, node.output.dtype)
    same = source.dtype == node.output.dtype
    return nest.function(
        [x, *constants, out],
        [],
        [call(nest.address(x), nest.address(out))],
        operator=node.operator,
        schedule=f"mve, {how}",
        headers=HEADERS,
        preamble=preamble,
        overlaps=[Overlap("out", 0, 0)] if same else [],
    )
