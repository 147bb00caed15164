"""Default rules for plain C: local accumulators, register tiles, staged rows, unrolled taps.

They serve every core; only the size of the register tile depends on it. Stages are found by the
names that `tvmtiny.ops` gives them: ``pad``, ``acc`` and ``out``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from tvm import IRModule, tirx
from tvm.s_tir import Schedule

from tvmtiny.targets import Cpu

#: Filters of up to this many taps are unrolled in depthwise kernels.
_UNROLLED_TAPS = 16

#: Accumulators of a tile that fit the registers beside the operands and pointers.
_ACCUMULATORS = {"thumb2": 8, "thumb": 2}

Rule = Callable[[Schedule, Cpu], str]


def schedule_scalar(function: tirx.PrimFunc, operator: str, cpu: Cpu) -> tuple[tirx.PrimFunc, str]:
    """Apply the default rule of `operator`.

    Parameters
    ----------
    function
        As `te.create_prim_func` made it.
    operator
        TFLite's name.

    Returns
    -------
    function, description
        The description names the decisions, for reports and comments.
    """
    schedule = Schedule(IRModule({"main": function}))
    description = _RULES.get(operator, _plain)(schedule, cpu)
    return schedule.mod["main"], f"scalar{description}"


def _plain(schedule: Schedule, cpu: Cpu) -> str:
    reduction = int(tirx.IterVar.CommReduce)
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        kinds = [v.iter_type for v in schedule.get(block).iter_vars]
        if reduction in kinds:
            # Left inside, the initial value would be set under a condition in the innermost loop.
            schedule.decompose_reduction(block, schedule.get_loops(block)[kinds.index(reduction)])
    return ""


def _convolution(schedule: Schedule, cpu: Cpu) -> str:
    out = schedule.get_sblock("out")
    batch, row, column, channel = schedule.get_loops(out)
    staged = _has(schedule, "pad")
    reads_one_pixel = not staged and _is_pointwise(schedule)
    columns = _extent(schedule, column)
    pixels = schedule.fuse(row, column) if reads_one_pixel else column
    tile = _tile(_extent(schedule, pixels), columns, _extent(schedule, channel), cpu)
    pixel_tiles, pixel = schedule.split(pixels, [None, tile[0]])
    channel_tiles, lane = schedule.split(channel, [None, tile[1]])
    outer = [batch] if reads_one_pixel else [batch, row]
    schedule.reorder(*outer, pixel_tiles, channel_tiles, pixel, lane)
    _accumulate_locally(schedule, channel_tiles, tile_loops=2)
    if staged:
        schedule.compute_at(schedule.get_sblock("pad"), row)
    return f", tile {tile[0]}x{tile[1]}{', staged rows' if staged else ''}"


def _depthwise(schedule: Schedule, cpu: Cpu) -> str:
    out = schedule.get_sblock("out")
    _, row, _, channel = schedule.get_loops(out)
    staged = _has(schedule, "pad")
    lanes = _divisor(_extent(schedule, channel), 4 if "thumb2" in cpu.features else 1)
    channel_tiles, _ = schedule.split(channel, [None, lanes])
    _accumulate_locally(schedule, channel_tiles, tile_loops=1)
    if staged:
        schedule.compute_at(schedule.get_sblock("pad"), row)
    update = schedule.get_sblock("acc_update")
    taps = schedule.get_loops(update)[-3:-1]
    unrolled = _extent(schedule, taps[0]) * _extent(schedule, taps[1]) <= _UNROLLED_TAPS
    if unrolled:
        for loop in taps:
            schedule.unroll(loop)
    return (
        f", {lanes} lanes{', unrolled taps' if unrolled else ''}{', staged rows' if staged else ''}"
    )


def _fully_connected(schedule: Schedule, cpu: Cpu) -> str:
    out = schedule.get_sblock("out")
    channel = schedule.get_loops(out)[-1]
    lanes = _divisor(_extent(schedule, channel), 4 if "thumb2" in cpu.features else 2)
    channel_tiles, _ = schedule.split(channel, [None, lanes])
    _accumulate_locally(schedule, channel_tiles, tile_loops=1)
    return f", {lanes} lanes"


def _pool(schedule: Schedule, cpu: Cpu) -> str:
    channel = schedule.get_loops(schedule.get_sblock("out"))[-1]
    lanes = _divisor(_extent(schedule, channel), 4 if "thumb2" in cpu.features else 1)
    channel_tiles, _ = schedule.split(channel, [None, lanes])
    staged = _has(schedule, "pad")
    _accumulate_locally(schedule, channel_tiles, tile_loops=1)
    if staged:
        schedule.compute_inline(schedule.get_sblock("pad"))
    return f", {lanes} lanes"


def _elementwise(schedule: Schedule, cpu: Cpu) -> str:
    function = schedule.mod["main"]
    shapes = {tuple(int(d) for d in buffer.shape) for buffer in function.params}
    if len(shapes) > 1 or any(str(buffer.dtype) != "int8" for buffer in function.params):
        return _plain(schedule, cpu)
    loop = schedule.fuse(*schedule.get_loops(schedule.get_sblock("out")))
    lanes = _divisor(_extent(schedule, loop), 4 if "thumb2" in cpu.features else 2)
    _, lane = schedule.split(loop, [None, lanes])
    schedule.unroll(lane)
    return f", {lanes} lanes"


_RULES: dict[str, Rule] = {
    "ADD": _elementwise,
    "AVERAGE_POOL_2D": _pool,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _pool,
    "QUANTIZE": _elementwise,
}


def _accumulate_locally(schedule: Schedule, tile: object, tile_loops: int) -> None:
    """Compute ``acc`` per register tile, reduction outside, tile unrolled inside.

    Parameters
    ----------
    tile
        The loop of ``out`` around one tile.
    tile_loops
        How many innermost loops of ``out`` make up the tile.
    """
    acc, out = schedule.get_sblock("acc"), schedule.get_sblock("out")
    schedule.compute_at(acc, tile, preserve_unit_loops=True)
    depth = len(schedule.get_loops(out)) - tile_loops
    own = schedule.get_loops(acc)[depth:]
    reduction = int(tirx.IterVar.CommReduce)
    spatial = sum(v.iter_type != reduction for v in schedule.get(acc).iter_vars)
    schedule.reorder(*own[spatial:], *own[:spatial])
    schedule.decompose_reduction(acc, own[spatial])
    for name, count in (("acc_init", spatial), ("acc_update", spatial), ("out", tile_loops)):
        for loop in schedule.get_loops(schedule.get_sblock(name))[-count:]:
            schedule.unroll(loop)


def _tile(pixels: int, columns: int, channels: int, cpu: Cpu) -> tuple[int, int]:
    """The tile with the fewest loads per product among those that divide both extents.

    A tile of ``p`` pixels and ``c`` channels loads ``p + c`` operands for ``p * c`` products. It
    is part of a row of `columns` pixels, or whole rows: TVM cannot place a stage at a tile that
    starts and ends within rows.
    """
    limit = _ACCUMULATORS["thumb2" if "thumb2" in cpu.features else "thumb"]
    candidates = [
        (p, c)
        for p, c in product(range(1, limit + 1), repeat=2)
        if p * c <= limit
        and pixels % p == 0
        and channels % c == 0
        and (p % columns == 0 or columns % p == 0)
    ]
    return min(candidates, key=lambda t: ((t[0] + t[1]) / (t[0] * t[1]), t[0]))


def _divisor(extent: int, limit: int) -> int:
    return max(d for d in range(1, limit + 1) if extent % d == 0)


def _extent(schedule: Schedule, loop: object) -> int:
    return int(schedule.get(loop).extent)


def _has(schedule: Schedule, name: str) -> bool:
    return any(
        schedule.get(child).name_hint == name
        for child in schedule.get_child_blocks(schedule.get_sblock("root"))
    )


def _is_pointwise(schedule: Schedule) -> bool:
    """Whether the filter has one tap and input and output have the same rows and columns."""
    function = schedule.mod["main"]
    x, w, result = function.params[0], function.params[1], function.params[-1]
    same = all(int(a) == int(b) for a, b in zip(x.shape[:3], result.shape[:3], strict=True))
    return same and int(w.shape[1]) == int(w.shape[2]) == 1
