"""How often each part of a micro-kernel runs, from its instantiation and the arguments of calls.

Each function here mirrors the loops of one macro or function of the runtime's headers. What a part
costs is calibrated; how often it runs is exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tvmtiny.estimation.walk import Call

__all__ = ["Instantiation", "Part", "instantiations", "parts"]

_LINE = re.compile(r"(\w+)\((\w+),?\s*(.*)\)")

#: Words of constants behind an initial accumulator, by rounding.
_CONSTANTS = {"PLAIN": 1, "SIGNED": 3}


@dataclass(frozen=True)
class Instantiation:
    """A macro of the runtime with its arguments, the name apart."""

    macro: str
    arguments: tuple[str, ...]

    def number(self, position: int) -> int:
        """An argument, counted from 0 behind the name."""
        return int(self.arguments[position].strip("() "))

    def numbers(self, *positions: int) -> tuple[int, ...]:
        """Some arguments."""
        return tuple(self.number(position) for position in positions)


@dataclass(frozen=True)
class Part:
    """One function that runs for a call.

    Attributes
    ----------
    function
        Its C name.
    kind
        What it is called in the tables.
    events
        How often each of its parts runs.
    fixed
        Assembly, or marked against inlining: always a function by itself.
    """

    function: str
    kind: str
    events: Mapping[str, float]
    fixed: bool = False


@dataclass(frozen=True)
class _Site:
    """A call, what it calls, and the core."""

    call: Call
    name: str
    made: Instantiation
    known: Mapping[str, Instantiation]
    unaligned: bool

    def argument(self, position: int) -> np.ndarray:
        """Values of an argument at all points; of one that depends on data, zeros."""
        value = self.call.arguments[position]
        return np.zeros(self.call.points, np.int64) if value is None else value

    def total(self, values: np.ndarray | float | int) -> float:
        """A count over all executions of the call."""
        if isinstance(values, np.ndarray):
            return float(values.sum()) * self.call.weight
        return values * self.call.times


_Events = Callable[[_Site], Iterator[Part]]
_EVENTS: dict[str, _Events] = {}


def _of(*names: str) -> Callable[[_Events], _Events]:
    def register(events: _Events) -> _Events:
        for name in names:
            _EVENTS[name] = events
        return events

    return register


def instantiations(preamble: tuple[str, ...]) -> dict[str, Instantiation]:
    """What a kernel's preamble instantiates, by name."""
    found = {}
    for line in preamble:
        match = _LINE.match(line)
        if match:
            arguments = tuple(a.strip() for a in match[3].split(","))
            found[match[2]] = Instantiation(match[1], arguments)
    return found


def parts(call: Call, known: Mapping[str, Instantiation], unaligned: bool) -> list[Part]:
    """The functions that run for all executions of a call.

    Parameters
    ----------
    known
        What is instantiated; other functions are of the runtime itself.
    unaligned
        Whether the core loads words from any address.
    """
    made = known.get(call.function, Instantiation(call.function, ()))
    site = _Site(call, call.function, made, known, unaligned)
    events = _EVENTS.get(made.macro)
    if events is None:
        events = next((e for name, e in _EVENTS.items() if _matches(name, made.macro)), _any)
    return list(events(site))


def _matches(name: str, macro: str) -> bool:
    return name.endswith("*") and macro.startswith(name[:-1])


def _any(site: _Site) -> Iterator[Part]:
    """A kernel without a model of its own: proportional to its arguments, and to their product."""
    events = {"call": site.call.times}
    product = np.ones(site.call.points)
    for position, value in enumerate(site.call.arguments):
        if value is not None:
            size = np.abs(value)
            events[f"argument {position}"] = site.total(size)
            product = product * np.maximum(size, 1)
    events["product"] = site.total(product)
    yield Part(site.name, site.made.macro, events)


# ---- Copies --------------------------------------------------------------------------------


def _bytes_and_words(site: _Site, count: np.ndarray, aligned: np.ndarray) -> dict[str, float]:
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


@_of("tvmtiny_copy")
def _copy(site: _Site) -> Iterator[Part]:
    aligned = (site.argument(0) | site.argument(1)) % 4 == 0
    yield Part(site.name, "copy", _bytes_and_words(site, site.argument(2), aligned))


@_of("tvmtiny_fill")
def _fill(site: _Site) -> Iterator[Part]:
    aligned = site.argument(0) % 4 == 0
    yield Part(site.name, "fill", _bytes_and_words(site, site.argument(2), aligned))


# ---- Patches for the DSP extension -------------------------------------------------------


def _expand(size: int) -> dict[str, float]:
    """One expansion of so many bytes."""
    return {
        "expansions": 1.0,
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


@_of("tvmtiny_expand_w8", "tvmtiny_expand_w16")
def _pixels(site: _Site) -> Iterator[Part]:
    size = int(site.argument(2)[0])
    kind = site.name.removeprefix("tvmtiny_")
    yield Part(
        site.name, kind, _join({"call": site.call.times}, _times(_expand(size), site.call.times))
    )


def _gathered(
    site: _Site, made: Instantiation, row: np.ndarray, column: np.ndarray
) -> dict[str, float]:
    """Of TVMTINY_GATHER, for patches at `row` and `column`."""
    height, width, channels, rows, columns = made.numbers(1, 2, 3, 4, 5)
    weight = site.call.weight
    inside = (column >= 0) & (column + columns <= width)
    whole = inside & (row >= 0) & (row + rows <= height)
    size = columns * channels
    count = float(whole.sum()) * weight
    events = _join(
        {"patches": len(row) * weight, "whole": count, "whole rows": count * rows},
        _times(_expand(size), count * rows),
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
        return _join(events, added, _times(_expand(channels), expanded))
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
    return _join(events, added, _times(_expand(size), float(valid.sum()) * weight))


@_of("TVMTINY_GATHER", "TVMTINY_GATHER_W4")
def _gather(site: _Site) -> Iterator[Part]:
    events = _gathered(site, site.made, site.argument(1), site.argument(2))
    yield Part(site.name, _kind_of_gather(site.made), events)


def _kind_of_gather(made: Instantiation) -> str:
    return f"{made.macro.removeprefix('TVMTINY_').lower()} {made.arguments[0]}"


def _gathered_bytes(
    site: _Site, made: Instantiation, row: np.ndarray, column: np.ndarray
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
    before = np.clip(-edge_column, 0, columns)
    events |= {
        "edges": edges,
        "edge rows": edges * rows,
        "edge bytes": edges * rows * size,
        "edge bytes inside": float((valid * within).sum()) * channels * weight,
        "edge bytes before": float((rows * before).sum()) * channels * weight,
    }
    return _join(events, _times(_expand(rows * size), len(row) * weight))


@_of("TVMTINY_GATHER_BYTES")
def _gather_bytes(site: _Site) -> Iterator[Part]:
    events = _gathered_bytes(site, site.made, site.argument(1), site.argument(2))
    yield Part(site.name, _kind_of_gather(site.made), events)


@_of("TVMTINY_GATHER_NINES")
def _gather_nines(site: _Site) -> Iterator[Part]:
    yield _one(site, site.name, site.made, site.argument(1), site.argument(2))


def _one(site: _Site, name: str, made: Instantiation, row: np.ndarray, column: np.ndarray) -> Part:
    """Single patches at any place."""
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
    """Assembly that expands what neighbours share."""
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


@_of("TVMTINY_GATHER_NEAR", "TVMTINY_GATHER_TAPS")
def _gather_near(site: _Site) -> Iterator[Part]:
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


@_of("TVMTINY_STRIP")
def _strip(site: _Site) -> Iterator[Part]:
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


# ---- Tiles ---------------------------------------------------------------------------------


@_of("TVMTINY_TILE_*")
def _tile(site: _Site) -> Iterator[Part]:
    made = site.made
    first, unroll, loops = made.numbers(0, 1, 2)
    rounding = made.arguments[-1]
    shape = made.macro.removeprefix("TVMTINY_TILE_")
    channels = int(shape[2])
    groups = first + unroll * loops
    each = {"W8": 1, "W16": 2}.get(shape.rsplit("_", 1)[-1], 1)
    words = channels * (1 + _CONSTANTS.get(rounding, 1) + each * groups)
    tiles = site.total((site.argument(3) - site.argument(1)) // 4) / words
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "groups": tiles * groups,
        "turns": tiles * loops,
        "far": tiles * (made.number(5) > 4095),
    }
    yield Part(site.name, f"{shape} {rounding}", events, fixed=True)


# ---- Sums and pools --------------------------------------------------------------------------


@_of("TVMTINY_ADD_WORDS")
def _add_words(site: _Site) -> Iterator[Part]:
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


@_of("TVMTINY_ADD")
def _add(site: _Site) -> Iterator[Part]:
    _, low, high = site.made.numbers(0, 1, 2)
    count = site.argument(4)
    words = site.total(count // 4)
    events = {
        "call": site.call.times,
        "words": words + site.call.times,
        "rest": site.total(count % 4),
        "low": words * (low > -128),
        "high": words * (high < 127),
        "none": site.total((count < 4).astype(float)),
    }
    yield Part(site.name, "add", events)


def _pool(site: _Site, rows: np.ndarray, columns: np.ndarray, kind: str) -> Iterator[Part]:
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


@_of("TVMTINY_AVERAGE_POOL", "TVMTINY_MEAN")
def _average(site: _Site) -> Iterator[Part]:
    kind = site.made.macro.removeprefix("TVMTINY_").lower()
    yield from _pool(site, site.argument(3), site.argument(4), kind)


@_of("TVMTINY_MAX_POOL")
def _most(site: _Site) -> Iterator[Part]:
    yield from _pool(site, site.argument(2), site.argument(3), "max_pool")


# ---- Depthwise convolutions for the DSP extension -----------------------------------------


@_of("TVMTINY_DEPTHWISE_LINES")
def _lines(site: _Site) -> Iterator[Part]:
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


@_of("TVMTINY_DEPTHWISE_PACK", "TVMTINY_DEPTHWISE_PACK_PAIRS")
def _pack(site: _Site) -> Iterator[Part]:
    made = site.made
    plane_pairs, height, width, channels, _, columns, _ = made.numbers(*range(7))
    step = 2 if made.macro == "TVMTINY_DEPTHWISE_PACK" else 1
    row, pairs = site.argument(1), site.argument(3)
    inside = np.zeros(site.call.points, np.int64)
    edges = np.zeros(site.call.points, np.int64)
    left, at = pairs.copy(), row.copy()
    while np.any(left > 0):
        active = left > 0
        fits = active & (at >= 0) & (at + 2 * step <= height) & (left >= step)
        inside += fits
        edges += active & ~fits
        taken = np.where(fits, step, 1) * active
        left, at = left - taken, at + 2 * taken
    events = {
        "call": site.call.times,
        "columns": site.call.times * (columns - width),
        "column words": site.call.times * (columns - width) * plane_pairs,
        "inside": site.total(inside),
        "edges": site.total(edges),
    }
    yield Part(site.name, made.macro.removeprefix("TVMTINY_").lower(), events)
    far = channels >= 256
    calls = site.total(inside)
    if step == 2:
        quad = {"call": calls, "columns": calls * width, "far": calls * width * far}
        yield Part(f"{site.name}_quad", "depthwise quad", quad, fixed=True)
        edge_calls = site.total(edges)
    else:
        edge_calls = calls + site.total(edges)
    edge = {"call": edge_calls, "columns": edge_calls * width}
    yield Part("tvmtiny_depthwise_edge", "depthwise edge", edge, fixed=True)


@_of("TVMTINY_DEPTHWISE_3X3_*")
def _three(site: _Site) -> Iterator[Part]:
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


# ---- Thumb ---------------------------------------------------------------------------------


@_of("TVMTINY_THUMB_PAIRS")
def _pairs(site: _Site) -> Iterator[Part]:
    made = site.made
    pixels, chunk, first, unroll, loops = made.numbers(0, 1, 2, 3, 4)
    rounding = made.arguments[-1]
    count = first + unroll * loops
    words = 3 + -(-chunk * count // 4) + _CONSTANTS[rounding]
    channels = site.total((site.argument(3) - site.argument(1)) // 4) / words
    size = 2 * pixels * chunk * count
    events = {
        "call": site.call.times,
        "channels": channels,
        f"chunks of {chunk}": channels * count,
        "turns": channels * loops,
        "move": channels * (-chunk * count % 4 > 0),
        "far": channels * (size > 4095),
    }
    yield Part(site.name, f"pairs {pixels} {rounding}", events, fixed=site.unaligned)
    if not site.unaligned:
        # Of Armv6-M only the sums are assembly.
        sums = {name: count for name, count in events.items() if name != "move"}
        yield Part(f"{site.name}_sums", f"pair sums {pixels}", {**sums, "call": channels}, True)
        outputs = {"call": channels}
        yield Part("tvmtiny_thumb_outputs", f"thumb outputs {pixels} {rounding}", outputs)


@_of("TVMTINY_PAIRS_GATHER")
def _pairs_gather(site: _Site) -> Iterator[Part]:
    made = site.made
    (
        pixels,
        height,
        width,
        channels,
        out_height,
        out_width,
        rows,
        count,
        size,
        apart,
        down,
        across,
        dilation,
        top,
        left,
    ) = made.numbers(*range(1, 16))
    weight = site.call.weight
    position = site.argument(2)[:, None] + np.arange(pixels)[None, :]
    line = position // out_width
    row = line % out_height * down - top
    first = (position % out_width * across - left) * channels
    taps = row[:, :, None] + np.arange(rows)[None, None, :] * dilation
    valid = (taps >= 0) & (taps < height)
    starts = first[:, :, None] + np.arange(count)[None, None, :] * apart
    within_row = (starts >= 0) & (starts + size <= width * channels)
    whole = valid[:, :, :, None] & within_row[:, :, None, :]
    total_rows = float(whole.size) * weight
    edge = float((~whole).sum()) * weight
    overlap = np.clip(np.minimum(starts + size, width * channels) - np.maximum(starts, 0), 0, size)
    copied = np.where(whole, 0, valid[:, :, :, None] * overlap[:, :, None, :])
    filled = np.where(whole | valid[:, :, :, None], 0, size)
    invalid = float((~valid).sum()) * count * weight
    events = {
        "call": site.call.times,
        "pairs": site.call.times * pixels / 2,
        "rows": total_rows / 2,
        "row turns": site.call.times * pixels / 2 * rows,
        "edge rows": edge,
        "outside rows": invalid,
        "edge bytes": edge * size,
        "bytes copied": float(copied.sum()) * weight,
        "outside bytes": float(filled.sum()) * weight,
        "bytes before": float(
            (np.clip(-starts, 0, size)[:, :, None, :] * valid[:, :, :, None]).sum()
        )
        * weight,
        "pack turns": total_rows / 2 * (size // 4),
        "pack rest": total_rows / 2 * (size % 4),
        "pack loops": total_rows / 2 * (size >= 4),
        "pack ends": total_rows / 2 * (size % 4 > 0),
        "once": total_rows / 2 * (size // 4 == 1),
    }
    if not site.unaligned:
        events["bits"] = float(np.log2(np.maximum(position // out_width, 1)).sum()) * weight
    yield Part(site.name, f"pairs gather {pixels}", events)


@_of("tvmtiny_thumb_pack_2", "tvmtiny_thumb_pack_4")
def _pack_pixels(site: _Site) -> Iterator[Part]:
    depth = int(site.argument(2)[0])
    both = site.call.times * (2 if site.name.endswith("4") else 1)
    events = {
        "call": site.call.times,
        "turns": both * (depth // 4) * (depth >= 8),
        "once": both * (4 <= depth < 8),
        "rest": both * (depth % 4),
        "ends": both * (depth % 4 > 0),
    }
    yield Part(site.name, site.name.removeprefix("tvmtiny_"), events)


@_of("TVMTINY_THUMB_DEPTHWISE")
def _thumb_depthwise(site: _Site) -> Iterator[Part]:
    made = site.made
    width, rows_of_filter, columns = made.numbers(1, 2, 3)
    rounding = made.arguments[-1]
    rows = site.argument(3)
    lines = site.call.times if width == 1 else site.total(rows)
    count = rows if width == 1 else np.full(site.call.points, width)
    turns = np.ones(site.call.points) if width == 1 else rows
    fours = site.total(turns * (count // 4))
    rest = site.total(turns * (count % 4))
    narrow = " column" * (width == 1)
    yield Part(site.name, f"thumb depthwise{narrow}", {"call": site.call.times, "lines": lines})
    events = {
        "call": lines,
        "fours in loops": site.total(turns * np.where(count >= 8, count // 4, 0)),
        "rest in loops": site.total(turns * np.where(count % 4 > 1, count % 4, 0)),
        "fours and rest": site.total(turns * ((count > 4) & (count % 4 > 0))),
        "fours": fours,
        "four rows": fours * rows_of_filter,
        "four taps": fours * rows_of_filter * columns,
        "rest": rest,
        "rest rows": rest * rows_of_filter,
        "rest taps": rest * rows_of_filter * columns,
    }
    yield Part("tvmtiny_thumb_depthwise", f"thumb depthwise {rounding}", events)


@_of("TVMTINY_THUMB_3X3")
def _thumb_three(site: _Site) -> Iterator[Part]:
    stride, loops, unroll, rest, single = site.made.numbers(1, 2, 3, 4, 5)
    rows = site.total(site.argument(3))
    events = {
        "call": site.call.times,
        "rows": rows,
        "turns": rows * loops,
        "twos": rows * (loops * unroll + rest),
        "ones": rows * single,
    }
    yield Part(site.name, f"thumb 3x3 {stride}", events, fixed=True)


@_of("TVMTINY_PLANE")
def _plane(site: _Site) -> Iterator[Part]:
    height, width, _, rows, columns, left = site.made.numbers(*range(6))
    used = min(columns - left, width)
    row = site.argument(1)
    valid = np.clip(np.minimum(row + rows, height) - np.maximum(row, 0), 0, rows)
    lines = site.total(valid)
    outside = site.total(rows - valid)
    events = {
        "call": site.call.times,
        "rows": lines,
        "fours": lines * (used // 4),
        "rest": lines * (used % 4),
        "ends": lines * (used % 4 > 0),
        "none": lines * (used < 4),
        "outside rows": outside,
        "outside bytes": outside * columns,
        "outside words": outside * (columns // 4),
        "outside rest": outside * (columns % 4),
    }
    yield Part(site.name, "plane", events)


@_of("tvmtiny_plane_fill")
def _plane_fill(site: _Site) -> Iterator[Part]:
    count = site.argument(1)
    events = {
        "call": site.call.times,
        "bytes": site.total(count),
        "words": site.total(count // 4),
        "rest": site.total(count % 4),
    }
    yield Part(site.name, "plane fill", events)


@_of("TVMTINY_THUMB_SINGLE")
def _single(site: _Site) -> Iterator[Part]:
    channels, first, unroll, loops = site.made.numbers(0, 1, 2, 3)
    rounding = site.made.arguments[-1]
    depth = first + unroll * loops
    words = -(-channels * depth // 4) + channels * (1 + _CONSTANTS[rounding])
    tiles = site.total((site.argument(3) - site.argument(1)) // 4) / words
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "inputs": tiles * depth,
        "turns": tiles * loops,
    }
    yield Part(site.name, f"single {channels} {rounding}", events, fixed=site.unaligned)


@_of("TVMTINY_THUMB_QUADS")
def _quads(site: _Site) -> Iterator[Part]:
    chunk, first, unroll, loops = site.made.numbers(0, 1, 2, 3)
    rounding = site.made.arguments[-1]
    count = first + unroll * loops
    words = 1 + chunk * count + 4 * (3 + _CONSTANTS[rounding])
    quads = site.total((site.argument(3) - site.argument(1)) // 4) / words
    events = {
        "call": site.call.times,
        "quads": quads,
        f"chunks of {chunk}": quads * count,
        "turns": quads * loops,
    }
    yield Part(site.name, f"quads {rounding}", events, fixed=site.unaligned)


@_of("tvmtiny_thumb_sum")
def _sum(site: _Site) -> Iterator[Part]:
    count = site.argument(1)
    events = {
        "call": site.call.times,
        "inputs": site.total(count),
        "fours": site.total(count // 4),
        "rest": site.total(count % 4),
    }
    yield Part(site.name, "thumb sum", events)
