"""Default rules for plain C: local accumulators, register tiles, staged rows, unrolled taps.

The rules serve all cores; only the size of the register tile depends on the number of registers. A
tuner may override them. Stages are found by the names that `tvmtiny.ops` gives them: ``pad``,
``acc`` and ``out``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from tvm import tirx
from tvm.s_tir import Schedule

from tvmtiny.schedule.families.scalar.stages import read_in_step, reduces, stages_of
from tvmtiny.schedule.families.scalar.unchecked import open_schedule
from tvmtiny.schedule.implementation import OVERLAPS_ATTR, Decision, Decisions, Sketch
from tvmtiny.schedule.overlap import Overlap, overlaps_attribute
from tvmtiny.targets import Cpu

#: Filters of up to this many taps are unrolled in depthwise kernels.
_UNROLLED_TAPS = 16

#: Windows of up to this many taps are unrolled in pools.
_UNROLLED_WINDOW = 4

#: Registers of the innermost loop without sums: two operands, two pointers, a counter.
_OTHER_REGISTERS = 5

#: Most lanes by default; more of them save little.
_USUAL_LANES = 4

#: The decision for this family.
_SKETCH: Decisions = {"sketch": "scalar"}

#: Alternatives for a tuner: lanes, and products per iteration of the innermost loop.
_LANES = (1, 2, 4, 8)
_UNROLLS = (1, 2, 4, 8)


@dataclass(frozen=True)
class _Rule:
    """The scheduling of a kind of operator.

    Attributes
    ----------
    open
        Returns the open decisions for a function, and the default.
    apply
        Schedules a function by decisions, and describes the schedule.
    """

    open: Callable[[Schedule, Cpu], tuple[tuple[Decision, ...], Decisions]]
    apply: Callable[[Schedule, Decisions], str]


def schedule_scalar(
    function: tirx.PrimFunc, operator: str, cpu: Cpu, decisions: Decisions | None = None
) -> tuple[tirx.PrimFunc, str, Decisions]:
    """Schedule a function.

    Parameters
    ----------
    function
        A function from `te.create_prim_func`.
    operator
        TFLite's name.
    cpu
        The CPU.
    decisions
        A candidate of `scalar_space`; by default the rule's own choice.

    Returns
    -------
    function, description, decisions
        The description names the decisions, for reports and comments. The decisions are those
        that were made.
    """
    stages = stages_of(function)
    overlaps = [Overlap("out", position, 0) for position in read_in_step(function, stages)]
    rule = _rule(function, operator)
    accumulates = operator in _REDUCTIONS and any(stage.name_hint == "acc" for stage in stages)
    chosen: Decisions = {}
    description, made = "", function
    if rule is not None or accumulates or any(reduces(stage) for stage in stages):
        schedule = open_schedule(function)
        if rule is not None:
            chosen = rule.open(schedule, cpu)[1] if decisions is None else decisions
            description = rule.apply(schedule, chosen)
        elif accumulates:
            _reduction(schedule)
        else:
            _plain(schedule)
        made = schedule.mod["main"]
    if overlaps:
        made = made.with_attr(OVERLAPS_ATTR, overlaps_attribute(overlaps))
    return made, f"scalar{description}", {**_SKETCH, **chosen}


def _rule(function: tirx.PrimFunc, operator: str) -> _Rule | None:
    if _is_table(function):
        return _TABLE
    rule = _RULES.get(operator)
    return None if rule is _ELEMENTWISE and not _is_flat(function) else rule


def scalar_space(function: tirx.PrimFunc, operator: str, cpu: Cpu) -> tuple[Sketch, ...]:
    """Return the open decisions for `function`; no sketch if there is nothing to decide."""
    rule = _rule(function, operator)
    if rule is None:
        return ()
    return (Sketch("scalar", rule.open(open_schedule(function), cpu)[0]),)


def _plain(schedule: Schedule) -> None:
    reduction = int(tirx.IterVar.CommReduce)
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        kinds = [v.iter_type for v in schedule.get(block).iter_vars]
        if reduction in kinds:
            # Otherwise the innermost loop would set the initial value under a condition.
            schedule.decompose_reduction(block, schedule.get_loops(block)[kinds.index(reduction)])


def _reduction(schedule: Schedule) -> None:
    """Compute elements of the output one by one, so that accumulators need no memory."""
    acc, out = schedule.get_sblock("acc"), schedule.get_sblock("out")
    reduction = int(tirx.IterVar.CommReduce)
    kinds = [v.iter_type for v in schedule.get(acc).iter_vars]
    schedule.compute_at(acc, schedule.get_loops(out)[-1], preserve_unit_loops=True)
    if reduction in kinds:
        schedule.decompose_reduction(acc, schedule.get_loops(acc)[-kinds.count(reduction)])


def _open_convolution(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    _, row, column, channel = schedule.get_loops(schedule.get_sblock("out"))
    columns, channels = _extent(schedule, column), _extent(schedule, channel)
    pixels = columns * (_extent(schedule, row) if _reads_one_pixel(schedule) else 1)
    tiles = _tiles(pixels, columns, channels, 2 * _accumulators(cpu))
    few = _tiles(pixels, columns, channels, _accumulators(cpu))
    best = min(few, key=lambda t: ((t[0] + t[1]) / (t[0] * t[1]), t[0]))
    depth = _extent(schedule, schedule.get_loops(schedule.get_sblock("acc"))[-1])
    return (
        Decision("tile", tuple(f"{p}x{c}" for p, c in tiles)),
        Decision("order", ("pixels", "channels")),
        Decision("unroll", _divisors(depth, _UNROLLS)),
    ), {"tile": f"{best[0]}x{best[1]}", "order": "pixels", "unroll": 1}


def _convolution(schedule: Schedule, decisions: Decisions) -> str:
    out = schedule.get_sblock("out")
    batch, row, column, channel = schedule.get_loops(out)
    staged = _has(schedule, "pad")
    reads_one_pixel = _reads_one_pixel(schedule)
    pixels = schedule.fuse(row, column) if reads_one_pixel else column
    tile = [int(extent) for extent in str(decisions["tile"]).split("x")]
    pixel_tiles, pixel = schedule.split(pixels, [None, tile[0]])
    channel_tiles, lane = schedule.split(channel, [None, tile[1]])
    outer = [batch] if reads_one_pixel else [batch, row]
    tiles = [pixel_tiles, channel_tiles]
    if decisions["order"] == "channels":
        tiles.reverse()
    schedule.reorder(*outer, *tiles, pixel, lane)
    _accumulate_locally(schedule, tiles[-1], tile_loops=2, unroll=int(decisions["unroll"]))
    if staged:
        schedule.compute_at(schedule.get_sblock("pad"), row)
    order = ", channel tiles outside" if decisions["order"] == "channels" else ""
    rows = ", staged rows" if staged else ""
    return f", tile {tile[0]}x{tile[1]}{order}{_unrolled(decisions)}{rows}"


def _open_product(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    row, column = schedule.get_loops(schedule.get_sblock("out"))[-2:]
    rows, columns = _extent(schedule, row), _extent(schedule, column)
    acc = schedule.get_sblock("acc")
    wide = str(schedule.get(acc).writes[0].source.dtype).endswith("64")
    most = _accumulators(cpu) // (2 if wide else 1)
    best = min(
        _tiles(rows, rows, columns, most), key=lambda t: ((t[0] + t[1]) / (t[0] * t[1]), t[0])
    )
    return (
        Decision("tile", tuple(f"{r}x{c}" for r, c in _tiles(rows, rows, columns, 2 * most))),
        Decision("unroll", _divisors(_extent(schedule, schedule.get_loops(acc)[-1]), _UNROLLS)),
    ), {"tile": f"{best[0]}x{best[1]}", "unroll": 1}


def _product(schedule: Schedule, decisions: Decisions) -> str:
    *_, row, column = schedule.get_loops(schedule.get_sblock("out"))
    tile = [int(extent) for extent in str(decisions["tile"]).split("x")]
    row_tiles, lane = schedule.split(row, [None, tile[0]])
    column_tiles, other = schedule.split(column, [None, tile[1]])
    schedule.reorder(row_tiles, column_tiles, lane, other)
    _accumulate_locally(schedule, column_tiles, tile_loops=2, unroll=int(decisions["unroll"]))
    return f", tile {tile[0]}x{tile[1]}{_unrolled(decisions)}"


def _open_depthwise(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    channels = _extent(schedule, schedule.get_loops(schedule.get_sblock("out"))[-1])
    taps = schedule.get_loops(schedule.get_sblock("acc"))[-2:]
    few = _extent(schedule, taps[0]) * _extent(schedule, taps[1]) <= _UNROLLED_TAPS
    lanes = _divisor(channels, _windows(cpu))
    return (
        Decision("lanes", tuple(sorted({*_divisors(channels, _LANES), lanes}))),
        Decision("taps", ("loop", "unrolled") if few else ("loop",)),
    ), {"lanes": lanes, "taps": "unrolled" if few else "loop"}


def _depthwise(schedule: Schedule, decisions: Decisions) -> str:
    out = schedule.get_sblock("out")
    _, row, _, channel = schedule.get_loops(out)
    staged = _has(schedule, "pad")
    lanes = int(decisions["lanes"])
    channel_tiles, _ = schedule.split(channel, [None, lanes])
    _accumulate_locally(schedule, channel_tiles, tile_loops=1)
    if staged:
        schedule.compute_at(schedule.get_sblock("pad"), row)
    unrolled = decisions["taps"] == "unrolled"
    if unrolled:
        for loop in schedule.get_loops(schedule.get_sblock("acc_update"))[-3:-1]:
            schedule.unroll(loop)
    return (
        f", {lanes} lanes{', unrolled taps' if unrolled else ''}{', staged rows' if staged else ''}"
    )


def _open_fully_connected(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    channels = _extent(schedule, schedule.get_loops(schedule.get_sblock("out"))[-1])
    depth = _extent(schedule, schedule.get_loops(schedule.get_sblock("acc"))[-1])
    lanes = _divisor(channels, min(_accumulators(cpu), _USUAL_LANES))
    return (
        Decision("lanes", tuple(sorted({*_divisors(channels, _LANES), lanes}))),
        Decision("unroll", _divisors(depth, _UNROLLS)),
    ), {"lanes": lanes, "unroll": 1}


def _fully_connected(schedule: Schedule, decisions: Decisions) -> str:
    channel = schedule.get_loops(schedule.get_sblock("out"))[-1]
    channel_tiles, _ = schedule.split(channel, [None, int(decisions["lanes"])])
    _accumulate_locally(schedule, channel_tiles, tile_loops=1, unroll=int(decisions["unroll"]))
    return f", {decisions['lanes']} lanes{_unrolled(decisions)}"


def _open_filters(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    filters = _extent(schedule, schedule.get_loops(schedule.get_sblock("out"))[1])
    return _lanes(filters, _divisor(filters, min(_accumulators(cpu), _USUAL_LANES)))


def _filters(schedule: Schedule, decisions: Decisions) -> str:
    """Compute filters of an SVDF side by side, each with all elements of its memory."""
    _, filters, *memory = schedule.get_loops(schedule.get_sblock("out"))
    # The elements of the memory move in their order, so that it can be overwritten.
    tiles, _ = schedule.split(filters, [None, int(decisions["lanes"])])
    _accumulate_locally(schedule, tiles, tile_loops=1 + len(memory), unrolled=1)
    return f", {decisions['lanes']} lanes"


def _open_pool(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    channels = _extent(schedule, schedule.get_loops(schedule.get_sblock("out"))[-1])
    taps = schedule.get_loops(schedule.get_sblock("acc"))[-2:]
    few = _extent(schedule, taps[0]) * _extent(schedule, taps[1]) <= _UNROLLED_WINDOW
    if few and not _has(schedule, "pad"):
        return (
            Decision("lanes", _divisors(channels, _LANES)),
            Decision("taps", ("loop", "unrolled")),
        ), {"lanes": 1, "taps": "unrolled"}
    return _lanes(channels, _divisor(channels, _windows(cpu)))


def _pool(schedule: Schedule, decisions: Decisions) -> str:
    channel = schedule.get_loops(schedule.get_sblock("out"))[-1]
    channel_tiles, _ = schedule.split(channel, [None, int(decisions["lanes"])])
    staged = _has(schedule, "pad")
    _accumulate_locally(schedule, channel_tiles, tile_loops=1)
    if staged:
        schedule.compute_inline(schedule.get_sblock("pad"))
    unrolled = decisions.get("taps") == "unrolled"
    if unrolled:
        update = schedule.get_sblock("acc_update")
        kinds = [v.iter_type for v in schedule.get(update).iter_vars]
        spatial = len(kinds) - kinds.count(int(tirx.IterVar.CommReduce))
        for loop in schedule.get_loops(update)[-len(kinds) : -spatial]:
            schedule.unroll(loop)
    return f", {decisions['lanes']} lanes{', unrolled taps' if unrolled else ''}"


def _open_elementwise(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    loops = schedule.get_loops(schedule.get_sblock("out"))
    count = prod(_extent(schedule, loop) for loop in loops)
    return _lanes(count, _divisor(count, min(_accumulators(cpu), _USUAL_LANES)))


def _open_table(schedule: Schedule, cpu: Cpu) -> tuple[tuple[Decision, ...], Decisions]:
    loops = schedule.get_loops(schedule.get_sblock("out"))
    count = prod(_extent(schedule, loop) for loop in loops)
    most = min(_accumulators(cpu), _USUAL_LANES)
    lanes = _divisor(count, most)
    # A remainder costs code, so lanes that divide the count are preferred if nearly as many.
    return _lanes(count, most if 2 * lanes <= most < count else lanes)


def _elementwise(schedule: Schedule, decisions: Decisions) -> str:
    loop, lanes = _flat_loop(schedule), int(decisions["lanes"])
    count = _extent(schedule, loop)
    rest = count % lanes
    if rest:
        loop, last = schedule.loop_partition(loop, [count - rest, None])
        schedule.unroll(last)
    _, lane = schedule.split(loop, [None, lanes])
    schedule.unroll(lane)
    return f", {lanes} lanes{' and rest' if rest else ''}"


def _flat_loop(schedule: Schedule) -> object:
    """Fuse the loops over all elements, and flatten the tensors.

    If lanes do not divide the last extents, indices by axis would leave divisions in the loop.
    """
    out = schedule.get_sblock("out")
    block = schedule.get(out)
    (written,) = block.writes
    shape = [int(extent) for extent in written.source.shape]
    if len(shape) > 1:
        flat = tirx.IndexMap.from_func(
            lambda *indices: [sum(i * prod(shape[axis + 1 :]) for axis, i in enumerate(indices))],
            ndim=len(shape),
        )
        for position, read in enumerate(block.reads):
            if [int(extent) for extent in read.source.shape] == shape:
                schedule.transform_layout(
                    out, ("read", position), flat, assume_injective_transform=True
                )
        schedule.transform_layout(out, ("write", 0), flat, assume_injective_transform=True)
        schedule.transform_block_layout(out, flat)
    return schedule.fuse(*schedule.get_loops(out))


def _is_flat(function: tirx.PrimFunc) -> bool:
    """Return whether all parameters are int8 and have the same shape."""
    shapes = {tuple(int(d) for d in buffer.shape) for buffer in function.params}
    return len(shapes) == 1 and all(str(buffer.dtype) == "int8" for buffer in function.params)


def _is_table(function: tirx.PrimFunc) -> bool:
    """Return whether each byte of the output is looked up by the input's byte at that place."""
    if len(function.params) != 3 or any(str(b.dtype) != "int8" for b in function.params):
        return False
    x, table, out = (tuple(int(d) for d in buffer.shape) for buffer in function.params)
    return x == out and table == (256,)


def _lanes(extent: int, lanes: int) -> tuple[tuple[Decision, ...], Decisions]:
    return (Decision("lanes", tuple(sorted({*_divisors(extent, _LANES), lanes}))),), {
        "lanes": lanes
    }


def _unrolled(decisions: Decisions) -> str:
    return f", unroll {decisions['unroll']}" if decisions["unroll"] != 1 else ""


#: Operators that `_reduction` schedules.
_REDUCTIONS = ("ARG_MAX", "ARG_MIN", "SUM")

_ELEMENTWISE = _Rule(_open_elementwise, _elementwise)
_TABLE = _Rule(_open_table, _elementwise)
_RULES: dict[str, _Rule] = {
    "ADD": _ELEMENTWISE,
    "AVERAGE_POOL_2D": _Rule(_open_pool, _pool),
    "BATCH_MATMUL": _Rule(_open_product, _product),
    "CONV_2D": _Rule(_open_convolution, _convolution),
    "DEPTHWISE_CONV_2D": _Rule(_open_depthwise, _depthwise),
    "FULLY_CONNECTED": _Rule(_open_fully_connected, _fully_connected),
    "L2_POOL_2D": _Rule(_open_pool, _pool),
    "MAX_POOL_2D": _Rule(_open_pool, _pool),
    "MUL": _ELEMENTWISE,
    "QUANTIZE": _ELEMENTWISE,
    "SUB": _ELEMENTWISE,
    "SVDF": _Rule(_open_filters, _filters),
    "TRANSPOSE_CONV": _Rule(_open_fully_connected, _fully_connected),
}


def _accumulate_locally(
    schedule: Schedule, tile: object, tile_loops: int, unroll: int = 1, unrolled: int | None = None
) -> None:
    """Compute ``acc`` per register tile, with the reduction outside and the tile unrolled inside.

    Parameters
    ----------
    tile
        The loop of ``out`` around one tile.
    tile_loops
        Number of innermost loops of ``out`` that make up the tile.
    unroll
        Turns of the innermost loop of the reduction that are unrolled.
    unrolled
        Number of loops of the tile that are unrolled in ``out``, from outside; all by default.
    """
    acc, out = schedule.get_sblock("acc"), schedule.get_sblock("out")
    schedule.compute_at(acc, tile, preserve_unit_loops=True)
    depth = len(schedule.get_loops(out)) - tile_loops
    own = schedule.get_loops(acc)[depth:]
    reduction = int(tirx.IterVar.CommReduce)
    spatial = sum(v.iter_type != reduction for v in schedule.get(acc).iter_vars)
    schedule.reorder(*own[spatial:], *own[:spatial])
    schedule.decompose_reduction(acc, own[spatial])
    if unroll > 1:
        innermost = schedule.get_loops(schedule.get_sblock("acc_update"))[-spatial - 1]
        schedule.unroll(schedule.split(innermost, [None, unroll])[1])
    for name, count in (("acc_init", spatial), ("acc_update", spatial), ("out", tile_loops)):
        loops = schedule.get_loops(schedule.get_sblock(name))[-count:]
        for loop in loops[:unrolled] if name == "out" else loops:
            schedule.unroll(loop)


def _tiles(pixels: int, columns: int, channels: int, limit: int) -> list[tuple[int, int]]:
    """Return tiles of up to `limit` accumulators that divide both extents.

    A tile of ``p`` pixels and ``c`` channels loads ``p + c`` operands for ``p * c`` products. It is
    a part of a row of `columns` pixels, or whole rows: TVM cannot place a stage at a tile that
    starts and ends within rows.
    """
    return [
        (p, c)
        for p, c in product(range(1, limit + 1), repeat=2)
        if p * c <= limit
        and pixels % p == 0
        and channels % c == 0
        and (p % columns == 0 or columns % p == 0)
    ]


def _accumulators(cpu: Cpu) -> int:
    """Return the accumulators of a tile that stay in registers: a power of two, as most extents."""
    return 1 << (max(1, cpu.registers - _OTHER_REGISTERS).bit_length() - 1)


def _windows(cpu: Cpu) -> int:
    """Return the lanes that read a window each, and need a register for the value that is read."""
    return max(1, min(_accumulators(cpu) // 2, _USUAL_LANES))


def _divisors(extent: int, candidates: Sequence[int]) -> tuple[int, ...]:
    return tuple(c for c in candidates if extent % c == 0)


def _divisor(extent: int, limit: int) -> int:
    return max(d for d in range(1, limit + 1) if extent % d == 0)


def _extent(schedule: Schedule, loop: object) -> int:
    return int(schedule.get(loop).extent)


def _has(schedule: Schedule, name: str) -> bool:
    return any(
        schedule.get(child).name_hint == name
        for child in schedule.get_child_blocks(schedule.get_sblock("root"))
    )


def _reads_one_pixel(schedule: Schedule) -> bool:
    return not _has(schedule, "pad") and _is_pointwise(schedule)


def _is_pointwise(schedule: Schedule) -> bool:
    """Return whether the filter has one tap, and input and output have the same size."""
    function = schedule.mod["main"]
    x, w, result = function.params[0], function.params[1], function.params[-1]
    same = all(int(a) == int(b) for a, b in zip(x.shape[:3], result.shape[:3], strict=True))
    return same and int(w.shape[1]) == int(w.shape[2]) == 1
