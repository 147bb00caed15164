"""Operators with two operands, around the kernels of ``tvmtiny_mve_elementwise.h``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.add import exact_plane, sum_steps
from tvmtiny.ops.mul import product_multiplier
from tvmtiny.ops.prelu import prelu_multipliers
from tvmtiny.ops.shared.affine import product_image
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.ops.squared_difference import LEFT_SHIFT, difference_multipliers
from tvmtiny.schedule import nest
from tvmtiny.schedule.broadcast_runs import Runs, broadcast_runs
from tvmtiny.schedule.families.mve import assembly, packing
from tvmtiny.schedule.families.mve.assembly import MOST_SHIFT, Lines
from tvmtiny.schedule.families.mve.binary_code import BinaryCode
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.product_scaling import VECTOR_GAIN, product_scaling
from tvmtiny.schedule.scaling import Scaling

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_elementwise.h")

#: Numbers of vectors of four elements per loop iteration.
_VECTORS = (4, 1, 2)

#: The smallest number of elements of a run that justifies a call.
_LEAST_RUN = 2


@dataclass(frozen=True)
class _Kernel:
    """A kernel for a node.

    Attributes
    ----------
    macro, arguments
        Macro and arguments of the instantiation, without name and code.
    values
        The constants of the kernel.
    code
        The code for a run.
    how
        A description for reports.
    """

    macro: str
    arguments: tuple[int | str, ...]
    values: tuple[int, ...]
    code: Lines
    how: str


def implement_add(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """ADD or SUB in int8 or int16; None if runs are too short or scales are powers of two."""
    runs = _runs(node)
    if runs is None:
        return None
    vectors = _vectors(decisions, runs)
    code, swapped = _code(node, runs, vectors)
    kernel = _plane(node, code, swapped) or _precise_sum(node, code, swapped)
    return None if kernel is None else _implementation(node, runs, kernel, swapped, vectors)


def implement_mul(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """MUL in int8 or int16; None if runs are too short."""
    runs = _runs(node)
    if runs is None:
        return None
    vectors = _vectors(decisions, runs)
    code, swapped = _code(node, runs, vectors)
    kernel = _product(node, oracle, code, swapped) or _precise_product(node, oracle, code, swapped)
    return _implementation(node, runs, kernel, swapped, vectors)


def implement_squared_difference(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """SQUARED_DIFFERENCE in int8 or int16; None if runs are too short."""
    runs = _runs(node)
    if runs is None:
        return None
    vectors = _vectors(decisions, runs)
    code, swapped = _code(node, runs, vectors)
    left = LEFT_SHIFT[code.dtype]
    pairs = difference_multipliers(node)
    operands = [
        (-node.input(position).zero_point * (1 << left), *pairs[position]) for position in range(2)
    ]
    first, second = operands[::-1] if swapped else operands
    multiplier, shift = pairs[2]
    values = (*first[:2], *second[:2], multiplier, node.output.zero_point)
    kernel = _precise("SQUARE", code, left, (first[2], second[2], shift), values)
    return _implementation(node, runs, kernel, swapped, vectors)


def implement_prelu(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """PRELU in int8 or int16; None if runs are too short."""
    runs = _runs(node)
    if runs is None or not runs.moving[0]:
        return None
    vectors = _vectors(decisions, runs)
    code, _ = _code(node, runs, vectors)
    (above, above_shift), (below, below_shift) = prelu_multipliers(node)
    zeros = -node.input(0).zero_point, -node.input(1).zero_point
    values = (zeros[0], above, zeros[1], below, node.output.zero_point)
    shifts = above_shift, below_shift
    types = f"{code.dtype}_t", f"{code.second}_t"
    arguments = (*types, int(code.once), *shifts, *code.limits)
    kernel = _Kernel("PRELU", arguments, values, code.leaky(shifts), "scaled precisely")
    return _implementation(node, runs, kernel, False, vectors)


def elementwise_sketches(node: Node) -> tuple[Sketch, ...]:
    """The sketch of an operator, whose decision is the number of vectors per loop iteration."""
    if _runs(node) is None:
        return ()
    return (Sketch("mve_vectors", (Decision("vectors", _VECTORS),)),)


def _runs(node: Node) -> Runs | None:
    runs = broadcast_runs(node.input(0).shape, node.input(1).shape, node.output.shape)
    if runs is None or node.output.scale <= 0:
        return None
    return None if runs.loops and runs.count < _LEAST_RUN else runs


def _vectors(decisions: Decisions | None, runs: Runs) -> int:
    if decisions:
        return int(decisions["vectors"])
    return next(n for n in _VECTORS if 4 * n <= runs.count or n == 1)


def _code(node: Node, runs: Runs, vectors: int) -> tuple[BinaryCode, bool]:
    """The code for a run, and whether the second operand comes first."""
    once = not all(runs.moving)
    dtypes = node.output.dtype, node.input(1).dtype
    code = BinaryCode(*dtypes, once, activation_range(node), vectors)
    return code, not runs.moving[0]


def _in_order(pair: tuple[int, ...], swapped: bool) -> tuple[int, ...]:
    return pair[::-1] if swapped else pair


def _plane(node: Node, code: BinaryCode, swapped: bool) -> _Kernel | None:
    if code.dtype != "int8":
        return None
    plane = exact_plane(node, 1, product_image, 0, MOST_SHIFT) or exact_plane(node)
    if plane is None or plane.shift < 1:
        return None
    values = (*_in_order(plane.factors, swapped), plane.offset)
    lines = code.plane(plane.shift)
    how = f"shift {plane.shift}"
    return _Kernel("ADD", (int(code.once), plane.shift, *code.limits), values, lines, how)


def _precise_sum(node: Node, code: BinaryCode, swapped: bool) -> _Kernel | None:
    steps = sum_steps(node)
    if steps is None:
        return None
    left = steps.left_shift
    operands = [
        (-node.input(position).zero_point * (1 << left), *steps.multipliers[position])
        for position in range(2)
    ]
    first, second = operands[::-1] if swapped else operands
    kind = "ADD" if node.operator == "ADD" else "RSB" if swapped else "SUB"
    multiplier, shift = steps.multipliers[2]
    values = (*first[:2], *second[:2], multiplier, node.output.zero_point)
    shifts = (first[2], second[2], shift)
    return _precise(kind, code, left, shifts, values)


def _precise_product(node: Node, oracle: Oracle, code: BinaryCode, swapped: bool) -> _Kernel:
    zeros = _in_order((-node.input(0).zero_point, -node.input(1).zero_point), swapped)
    multiplier, shift = product_multiplier(node, oracle)
    values = (zeros[0], 0, zeros[1], 0, multiplier, node.output.zero_point)
    return _precise("MUL", code, 0, (0, 0, shift), values)


def _precise(
    kind: str,
    code: BinaryCode,
    left: int,
    shifts: tuple[int, int, int],
    values: tuple[int, ...],
) -> _Kernel:
    lines = code.precise(kind, left, shifts)
    arguments = (f"{code.dtype}_t", kind, int(code.once), left, *shifts, *code.limits)
    return _Kernel("PRECISE", arguments, values, lines, "scaled precisely")


def _product(node: Node, oracle: Oracle, code: BinaryCode, swapped: bool) -> _Kernel | None:
    scaling = _product_scaling(node, oracle) if code.dtype == "int8" else None
    if scaling is None:
        return None
    zeros = _in_order((-node.input(0).zero_point, -node.input(1).zero_point), swapped)
    by_sign = [2 * int(v[0]) for v in (scaling.offset, scaling.step) if v is not None]
    constants = int(scaling.initial[0]), int(scaling.multiplier[0])
    values = (VECTOR_GAIN * zeros[0], zeros[1], *constants, *by_sign)
    lines = code.product(VECTOR_GAIN, scaling.shift + 1, scaling.signed)
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    arguments = (int(code.once), scaling.shift, *code.limits, rounding)
    how = f"shift {scaling.shift}{', rounding by sign' * scaling.signed}"
    return _Kernel("MUL", arguments, values, lines, how)


def _product_scaling(node: Node, oracle: Oracle) -> Scaling | None:
    shifts = tuple(shift for shift in packing.SHIFTS if shift < MOST_SHIFT)
    scaling = product_scaling(node, oracle, VECTOR_GAIN, shifts, activation_range(node))
    return packing.usable(scaling, MOST_SHIFT - 1)


def _implementation(
    node: Node, runs: Runs, kernel: _Kernel, swapped: bool, vectors: int
) -> Implementation:
    name, listed = nest.macro_arguments(f"mve_{kernel.macro.lower()}_{vectors}", kernel.arguments)
    dtype = node.output.dtype
    tensors = [node.input(i) for i in range(2)]
    x, y = (nest.buffer(n, t.elements, t.dtype) for n, t in zip("xy", tensors, strict=True))
    constants = nest.buffer("constants", len(kernel.values), "int32")
    out = nest.buffer("out", node.output.elements, dtype)

    def call(first: tuple[nest.Argument, nest.Argument], at: nest.Argument) -> tirx.Stmt:
        operands = nest.address(x, first[0]), nest.address(y, first[1])
        ordered = operands[::-1] if swapped else operands
        ends = nest.address(constants), nest.address(out, at), runs.count
        return nest.call(name, *ordered, *ends)

    # Each vector is read before it is written, and no operand of the same size is read again.
    whole = [i for i, tensor in enumerate(tensors) if tensor.nbytes == node.output.nbytes]
    function = nest.function(
        [x, y, constants, out],
        [],
        runs.statements(call),
        operator=node.operator,
        schedule=f"mve, {vectors} vectors, {kernel.how}{', runs' * bool(runs.loops)}",
        headers=HEADERS,
        preamble=[f"TVMTINY_MVE_{kernel.macro}({name}, {listed}, {assembly.text(kernel.code)})"],
        overlaps=[Overlap("out", i, 0) for i in whole],
    )
    values = np.array(kernel.values, np.int32)
    decided: Decisions = {"sketch": "mve_vectors", "vectors": vectors}
    return Implementation(function, (node.input(0), node.input(1), values), decided)
