"""Counts of tiles, sums, pools and elementwise kernels for the DSP extension."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.estimation.kernels.counting import CONSTANTS, Part, Site, counts_of

# ---- Tiles ---------------------------------------------------------------------------------


@counts_of("TVMTINY_TILE_*")
def _tile(site: Site) -> Iterator[Part]:
    made = site.made
    first, unroll, loops = made.numbers(0, 1, 2)
    rounding = made.arguments[-1]
    shape = made.macro.removeprefix("TVMTINY_TILE_")
    channels = int(shape[2])
    groups = first + unroll * loops
    each = {"W8": 1, "W16": 2}.get(shape.rsplit("_", 1)[-1], 1)
    words = channels * (1 + CONSTANTS.get(rounding, 1) + each * groups)
    tiles = site.total((site.argument(3) - site.argument(1)) // 4) / words
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "groups": tiles * groups,
        "turns": tiles * loops,
        "far": tiles * (made.number(5) > 4095),
    }
    yield Part(site.name, f"{shape} {rounding}", events, fixed=True)


@counts_of("TVMTINY_DENSE_*")
def _dense(site: Site) -> Iterator[Part]:
    made = site.made
    first, unroll, loops = made.numbers(0, 1, 2)
    shape, rounding = made.macro.removeprefix("TVMTINY_DENSE_"), made.arguments[-1]
    groups = first + 2 * unroll * loops
    tiles = _words(site) / (int(shape[2]) * (1 + CONSTANTS[rounding] + groups))
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "single groups": tiles * first,
        "pairs of groups": tiles * unroll * loops,
        "turns": tiles * loops * (loops > 1),
    }
    if shape == "1X6_P8":
        # Its pointers advance in iterations only.
        events["loops"] = tiles * (loops > 1)
    yield Part(site.name, f"dense {shape} {rounding}", events, fixed=True)


@counts_of("tvmtiny_dense_expand", "tvmtiny_dense_total")
def _dense_total(site: Site) -> Iterator[Part]:
    count = site.argument(2 if site.name.endswith("expand") else 1)
    events = {
        "call": site.call.times,
        "sixteens": site.total(count // 16),
        "words": site.total(count % 16 // 4),
        "rest": site.total(count % 4 > 0),
    }
    yield Part(site.name, site.name.removeprefix("tvmtiny_"), events, fixed=True)


@counts_of("TVMTINY_SPARSE_*")
def _sparse(site: Site) -> Iterator[Part]:
    made = site.made
    channels, rounding = made.number(1), made.arguments[-1]
    calls, tiles = site.call.times, site.call.times * (channels // 2)
    words = site.total((site.argument(3) - site.argument(1)) // 4)
    # Words of a tile apart from its blocks: initial accumulators, constants, and steps. A step is
    # a whole word in half of the cases.
    around = 2 * (1 + CONSTANTS[rounding]) + 0.75
    events = {"call": calls, "tiles": tiles, "blocks": (words - around * tiles) / 2.5}
    yield Part(site.name, f"{made.macro.removeprefix('TVMTINY_')} {rounding}", events, fixed=True)


@counts_of("TVMTINY_BLOCK_*")
def _block(site: Site) -> Iterator[Part]:
    made = site.made
    height, unroll, loops = made.numbers(0, 1, 2)
    rounding = made.arguments[-1]
    shape = made.macro.removeprefix("TVMTINY_BLOCK_")
    channels = int(shape[2])
    groups = height * unroll * loops
    each = 2 if shape.endswith("W16") else 1
    tiles = _words(site) / (channels * (1 + CONSTANTS[rounding] + each * groups))
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "groups": tiles * groups,
        "turns": tiles * height * loops * (loops > 1),
        "loops": tiles * height * (loops > 1),
        "rows": tiles * height * (height > 1),
        "single": tiles * (loops == 1 and height == 1),
        "signed": tiles * (rounding == "SIGNED"),
    }
    yield Part(site.name, f"block {shape}", events, fixed=True)


@counts_of("TVMTINY_SUMS_*")
def _sums(site: Site) -> Iterator[Part]:
    made = site.made
    first, unroll, loops = made.numbers(0, 1, 2)
    shape = made.macro.removeprefix("TVMTINY_SUMS_")
    groups = first + unroll * loops
    each = 2 if shape.endswith("W16") else 1
    tiles = _words(site) / (int(shape[2]) * (1 + each * groups))
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "groups": tiles * groups,
        "turns": tiles * loops,
    }
    yield Part(site.name, f"sums {shape}", events, fixed=True)


def _words(site: Site) -> float:
    """Count the words of the stream that a tile kernel reads."""
    return site.total((site.argument(3) - site.argument(1)) // 4)


@counts_of("TVMTINY_WINOGRAD")
def _winograd(site: Site) -> Iterator[Part]:
    height, width, channels, top, left, rows, columns, filters = site.made.numbers(*range(3, 11))
    first, count = site.argument(5), site.argument(6)
    tile = first[:, None] + np.arange(count.max(initial=0))[None, :]
    used = np.arange(count.max(initial=0))[None, :] < count[:, None]
    across = (columns + 1) // 2
    row = np.minimum(tile // across * 2, rows - 2) - top
    column = np.minimum(tile % across * 2, columns - 2) - left
    inside = (row >= 0) & (row + 4 <= height) & (column >= 0) & (column + 4 <= width)
    tiles, edges = site.total(count), float((used & ~inside).sum()) * site.call.weight
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "channels of tiles": tiles * channels,
        "edges": edges,
        "channels of edges": edges * channels,
    }
    rounding = site.name.rpartition("_")[2]
    yield Part(site.name, "winograd", events)
    transform, *kernels = site.made.arguments[:3]
    steps = {"call": tiles, "channels": tiles * channels}
    yield Part(transform, "winograd input", steps, fixed=True)
    for name, number in zip(kernels, (1, 3), strict=True):
        calls = site.total(count == number)
        work = {
            "call": calls,
            "filters": calls * filters,
            "products": calls * filters * channels,
            "signed": calls * filters * (rounding == "signed"),
        }
        yield Part(name, f"winograd tiles {number}", work, fixed=True)


@counts_of("TVMTINY_PACK_COLUMNS")
def _pack_columns(site: Site) -> Iterator[Part]:
    along, _, depth, columns, channels = site.made.numbers(*range(5))
    count = site.made.number(8)
    packed = site.call.times * -(-columns // channels) * channels
    events = {
        "call": site.call.times,
        "tiles": packed / channels,
        "channels": packed,
        "words": packed * (depth // 4),
        "words apart": packed * (depth // 4) * (along != 1),
        "rest": packed * (depth % 4),
        "constants": packed * count,
    }
    yield Part(site.name, "pack columns", events)


# ---- Element by element --------------------------------------------------------------------------


@counts_of("TVMTINY_ADD_WORDS")
def _add_words(site: Site) -> Iterator[Part]:
    _, words, low, high = site.made.numbers(0, 1, 2, 3)
    turns = site.total(site.argument(4) / (4 * words))
    events = {
        "call": site.call.times,
        "turns": turns,
        "words": turns * words,
        "low": turns * words * (low > -128),
        "high": turns * words * (high < 127),
    }
    yield Part(site.name, "add words", events)


@counts_of("TVMTINY_ADD")
def _add(site: Site) -> Iterator[Part]:
    _, low, high = site.made.numbers(0, 1, 2)
    count = site.argument(4)
    words = site.total(count // 4) + site.call.times
    yield Part(
        site.name,
        "add",
        {
            "call": site.call.times,
            "rest": site.total(count % 4),
            "none": site.total((count < 4).astype(float)),
        },
    )
    # The function for words is called for whole words, if there are any, and for the rest.
    events = {
        "call": site.call.times + site.total((count >= 4).astype(float)),
        "words": words,
        "low": words * (low > -128),
        "high": words * (high < 127),
    }
    yield Part(f"{site.name}_words", "add any words", events, fixed=True)


def _pool(site: Site, rows: np.ndarray, columns: np.ndarray, kind: str) -> Iterator[Part]:
    channels = site.made.number(0)
    words = -(-channels // 4)
    # The code for the last channels may be apart from the loop.
    apart = site.made.macro.endswith("APART")
    looped = words - apart
    constant = site.call.constant[-2] and site.call.constant[-1]
    events = {
        "call": site.call.times,
        "words": site.call.times * words,
        "rows": site.total(rows) * words,
        "four": site.total(rows * (columns // 4)) * words,
        "two": site.total(rows * (columns % 4 // 2)) * words,
        "one": site.total(rows * (columns % 2)) * words,
        "overlapping": site.call.times * words * (channels % 4 > 0 and not apart),
        "once": site.call.times * (looped == 1),
        "twice": site.call.times * (looped == 2),
    }
    yield Part(site.name, f"{kind}{' constant' * constant}", events)


@counts_of("TVMTINY_AVERAGE_POOL", "TVMTINY_MEAN")
def _average(site: Site) -> Iterator[Part]:
    kind = site.made.macro.removeprefix("TVMTINY_").lower()
    yield from _pool(site, site.argument(3), site.argument(4), kind)


@counts_of("TVMTINY_MAX_POOL", "TVMTINY_MAX_POOL_APART")
def _most(site: Site) -> Iterator[Part]:
    apart = site.made.macro.endswith("APART")
    yield from _pool(site, site.argument(2), site.argument(3), "max_pool" + " apart" * apart)


@counts_of("TVMTINY_BINARY_PRODUCT", "TVMTINY_BINARY_CHOICE", "TVMTINY_BINARY_SUM")
def _binary(site: Site) -> Iterator[Part]:
    made = site.made
    kind = made.macro.removeprefix("TVMTINY_BINARY_").lower()
    rows, count = site.argument(4), site.argument(5)
    words = site.total(rows * -(-count // 4))
    events = {
        "call": site.call.times,
        "rows": site.total(rows),
        "words": words,
        "rest": site.total(rows * (count % 4 > 0)),
        "rest bytes": site.total(rows * (count % 4)),
    }
    if kind != "choice":
        low, high = made.numbers(-3, -2)
        events |= {"low": words * (low > -128), "high": words * (high < 127)}
    if kind == "product":
        events["signed"] = words * made.number(1)
    yield Part(site.name, f"binary {kind} {made.arguments[-1].lower()}", events)


@counts_of("tvmtiny_dsp_clamp_bytes")
def _clamp_words(site: Site) -> Iterator[Part]:
    count, low, high = site.argument(1), site.argument(2), site.argument(3)
    head = np.minimum(-site.argument(0) % 4, count)
    turns = (count - head) // 16
    events = {
        "call": site.call.times,
        "bytes": site.total(head + (count - head) % 16),
        "loops": site.total(turns > 0),
        "16 bytes": site.total(turns),
        "16 bytes twice": site.total(turns * ((low > -128) & (high < 127))),
    }
    yield Part(site.name, "clamp words", events)


@counts_of("tvmtiny_clamp_bytes")
def _clamp_bytes(site: Site) -> Iterator[Part]:
    events = {"call": site.call.times, "bytes": site.total(site.argument(1))}
    yield Part(site.name, "clamp bytes", events)
