"""MAXIMUM, MINIMUM and comparisons around the kernels of ``tvmtiny_mve_choice.h``."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.ops.comparisons import Comparison
from tvmtiny.ops.shared.quantization import quantize_multiplier
from tvmtiny.schedule import nest
from tvmtiny.schedule.broadcast_runs import Runs, broadcast_runs
from tvmtiny.schedule.families.mve import assembly
from tvmtiny.schedule.families.mve.assembly import VECTOR, Lines
from tvmtiny.schedule.families.mve.binary_code import scaled
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_choice.h")

#: Relations, each with its relation for swapped operands.
_RELATIONS = {
    "EQUAL": ("eq", "eq"),
    "GREATER": ("gt", "lt"),
    "GREATER_EQUAL": ("ge", "le"),
    "LESS": ("lt", "gt"),
    "LESS_EQUAL": ("le", "ge"),
    "MAXIMUM": ("max", "max"),
    "MINIMUM": ("min", "min"),
    "NOT_EQUAL": ("ne", "ne"),
}
CHOICES = frozenset(_RELATIONS)

_BYTES = {"int8": 1, "int16": 2, "int32": 4}

#: The smallest number of elements of a run that justifies a call.
_LEAST_RUN = 4

#: Fractional bits that operands get before they are scaled.
_LEFT = 8
#: The largest right shift of VRSHR.
_MOST_SHIFT = 31


@dataclass(frozen=True)
class _Operand:
    """The scaling of an operand of a comparison: zero point, factor and left shift."""

    zero: int
    factor: int
    shift: int


_PLAIN = (_Operand(0, 0, 0), _Operand(0, 0, 0))


def implement_choice(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the operator in int8, int16 or int32; None for short runs, and scales above 1."""
    operands, runs = _operands(node), _runs(node)
    if operands is None or runs is None:
        return None
    swapped, once = not runs.moving[0], not all(runs.moving)
    relation = _RELATIONS[node.operator][swapped]
    dtype, result = node.input(0).dtype, node.output.dtype
    first, second = operands[::-1] if swapped else operands
    plain = operands is _PLAIN
    code = _code(relation, dtype, once) if plain else _scaled_code(relation, once, first, second)
    numbers = [o for side in (first, second) for o in (side.zero, side.factor, side.shift)]
    kind = "bool" if result == "bool" else f"{result}_t"
    arguments: list[int | str] = [
        f"{dtype}_t",
        kind,
        relation,
        int(once),
        0 if plain else _LEFT,
        *numbers,
    ]
    name, listed = nest.macro_arguments("mve_choice", arguments)
    x, y = (nest.buffer("xy"[i], node.input(i).elements, dtype) for i in range(2))
    out = nest.buffer("out", node.output.elements, result)

    def call(start: tuple[nest.Argument, nest.Argument], at: nest.Argument) -> tirx.Stmt:
        pair = nest.address(x, start[0]), nest.address(y, start[1])
        ordered = pair[::-1] if swapped else pair
        return nest.call(name, *ordered, nest.address(out, at), runs.count)

    # Each vector is read before it is written, and no operand of the same size is read again.
    whole = [i for i in range(2) if node.input(i).nbytes == node.output.nbytes]
    function = nest.function(
        [x, y, out],
        [],
        runs.statements(call),
        operator=node.operator,
        schedule=f"mve, vectors{'' if plain else ', scaled'}{', runs' * bool(runs.loops)}",
        headers=HEADERS,
        preamble=[f"TVMTINY_MVE_CHOICE({name}, {listed}, {assembly.text(code)})"],
        overlaps=[Overlap("out", i, 0) for i in whole],
    )
    return Implementation(function, (node.input(0), node.input(1)), {"sketch": "mve_choice"})


def choice_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of an operator, without decisions."""
    if _operands(node) is None or _runs(node) is None:
        return ()
    return (Sketch("mve_choice"),)


def _runs(node: Node) -> Runs | None:
    runs = broadcast_runs(node.input(0).shape, node.input(1).shape, node.output.shape)
    return None if runs is None or (runs.loops and runs.count < _LEAST_RUN) else runs


def _operands(node: Node) -> tuple[_Operand, _Operand] | None:
    """Return the scaling of the operands; None if the kernels cannot do this."""
    pair = node.input(0), node.input(1)
    operator = find_operator(node.operator)
    if pair[0].dtype not in _BYTES or pair[1].dtype != pair[0].dtype:
        return None
    if not isinstance(operator, Comparison) or operator.compares_integers(node):
        return _PLAIN
    if pair[0].dtype != "int8":
        return None
    factors = [quantize_multiplier(tensor.scale) for tensor in pair]
    if any(shift > 0 or shift < -_MOST_SHIFT for _, shift in factors):
        return None
    left, right = (
        _Operand(-tensor.zero_point << _LEFT, *factor)
        for tensor, factor in zip(pair, factors, strict=True)
    )
    return left, right


def _code(relation: str, dtype: str, once: bool) -> Lines:
    """Inputs r0 and r1, outputs r2, count r3; whole vectors of inputs."""
    size = _BYTES[dtype]
    letter, bits = {1: "b", 2: "h", 4: "w"}[size], 8 * size
    start = []
    if once:
        load = "ldr" if size == 4 else f"ldrs{letter}"
        start = [f"{load} r12, [r1]", f"vdup.{bits} q1, r12"]
    body = [f"vldr{letter}.{bits} q0, [r0], #{VECTOR}"]
    body += [] if once else [f"vldr{letter}.{bits} q1, [r1], #{VECTOR}"]
    if relation in ("max", "min"):
        body += [f"v{relation}.s{bits} q0, q0, q1", f"vstr{letter}.{bits} q0, [r2], #{VECTOR}"]
    else:
        start += [f"vmov.i{bits} q2, #1", f"vmov.i{bits} q3, #0"]
        body += [f"vcmp.{_type(relation)}{bits} {relation}, q0, q1", "vpsel q0, q2, q3"]
        body += [f"vstrb.{bits} q0, [r2], #{VECTOR // size}"]
    return ["push {r4, lr}", *start, *_loop(bits, "r3", body), "pop {r4, pc}"]


def _scaled_code(relation: str, once: bool, first: _Operand, second: _Operand) -> Lines:
    """Like `_code`, with four int8 at a time as int32."""

    def operand(vector: str, zero: str, factor: str, shift: int) -> Lines:
        lines = [f"vshl.i32 {vector}, {vector}, #{_LEFT}", f"vadd.i32 {vector}, {vector}, {zero}"]
        return [*lines, *scaled(vector, factor, shift)]

    start = ["push {r4-r8, r10, r11, lr}", "mov r11, #1", "vmov.i32 q2, #1", "vmov.i32 q3, #0"]
    for register, side in (("r5", first), ("r7", second)):
        start += _constant(register, side.zero)
        start += _constant(f"r{int(register[1:]) + 1}", side.factor)
    if once:
        start += ["ldrsb r12, [r1]", "vdup.32 q1, r12", *operand("q1", "r7", "r8", second.shift)]
    body = ["vldrb.s32 q0, [r0], #4", *operand("q0", "r5", "r6", first.shift)]
    if not once:
        body += ["vldrb.s32 q1, [r1], #4", *operand("q1", "r7", "r8", second.shift)]
    body += [f"vcmp.{_type(relation)}32 {relation}, q0, q1", "vpsel q0, q2, q3"]
    body.append("vstrb.32 q0, [r2], #4")
    return [*start, *_loop(32, "r3", body), "pop {r4-r8, r10, r11, pc}"]


def _loop(bits: int, count: str, body: Lines) -> Lines:
    return [f"wlstp.{bits} lr, {count}, 2f", "1:", *body, "letp lr, 1b", "2:"]


def _type(relation: str) -> str:
    return "i" if relation in ("eq", "ne") else "s"


def _constant(register: str, value: int) -> Lines:
    """Set a register."""
    return [f"movw {register}, #{value & 0xFFFF}", f"movt {register}, #{value >> 16 & 0xFFFF}"]
