"""ADD, SUB and MUL with the kernels of ``tvmtiny_rvv_elementwise.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.add import exact_plane
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule import nest
from tvmtiny.schedule.assembly import Lines, text
from tvmtiny.schedule.families.rvv import packing
from tvmtiny.schedule.families.rvv.assembly import Group
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.product_scaling import VECTOR_GAIN, product_scaling
from tvmtiny.targets import Cpu

HEADERS = ("tvmtiny_rvv.h", "tvmtiny_rvv_elementwise.h")

SKETCH = "rvv_elements"

#: Elements per iteration.
_LANES = Group(8)


def implement_add(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement int8 ADD or SUB; return None if operands broadcast, or no integers are exact."""
    plane = exact_plane(node) if _alike(node) else None
    if plane is None or not 1 <= plane.shift <= 31:
        return None
    constants = np.array([*plane.factors, plane.offset], np.int32)
    code = ["vmul.vx v8, v8, t0", "vmacc.vx v8, t1, v16", "vadd.vx v8, v8, t2"]
    return _implementation(node, "ADD", plane.shift, None, constants, code)


def implement_mul(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement int8 MUL; return None if operands broadcast, or no constants are exact."""
    if not _alike(node):
        return None
    limits = activation_range(node)
    found = product_scaling(node, oracle, VECTOR_GAIN, packing.USABLE_SHIFTS, limits)
    scaling = packing.usable(found)
    if scaling is None:
        return None
    zeros = [-VECTOR_GAIN * node.input(0).zero_point, -node.input(1).zero_point]
    by_sign = [int(v[0]) for v in (scaling.step, scaling.offset) if v is not None]
    values = [*zeros, int(scaling.initial[0]), int(scaling.multiplier[0]), *by_sign]
    gain = VECTOR_GAIN.bit_length() - 1
    code = [f"vsll.vi v8, v8, {gain}", "vadd.vx v8, v8, t0", "vadd.vx v16, v16, t1"]
    code += ["vmul.vv v8, v8, v16", "vadd.vx v8, v8, t2", "vmulh.vx v8, v8, t4"]
    if scaling.signed:
        code += ["vsra.vi v16, v8, 31", "vand.vx v16, v16, t5", "vadd.vv v8, v8, v16"]
        code += ["vadd.vx v8, v8, t6"]
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    constants = np.array(values, np.int32)
    return _implementation(node, "MUL", scaling.shift, rounding, constants, code)


def elementwise_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the sketch of an ADD, SUB or MUL, which leaves nothing open."""
    return (Sketch(SKETCH),) if _alike(node) else ()


def _alike(node: Node) -> bool:
    same = all(node.input(i).shape == node.output.shape for i in range(2))
    return same and node.output.elements > 0


def _code(values: int, element: Lines, shift: int, limits: tuple[int, int]) -> Lines:
    """Return the kernel with inputs in a0 and a1, constants in a2, outputs in a3, count in a4."""
    registers = ("t0", "t1", "t2", "t4", "t5", "t6")[:values]
    code = ["csrwi vxrm, 2", *(f"lw {r}, {4 * i}(a2)" for i, r in enumerate(registers))]
    code += ["1:", _LANES.set(32, "t3", "a4"), "vle8.v v0, (a0)", "vle8.v v2, (a1)"]
    code += ["vsext.vf4 v8, v0", "vsext.vf4 v16, v2", *element]
    code += [*narrow(_LANES, "v8", shift, limits, "t3"), "vse8.v v8, (a3)"]
    code += [f"add {pointer}, {pointer}, t3" for pointer in ("a0", "a1", "a3")]
    return [*code, "sub a4, a4, t3", "bnez a4, 1b", "ret"]


def narrow(group: Group, v: str, shift: int, limits: tuple[int, int], count: str) -> Lines:
    """Shift lanes of 32 bits right and clamp them to bytes; a2 is scratch."""
    low, high = limits
    code = [group.set(16, count=count), f"vnclip.wi {v}, {v}, {shift}"]
    code += [group.set(8, count=count), f"vnclip.wi {v}, {v}, 0"]
    code += [f"li a2, {low}", f"vmax.vx {v}, {v}, a2"] if low > -128 else []
    return code + ([f"li a2, {high}", f"vmin.vx {v}, {v}, a2"] if high < 127 else [])


def _implementation(
    node: Node, macro: str, shift: int, rounding: str | None, values: np.ndarray, element: Lines
) -> Implementation:
    count, limits = node.output.elements, activation_range(node)
    words = [macro, *map(str, (shift, *limits)), *([rounding] if rounding else [])]
    kernel = f"rvv_{'_'.join(words)}".lower().replace("-", "m")
    x, y = nest.buffer("x", count, "int8"), nest.buffer("y", count, "int8")
    constants = nest.buffer("constants", values.size, "int32")
    out = nest.buffer("out", count, "int8")
    parameters = [x, y, constants, out]
    call = nest.call(kernel, *(nest.address(parameter) for parameter in parameters), count)
    code = text(_code(values.size, element, shift, limits))
    by_sign = ", rounding by sign" * (rounding == "SIGNED")
    function = nest.function(
        parameters,
        [],
        [call],
        operator=node.operator,
        schedule=f"rvv, elements, shift {shift}{by_sign}",
        headers=HEADERS,
        preamble=[f"TVMTINY_RVV_{macro}({kernel}, {', '.join(words[1:])}, {code})"],
        # Each vector is read before it is overwritten.
        overlaps=[Overlap("out", 0, 0), Overlap("out", 1, 0)],
    )
    turns = -(-count // _LANES.lanes)
    return Implementation(
        function, (node.input(0), node.input(1), values), {"sketch": SKETCH}, turns * 22
    )
