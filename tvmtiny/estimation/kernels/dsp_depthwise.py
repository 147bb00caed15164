"""Counts of depthwise convolutions for the DSP extension, and of the packing of their inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.estimation.kernels.counting import Part, Site, counts_of


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
    constants = (plane_pairs, columns, width, channels)
    yield Part("tvmtiny_depthwise_edge", "depthwise edge", edge, fixed=True, constants=constants)


@counts_of("TVMTINY_DEPTHWISE_3X3_S1", "TVMTINY_DEPTHWISE_3X3_S2")
def _three(site: Site) -> Iterator[Part]:
    made = site.made
    stride = int(made.macro[-1])
    start = made.number(0) if stride == 1 else 0
    first = 1 if stride == 1 else 0
    pairs, width, left, right, loops = made.numbers(*range(first, first + 5))
    pitch = made.number(first + 8)
    weights = ("words", "bytes", "nibbles")[made.number(-1)]
    channels, rows = site.argument(3), site.argument(4)
    count, lines = site.total(channels), site.total(channels * rows)
    # Stride 1 computes every other row, then the rows between with other words of the weights.
    second = site.total(channels * (rows > 1)) * (stride == 1)
    columns = stride * width + 3 - stride - left - right
    kept = stride == 1 and left and not loops and pitch
    events = {
        "call": site.call.times,
        f"channels of {weights}": count,
        f"second of {'words' if weights == 'words' else 'bytes'}": second,
        "start": count * start,
        "start second": second * start,
        "rows": lines,
        "outputs": lines * width,
        "turns": lines * loops,
        "loops": lines * (loops > 0),
        "left": lines * (left and not kept),
        "kept": (count + second) * bool(kept),
        "whole left": lines * (not left),
        "right": lines * right,
        "far": lines * (4 * pairs * (columns - 1) > 1024),
        "any pitch": count * (pitch == 0),
        "any pitch second": second * (pitch == 0),
        "any pitch rows": lines * (pitch == 0),
        "far output": lines * width * (pitch == 0 or pitch >= 256),
    }
    yield Part(site.name, f"depthwise 3x3 {stride}", events, fixed=True)


@counts_of("TVMTINY_DEPTHWISE_PACK_COLUMN")
def _pack_column(site: Site) -> Iterator[Part]:
    height = site.made.number(1)
    edges = site.total(np.maximum(site.argument(3) - height // 4 * 2, 0))
    calls = site.call.times
    yield Part(site.name, "depthwise pack column", {"call": calls, "edges": edges})
    quads = {"call": calls, "columns": calls * (height // 4)}
    yield Part(f"{site.name}_quads", "depthwise quads once", quads, fixed=True)
    edge = {"call": edges, "columns": edges}
    yield Part("tvmtiny_depthwise_edge", "depthwise edge", edge, fixed=True, constants=())


@counts_of("TVMTINY_DEPTHWISE_PACK_THREE")
def _pack_three(site: Site) -> Iterator[Part]:
    width, _, _, columns = site.made.numbers(*range(4))
    calls = site.call.times
    events = {"call": calls, "columns": calls * (columns - width)}
    yield Part(site.name, "depthwise pack three", events)
    triple = {"call": calls, "columns": calls * width}
    yield Part(f"{site.name}_triple", "depthwise triple", triple, fixed=True)


@counts_of("tvmtiny_depthwise_pack")
def _pack_pairs(site: Site) -> Iterator[Part]:
    pairs, width = site.total(site.argument(3)), int(site.argument(6)[0])
    events = {"call": site.call.times, "pairs": pairs}
    yield Part(site.name, "depthwise pack any", events, fixed=True, constants=())
    edge = {"call": pairs, "columns": pairs * width}
    yield Part("tvmtiny_depthwise_edge", "depthwise edge", edge, fixed=True, constants=())


@counts_of("tvmtiny_depthwise_fill")
def _fill_planes(site: Site) -> Iterator[Part]:
    events = {"call": site.call.times, "words": site.total(site.argument(1))}
    yield Part(site.name, "depthwise fill", events, fixed=True, constants=())


@counts_of("TVMTINY_DEPTHWISE_COLUMN")
def _column(site: Site) -> Iterator[Part]:
    _, words, rows = site.made.numbers(0, 1, 2)
    channels = site.total(site.argument(3))
    # Four rows at a time, of which the last one may not be stored; then one or two rows.
    fours = channels * ((rows + 1) // 4) * (rows > 2)
    left = max(((rows + 1) & 3) - 1, 0)
    rest = channels * (left > 0)
    events = {
        "call": site.call.times,
        "channels": channels,
        "three": channels * (rows % 4 == 3),
        "fours": fours,
        "four pairs": fours * (words // 2),
        "four last": fours * (words % 2),
        "rest": rest,
        "rest pairs": rest * (words // 2),
        "rest last": rest * (words % 2),
        "two": channels * (left == 2),
        "two words": channels * (left == 2) * words,
    }
    yield Part(site.name, f"depthwise column {site.made.arguments[-1]}", events, fixed=True)
