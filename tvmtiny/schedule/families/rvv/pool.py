"""AVERAGE_POOL_2D and MAX_POOL_2D with the kernels of ``tvmtiny_rvv_elementwise.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.average_pool_2d import exact_mean
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule.assembly import Lines, text
from tvmtiny.schedule.families.rvv.assembly import Group, add, move
from tvmtiny.schedule.families.rvv.elementwise import HEADERS, narrow
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.pool_windows import (
    PoolWindows,
    average_scales,
    pool_function,
    pool_windows,
)
from tvmtiny.targets import Cpu

SKETCH = "rvv_pool"

#: Precise enough for all numbers of taps, which therefore share a kernel.
_SHIFT = 23

#: With fewer channels the kernel does not pay off.
_LEAST_CHANNELS = 4

_LANES = Group(8)


def implement_average_pool(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement int8 AVERAGE_POOL_2D; return None for large windows or few channels."""
    windows, limits = pool_windows(node), activation_range(node)
    scales = average_scales(
        windows, _SHIFT, lambda count: exact_mean(node, count, largest_shift=_SHIFT)
    )
    if scales is None or windows.channels < _LEAST_CHANNELS:
        return None
    sizes = (windows.channels, windows.row_bytes, _SHIFT, *limits)
    code = _average_code(windows, limits)
    return _implementation(node, windows, "AVERAGE_POOL", sizes, scales, code)


def implement_max_pool(
    node: Node, cpu: Cpu, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement int8 MAX_POOL_2D; return None for few channels."""
    windows, limits = pool_windows(node), activation_range(node)
    if windows.channels < _LEAST_CHANNELS:
        return None
    sizes = (windows.channels, windows.row_bytes, *limits)
    return _implementation(node, windows, "MAX_POOL", sizes, None, _max_code(windows, limits))


def pool_sketches(node: Node, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the sketch of a pool, which leaves nothing open."""
    return (Sketch(SKETCH),) if node.input(0).shape[3] >= _LEAST_CHANNELS else ()


def _taps(windows: PoolWindows, rows: str, columns: str, tap: Lines) -> Lines:
    """Loop over the pixels of a window at a0; v8 is each pixel in turn, t4 the channels."""
    code = ["mv t1, a0", f"mv t2, {rows}", "2:", "mv t3, t1", f"mv t5, {columns}", "3:"]
    code += ["vle8.v v8, (t3)", *tap, "add t3, t3, t4", "addi t5, t5, -1", "bnez t5, 3b"]
    return [*code, *add("t1", windows.row_bytes, "t3"), "addi t2, t2, -1", "bnez t2, 2b"]


def _average_code(windows: PoolWindows, limits: tuple[int, int]) -> Lines:
    """Return the kernel: inputs in a0, scale in a1, outputs in a2, rows in a3, columns in a4."""
    lanes = _LANES
    code = ["csrwi vxrm, 2", *move("t4", windows.channels), "mv a5, t4", "mv a6, a2", "1:"]
    code += [lanes.set(16, "t0", "a5"), "vmv.v.i v0, 0", lanes.set(8)]
    code += _taps(windows, "a3", "a4", ["vwadd.wv v0, v0, v8"])
    code += [lanes.set(32), "vsext.vf2 v16, v0", "lw t1, 0(a1)", "lw t2, 4(a1)"]
    code += ["vmul.vx v16, v16, t1", "vadd.vx v16, v16, t2"]
    code += [*narrow(lanes, "v16", _SHIFT, limits, "t0"), "vse8.v v16, (a6)"]
    code += ["add a0, a0, t0", "add a6, a6, t0", "sub a5, a5, t0", "bnez a5, 1b", "ret"]
    return code


def _max_code(windows: PoolWindows, limits: tuple[int, int]) -> Lines:
    """Return the kernel with inputs in a0, outputs in a1, rows in a2 and columns in a3."""
    low, high = limits
    code = [*move("t4", windows.channels), "mv a5, t4", "1:"]
    code += ["vsetvli t0, a5, e8, m8, ta, ma", *move("t1", low), "vmv.v.x v0, t1"]
    code += _taps(windows, "a2", "a3", ["vmax.vv v0, v0, v8"])
    code += [*move("t1", high), "vmin.vx v0, v0, t1"] if high < 127 else []
    code += ["vse8.v v0, (a1)", "add a0, a0, t0", "add a1, a1, t0", "sub a5, a5, t0"]
    return [*code, "bnez a5, 1b", "ret"]


def _implementation(
    node: Node,
    windows: PoolWindows,
    macro: str,
    sizes: tuple[int, ...],
    scales: np.ndarray | None,
    code: Lines,
) -> Implementation:
    kernel = f"rvv_{macro.lower()}_{'_'.join(map(str, sizes))}".replace("-", "m")
    arguments = ", ".join(map(str, sizes))
    function = pool_function(
        windows,
        (kernel,),
        None if scales is None else len(scales),
        node.operator,
        f"rvv, vectors of channels{'' if windows.constant else ', clipped'}",
        HEADERS,
        [f"TVMTINY_RVV_{macro}({kernel}, {arguments}, {text(code)})"],
    )
    constants = () if scales is None else (scales.ravel(),)
    decided: Decisions = {"sketch": SKETCH}
    return Implementation(function, (node.input(0), *constants), decided)
