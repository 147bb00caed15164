"""Counts of tiles, sums, pools and depthwise convolutions for the DSP extension."""

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


# ---- Sums and pools --------------------------------------------------------------------------


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
    constant = site.call.constant[-2] and site.call.constant[-1]
    events = {
        "call": site.call.times,
        "words": site.call.times * words,
        "rows": site.total(rows) * words,
        "four": site.total(rows * (columns // 4)) * words,
        "two": site.total(rows * (columns % 4 // 2)) * words,
        "one": site.total(rows * (columns % 2)) * words,
        "overlapping": site.call.times * words * (channels % 4 > 0),
        "once": site.call.times * (words == 1),
    }
    yield Part(site.name, f"{kind}{' constant' * constant}", events)


@counts_of("TVMTINY_AVERAGE_POOL", "TVMTINY_MEAN")
def _average(site: Site) -> Iterator[Part]:
    kind = site.made.macro.removeprefix("TVMTINY_").lower()
    yield from _pool(site, site.argument(3), site.argument(4), kind)


@counts_of("TVMTINY_MAX_POOL")
def _most(site: Site) -> Iterator[Part]:
    yield from _pool(site, site.argument(2), site.argument(3), "max_pool")


# ---- Depthwise convolutions for the DSP extension -----------------------------------------


@counts_of("TVMTINY_DEPTHWISE_LINES")
def _lines(site: Site) -> Iterator[Part]:
    made = site.made
    stride, pairs, filter_columns, apart, words, step, width = made.numbers(*range(7))
    pitch, rounding = made.number(10), made.arguments[-1]
    channels, rows = site.argument(3), site.argument(4)
    calls = site.total(channels * (-(-rows // 2) if stride == 1 else rows))
    events = {
        "call": site.call.times,
        "channels": site.total(channels),
        "rows": calls,
    }
    yield Part(site.name, "lines", events)
    outputs = calls * width
    odd = words % 2
    next_bytes = 4 * pairs * apart
    row = {
        "call": calls,
        "outputs": outputs,
        "pairs": outputs * filter_columns * (words // 2),
        "single": outputs * filter_columns * odd,
        "far": outputs * filter_columns * (odd and next_bytes - 8 * (words // 2) >= 256),
        "move": outputs * (step != filter_columns * apart),
        "far output": outputs * (pitch >= 256),
    }
    yield Part(f"{site.name}_row", f"lines row {stride} {rounding}", row, fixed=True)


@counts_of("TVMTINY_DEPTHWISE_PACK", "TVMTINY_DEPTHWISE_PACK_FAST", "TVMTINY_DEPTHWISE_PACK_PAIRS")
def _pack(site: Site) -> Iterator[Part]:
    made = site.made
    plane_pairs, height, width, channels, _, columns, _ = made.numbers(*range(7))
    step = 1 if made.macro == "TVMTINY_DEPTHWISE_PACK_PAIRS" else 2
    row, pairs = site.argument(1), site.argument(3)
    inside = np.zeros(site.call.points, np.int64)
    edges = np.zeros(site.call.points, np.int64)
    runs = np.zeros(site.call.points, np.int64)
    before = np.zeros(site.call.points, bool)
    left, at = pairs.copy(), row.copy()
    while np.any(left > 0):
        active = left > 0
        fits = active & (at >= 0) & (at + 2 * step <= height) & (left >= step)
        inside += fits
        edges += active & ~fits
        # Neighbouring pairs of rows that are inside the input are packed by one call.
        runs += fits & ~before
        before = fits
        taken = np.where(fits, step, 1) * active
        left, at = left - taken, at + 2 * taken
    events = {
        "call": site.call.times,
        "columns": site.call.times * (columns - width),
        "column words": site.call.times * (columns - width) * plane_pairs,
        "inside": site.total(runs),
        "edges": site.total(edges),
    }
    yield Part(site.name, made.macro.removeprefix("TVMTINY_").removesuffix("_FAST").lower(), events)
    far = channels >= 256
    calls = site.total(inside)
    if step == 2:
        quad = {"call": calls, "columns": calls * width, "far": calls * width * far}
        yield Part(f"{site.name}_quad", "depthwise quad", quad, fixed=True)
        edge_calls = site.total(edges)
    else:
        edge_calls = calls + site.total(edges)
    edge = {"call": edge_calls, "columns": edge_calls * width}
    yield Part("tvmtiny_depthwise_edge", "depthwise edge", edge, fixed=True, specialized=True)


@counts_of("TVMTINY_DEPTHWISE_3X3_*")
def _three(site: Site) -> Iterator[Part]:
    made = site.made
    stride = made.macro[-1]
    numbers = made.numbers(*range(len(made.arguments)))
    skip = 1 if stride == "1" else 0
    _, width, left, right, loops = numbers[skip : skip + 5]
    channels, rows = site.argument(3), site.argument(4)
    count = site.total(channels)
    lines = site.total(channels * rows)
    events = {
        "call": site.call.times,
        "channels": count,
        "rows": lines,
        "outputs": lines * width,
        "left": lines * (left > 0),
        "right": lines * (right > 0),
        "turns": lines * loops,
    }
    kind = f"depthwise 3x3 {stride} {'bytes' if numbers[-1] else 'words'}"
    yield Part(site.name, kind, events, fixed=True)
