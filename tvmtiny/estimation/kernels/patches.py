"""Counts of byte copies, and of patches for the DSP extension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tvmtiny.estimation.kernels.counting import Instantiation, Part, Site, counts_of

# ---- Copies --------------------------------------------------------------------------------


def _bytes_and_words(site: Site, count: np.ndarray, aligned: np.ndarray) -> dict[str, float]:
    by_words = aligned | site.unaligned
    turns = np.where(by_words, count // 16, 0)
    return {
        "call": site.call.times,
        "once 16 bytes": site.total((turns == 1).astype(float)),
        "16 bytes": site.total(np.where(turns > 1, turns, 0)),
        "loop": site.total((turns > 1).astype(float)),
        "words": site.total(np.where(by_words, count % 16 // 4, 0)),
        "bytes": site.total(np.where(by_words, count % 4, count)),
        "by bytes": site.total((~by_words).astype(float)),
        "rest": site.total((np.where(by_words, count % 4, count) > 0).astype(float)),
    }


@counts_of("tvmtiny_copy")
def _copy(site: Site) -> Iterator[Part]:
    aligned = (site.argument(0) | site.argument(1)) % 4 == 0
    yield Part(site.name, "copy", _bytes_and_words(site, site.argument(2), aligned))


@counts_of("tvmtiny_fill")
def _fill(site: Site) -> Iterator[Part]:
    aligned = site.argument(0) % 4 == 0
    yield Part(site.name, "fill", _bytes_and_words(site, site.argument(2), aligned))


# ---- Patches for the DSP extension -------------------------------------------------------


def _expand(size: int, pixels: int) -> dict[str, float]:
    """Count one expansion of `size` bytes of one of `pixels` pixels.

    For a single pixel, assembly expands 32 bytes at a time.
    """
    rows = size // 32 if pixels == 1 else 0
    size -= 32 * rows
    return {
        "expansions": 1.0,
        "expand rows": float(rows > 0),
        "expand 32": float(rows),
        "expand 16": float(size // 16) if size >= 32 else 0.0,
        "expand 16 once": float(16 <= size < 32),
        "expand 8": float(size & 8 > 0),
        "expand 4": float(size & 4 > 0),
        "expand rest": float(size & 3 > 0),
        "rest bytes": float(size & 3),
    }


def _times(events: Mapping[str, float], times: float) -> dict[str, float]:
    return {name: count * times for name, count in events.items()}


def _join(*all_events: Mapping[str, float]) -> dict[str, float]:
    joined: dict[str, float] = {}
    for events in all_events:
        for name, count in events.items():
            joined[name] = joined.get(name, 0.0) + count
    return joined


@counts_of("tvmtiny_expand_w8", "tvmtiny_expand_w16")
def _pixels(site: Site) -> Iterator[Part]:
    size, pixels = int(site.argument(2)[0]), int(site.argument(3)[0])
    kind = site.name.removeprefix("tvmtiny_")
    expansion = _times(_expand(size, pixels), site.call.times)
    yield Part(site.name, kind, _join({"call": site.call.times}, expansion))


@counts_of("tvmtiny_expand_any_x256")
def _pixels_of_product(site: Site) -> Iterator[Part]:
    # No assembly is part of this function, whatever the number of pixels.
    expansion = _times(_expand(int(site.argument(2)[0]), 0), site.call.times)
    yield Part(site.name, "expand x256", _join({"call": site.call.times}, expansion))


def _gathered(
    site: Site, made: Instantiation, row: np.ndarray, column: np.ndarray
) -> dict[str, float]:
    """Count TVMTINY_GATHER for patches at `row` and `column`."""
    height, width, channels, rows, columns = made.numbers(1, 2, 3, 4, 5)
    weight = site.call.weight
    inside = (column >= 0) & (column + columns <= width)
    whole = inside & (row >= 0) & (row + rows <= height)
    size, pixels = columns * channels, made.number(-1)
    count = float(whole.sum()) * weight
    events = _join(
        {"patches": len(row) * weight, "whole": count, "whole rows": count * rows},
        _times(_expand(size, pixels), count * rows),
    )
    edge_row, edge_column = row[~whole], column[~whole]
    if not len(edge_row):
        return events
    edges = len(edge_row) * weight
    valid = np.clip(np.minimum(edge_row + rows, height) - np.maximum(edge_row, 0), 0, rows)
    filled = float((rows - valid).sum()) * weight
    added: dict[str, float] = {
        "edges": edges,
        "edge rows": edges * rows,
        "filled rows": filled,
        "filled words": filled * (size / 4),
    }
    taps = np.arange(columns)[None, :] + edge_column[:, None]
    if channels % 4 == 0:
        within = ((taps >= 0) & (taps < width)).sum(axis=1)
        expanded = float((within * valid).sum()) * weight
        outside = float(((columns - within) * valid).sum()) * weight
        added |= {"taps outside": outside, "words outside": outside * channels / 4}
        added["taps inside"] = expanded
        return _join(events, added, _times(_expand(channels, pixels), expanded))
    if width * channels >= 4:
        first = edge_column[:, None] * channels + np.arange(0, size, 4)[None, :]
        over = first + 4 - width * channels
        pad = (first <= -4) | (over >= 4)
        left = ~pad & (first < 0)
        right = ~pad & ~left & (over > 0)
        for name, mask in (("pad", pad), ("left", left), ("right", right)):
            added[f"edge words {name}"] = float((mask.sum(axis=1) * valid).sum()) * weight
        added["edge words"] = float(valid.sum()) * first.shape[1] * weight
        return _join(events, added)
    within = np.clip(
        np.minimum(edge_column + columns, width) - np.maximum(edge_column, 0), 0, columns
    )
    added["row bytes"] = float(valid.sum()) * size * weight
    added["row bytes inside"] = float((within * valid).sum()) * channels * weight
    return _join(events, added, _times(_expand(size, pixels), float(valid.sum()) * weight))


@counts_of("TVMTINY_GATHER", "TVMTINY_GATHER_W4")
def _gather(site: Site) -> Iterator[Part]:
    events = _gathered(site, site.made, site.argument(1), site.argument(2))
    yield Part(site.name, _kind_of_gather(site.made), events)


def _kind_of_gather(made: Instantiation) -> str:
    return f"{made.macro.removeprefix('TVMTINY_').lower()} {made.arguments[0]}"


def _gathered_bytes(
    site: Site, made: Instantiation, row: np.ndarray, column: np.ndarray
) -> dict[str, float]:
    height, width, channels, rows, columns = made.numbers(1, 2, 3, 4, 5)
    weight = site.call.weight
    whole = (column >= 0) & (column + columns <= width) & (row >= 0) & (row + rows <= height)
    size = columns * channels
    count = float(whole.sum()) * weight
    events = {
        "patches": len(row) * weight,
        "whole": count,
        "whole rows": count * rows,
        "whole words": count * rows * (size // 4),
        "whole bytes": count * rows * (size % 4),
    }
    edge_row, edge_column = row[~whole], column[~whole]
    valid = np.clip(np.minimum(edge_row + rows, height) - np.maximum(edge_row, 0), 0, rows)
    within = np.clip(
        np.minimum((edge_column + columns), width) - np.maximum(edge_column, 0), 0, columns
    )
    edges = len(edge_row) * weight
    # Copied row by row: words, then single bytes.
    copied = (valid > 0) & (within > 0)
    inside = np.where(copied, within * channels, 0)
    words = -(-rows * size // 4)
    fours = words // 4
    single = height * width * channels == 1
    events |= {
        "edges": edges,
        "filled 16": edges * fours * (fours > 1),
        "filled 16 once": edges * (fours == 1),
        "filled words": edges * (words % 4),
        "edges copied": float(copied.sum()) * weight,
    }
    if not single:
        events |= {
            "edge rows": float((valid * copied).sum()) * weight,
            "edge words": float((valid * (inside // 4)).sum()) * weight,
            "edge bytes": float((valid * (inside % 4)).sum()) * weight,
        }
    return _join(events, _times(_expand(rows * size, made.number(-1)), len(row) * weight))


@counts_of("TVMTINY_GATHER_BYTES")
def _gather_bytes(site: Site) -> Iterator[Part]:
    events = _gathered_bytes(site, site.made, site.argument(1), site.argument(2))
    if all(site.call.constant[1:3]):
        # Compilers compute the limits of patches at a known place.
        events["edges at known places"] = events.pop("edges")
    yield Part(site.name, _kind_of_gather(site.made), events)


@counts_of("TVMTINY_GATHER_SPREAD")
def _gather_spread(site: Site) -> Iterator[Part]:
    height, width, _, depth, rows, columns, down, across = site.made.numbers(*range(1, 9))
    pixels, weight = site.made.number(-1), site.call.weight
    row = site.argument(1)[:, None] + np.arange(rows)[None, :] * down
    column = site.argument(2)[:, None] + np.arange(columns)[None, :] * across
    valid = ((row >= 0) & (row < height)).sum(axis=1)
    within = ((column >= 0) & (column < width)).sum(axis=1)
    patches = site.call.times
    inside = float((valid * within).sum()) * weight
    events = {
        "patches": patches,
        "rows": patches * rows,
        "taps": patches * rows * columns,
        "rows across": float((valid * (within < columns)).sum()) * weight,
    }
    if depth % 4:
        events |= {"bytes": events["taps"] * depth, "bytes inside": inside * depth}
        events = _join(events, _times(_expand(rows * columns * depth, pixels), patches))
    else:
        events["words outside"] = (events["taps"] - inside) * depth / 4
        events = _join(events, _times(_expand(depth, pixels), inside))
    words = "bytes" if depth % 4 else "words"
    yield Part(site.name, f"{_kind_of_gather(site.made)} {words}", events)


@counts_of("TVMTINY_GATHER_NINES")
def _gather_nines(site: Site) -> Iterator[Part]:
    yield _one(site, site.name, site.made, site.argument(1), site.argument(2))


def _one(site: Site, name: str, made: Instantiation, row: np.ndarray, column: np.ndarray) -> Part:
    """Count single patches at any place."""
    if made.macro == "TVMTINY_GATHER_NINES":
        height, width = made.numbers(1, 2)
        weight = site.call.weight
        valid = np.clip(np.minimum(row + 3, height) - np.maximum(row, 0), 0, 3)
        within = np.clip(np.minimum(column + 3, width) - np.maximum(column, 0), 0, 3)
        events = {
            "patches": len(row) * weight,
            "valid rows": float(valid.sum()) * weight,
            "bytes inside": float((valid * within).sum()) * 3 * weight,
        }
        return Part(name, _kind_of_gather(made), events)
    gathered = _gathered_bytes if made.macro == "TVMTINY_GATHER_BYTES" else _gathered
    return Part(name, _kind_of_gather(made), gathered(site, made, row, column))


def _near(name: str, made: Instantiation, calls: float) -> Part:
    """Count the assembly that expands bytes that neighbouring patches share."""
    macro = made.macro.removeprefix("TVMTINY_NEAR_").lower()
    events = {"call": calls}
    if macro == "rows":
        rows, _, groups = made.numbers(1, 2, 3)
        kind = f"near rows {made.arguments[0]} {made.arguments[5]}"
        events |= {"rows": calls * rows, "groups": calls * rows * groups}
    elif macro == "pairs":
        rows, _, groups = made.numbers(1, 2, 3)
        kind = f"near pairs {made.arguments[0]} {made.arguments[4]}"
        events |= {"rows": calls * rows, "groups": calls * rows * groups / 2}
    elif macro == "taps":
        kind = f"near taps {made.arguments[0]} {made.arguments[2]}"
        events |= {"groups": calls * made.number(1) / 4}
    else:
        kind = f"near {macro} {made.arguments[0]} {made.arguments[-1]}"
    return Part(name, kind, events, fixed=True)


@counts_of("TVMTINY_GATHER_NEAR", "TVMTINY_GATHER_TAPS")
def _gather_near(site: Site) -> Iterator[Part]:
    made = site.made
    near, one = site.known[made.arguments[0]], site.known[made.arguments[1]]
    taps = made.macro == "TVMTINY_GATHER_TAPS"
    height, width, channels, rows = made.numbers(3, 4, 5, 6)
    if taps:
        out_columns, down, top, left_pad = made.numbers(7, 8, 9, 10)
        pixels, across = made.number(12), 1
        span = pixels + 2
    else:
        span, out_columns, down, across, top, left_pad, pixels = made.numbers(*range(7, 14))
    position = site.argument(1)
    column, row = position % out_columns, position // out_columns * down - top
    left = column * across - left_pad
    shared = (column + pixels <= out_columns) & (left >= 0) & (left + span <= width)
    if not taps:
        shared &= (row >= 0) & (row + rows <= height)
    weight = site.call.weight
    count = float(shared.sum()) * weight
    alone = position[~shared]
    events = {
        "call": site.call.times,
        "shared": count,
        "alone": len(alone) * weight,
        "lanes": len(alone) * pixels * weight,
    }
    near_calls = count
    if taps:
        valid = np.clip(np.minimum(row + rows, height) - np.maximum(row, 0), 0, rows)[shared]
        near_calls = float(valid.sum()) * weight
        filled = float((rows - valid).sum()) * weight
        events |= {
            "rows": count * rows,
            "filled rows": filled,
            "filled groups": filled * 3 * channels / 4,
            "filled words": filled * 6 * channels / 4 * pixels,
        }
    yield Part(site.name, made.macro.removeprefix("TVMTINY_").lower(), events)
    yield _near(made.arguments[0], near, near_calls)
    each = (alone[:, None] + np.arange(pixels)[None, :]).ravel()
    one_row = each // out_columns * down - top
    yield _one(site, made.arguments[1], one, one_row, each % out_columns * across - left_pad)


@counts_of("TVMTINY_STRIP")
def _strip(site: Site) -> Iterator[Part]:
    height, width, rows, pitch, left = site.made.numbers(0, 1, 2, 3, 4)
    row = site.argument(1)
    valid = np.clip(np.minimum(row + rows, height) - np.maximum(row, 0), 0, rows)
    events = {
        "call": site.call.times,
        "valid rows": site.total(valid),
        "outside rows": site.total(rows - valid),
        "outside bytes": site.total((rows - valid) * pitch),
        "words": site.total(valid * (width // 4)),
        "bytes": site.total(valid * (width % 4)),
        "left": site.total(valid * left),
        "right": site.total(valid * (pitch - left - width)),
    }
    yield Part(site.name, "strip", events)
