"""ADD, SUB and MUL around the kernels of ``tvmtiny_mve_elementwise.h``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.add import exact_plane
from tvmtiny.ops.mul import product_multiplier
from tvmtiny.ops.shared.affine import product_image
from tvmtiny.ops.shared.quantization import activation_range, requantize
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.mve import assembly, packing
from tvmtiny.schedule.families.mve.assembly import MOST_SHIFT, Lines, vqshrn
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.requantize import Scaling, solve

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_elementwise.h")

#: Vectors of four elements that a turn of the loop computes.
_VECTORS = (4, 1, 2)

#: What products are multiplied by, so that their multiplier keeps enough bits.
_GAIN = 256


def implement_add(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """ADD or SUB in int8; None where operands broadcast, or no exact integers are found."""
    if not _alike(node):
        return None
    plane = exact_plane(node, 1, product_image, 0, MOST_SHIFT) or exact_plane(node)
    if plane is None or plane.shift < 1:
        return None
    low, high = activation_range(node)
    vectors = int(decisions["vectors"]) if decisions else _VECTORS[0]

    def element(a: str, b: str, narrow: Lines) -> Lines:
        beyond = plane.shift - MOST_SHIFT
        more = [f"vshr.s32 {a}, {a}, #{beyond}"] if beyond > 0 else []
        return [f"vmlas.s32 {a}, q6, r7", f"vmla.s32 {a}, {b}, r6", *more, *narrow]

    start = ["ldm r2, {r5, r6, r7}", "vdup.32 q6, r5"]
    shift = min(plane.shift, MOST_SHIFT)
    constants = np.array([*plane.factors, plane.offset], np.int32)
    code = _code(start, element, shift, (low, high), vectors)
    arguments = (plane.shift, low, high)
    return _implementation(node, "ADD", arguments, "", constants, code, vectors)


def implement_mul(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """MUL in int8; None where operands broadcast, or no exact constants are found."""
    if not _alike(node):
        return None
    scaling = _product_scaling(node, oracle)
    if scaling is None:
        return None
    low, high = activation_range(node)
    vectors = int(decisions["vectors"]) if decisions else _VECTORS[0]
    by_sign = [2 * int(v[0]) for v in (scaling.offset, scaling.step) if v is not None]

    def element(a: str, b: str, narrow: Lines) -> Lines:
        lines = [f"vmlas.s32 {a}, q6, r5", f"vadd.i32 {b}, {b}, r6", f"vmlas.s32 {a}, {b}, r7"]
        lines += [f"vqdmulh.s32 {a}, {a}, r8"]
        if scaling.signed:
            lines += [f"vpt.s32 lt, {a}, zr", f"vaddt.i32 {a}, {a}, r10"]
            lines += [f"vadd.i32 {a}, {a}, r9"]
        return [*lines, *narrow]

    start = [f"mov r9, #{_GAIN}", "vdup.32 q6, r9"]
    start += [f"ldm r2, {{r5, r6, r7, r8{', r9, r10' * scaling.signed}}}"]
    zeros = [-_GAIN * node.input(0).zero_point, -node.input(1).zero_point]
    values = [*zeros, int(scaling.initial[0]), int(scaling.multiplier[0]), *by_sign]
    constants = np.array(values, np.int32)
    code = _code(start, element, scaling.shift + 1, (low, high), vectors)
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    arguments = (scaling.shift, low, high)
    return _implementation(node, "MUL", arguments, rounding, constants, code, vectors)


def elementwise_sketches(node: Node) -> tuple[Sketch, ...]:
    """One way to compute an ADD, SUB or MUL, with the vectors of a turn of the loop open."""
    return (Sketch("mve_vectors", (Decision("vectors", _VECTORS),)),) if _alike(node) else ()


def _alike(node: Node) -> bool:
    same = all(node.input(i).shape == node.output.shape for i in range(2))
    return same and node.output.elements > 0


@per_node
def _product_scaling(node: Node, oracle: Oracle) -> Scaling | None:
    """Constants for products of both operands without their zero points."""
    low, high = activation_range(node)
    if node.output.scale <= 0:
        return None
    wide = [np.array([-128, 127], np.int64) - node.input(i).zero_point for i in range(2)]
    corners = np.outer(*wide)
    multiplier = product_multiplier(node, oracle)

    def reference(products: np.ndarray) -> np.ndarray:
        return np.clip(requantize(products, *multiplier) + node.output.zero_point, low, high)

    scale = node.input(0).scale * node.input(1).scale / node.output.scale
    bounds = np.array([corners.min()]), np.array([corners.max()])
    shifts = tuple(shift for shift in packing.SHIFTS if shift < MOST_SHIFT)
    found = solve(reference, np.array([scale]), bounds, np.zeros(1, np.int64), shifts=shifts)
    return packing.usable(found, MOST_SHIFT - 1)


def _code(
    start: Lines,
    element: Callable[[str, str, Lines], Lines],
    shift: int,
    limits: tuple[int, int],
    vectors: int,
) -> Lines:
    """Inputs r0 and r1, constants r2, outputs r3, count on the stack."""
    low, high = limits
    clamps = []
    if low > -128:
        start = [*start, _constant("r12", low), "vdup.16 q7, r12"]
        clamps.append("vmax.s16 {0}, {0}, q7")
    if high < 127:
        start = [*start, _constant("r12", high), "vdup.16 q5, r12"]
        clamps.append("vmin.s16 {0}, {0}, q5")

    def vector(number: int) -> Lines:
        a, b = f"q{number}", "q4"
        narrow = [vqshrn(number, number, shift), *(clamp.format(a) for clamp in clamps)]
        loads = [f"vldrb.s32 {a}, [r0], #4", f"vldrb.s32 {b}, [r1], #4"]
        return [*loads, *element(a, b, narrow), f"vqmovnb.s16 {a}, {a}", f"vstrb.32 {a}, [r3], #4"]

    size = 4 * vectors
    code = ["push {r4-r11, lr}", "vpush {d8-d15}", "ldr r4, [sp, #100]", *start]
    if vectors > 1:
        code += [f"lsr r12, r4, #{size.bit_length() - 1}", "wls lr, r12, 2f", "1:"]
        code += [line for number in range(vectors) for line in vector(number)]
        code += ["le lr, 1b", "2:", f"and r4, r4, #{size - 1}"]
    code += ["wlstp.32 lr, r4, 4f", "3:", *vector(0), "letp lr, 3b", "4:"]
    return [*code, "vpop {d8-d15}", "pop {r4-r11, pc}"]


def _constant(register: str, value: int) -> str:
    """Set a register to an int8."""
    return f"mvn {register}, #{-value - 1}" if value < 0 else f"mov {register}, #{value}"


def _implementation(
    node: Node,
    macro: str,
    arguments: tuple[int, int, int],
    rounding: str,
    values: np.ndarray,
    code: Lines,
    vectors: int,
) -> Implementation:
    count = node.output.elements
    words = [macro, *map(str, arguments), str(vectors), *([rounding] if rounding else [])]
    kernel = f"mve_{'_'.join(words)}".lower().replace("-", "m")
    listed = ", ".join([*map(str, arguments), *([rounding] if rounding else [])])
    x, y = nest.buffer("x", count, "int8"), nest.buffer("y", count, "int8")
    constants = nest.buffer("constants", values.size, "int32")
    out = nest.buffer("out", count, "int8")
    parameters = [x, y, constants, out]
    call = nest.call(kernel, *(nest.address(parameter) for parameter in parameters), count)
    function = nest.function(
        parameters,
        [],
        [call],
        operator=node.operator,
        schedule=f"mve, {vectors} vectors, shift {arguments[0]}"
        + (", rounding by sign" if rounding == "SIGNED" else ""),
        headers=HEADERS,
        preamble=[f"TVMTINY_MVE_{macro}({kernel}, {listed}, {assembly.text(code)})"],
        # Vector by vector: what is written has been read.
        overlaps=[Overlap("out", 0, 0), Overlap("out", 1, 0)],
    )
    decided: Decisions = {"sketch": "mve_vectors", "vectors": vectors}
    return Implementation(function, (node.input(0), node.input(1), values), decided)
