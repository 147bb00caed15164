"""Counts of kernels for Thumb-2 without the DSP extension, and for Armv6-M."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.estimation.kernels.counting import CONSTANTS, Part, Site, counts_of
from tvmtiny.estimation.kernels.library import memcpy_of_few, memset

#: Most bytes that GCC stores by itself instead of calling memset: on Armv6-M, and on cores that
#: load words from any address.
_STORED, _STORED_UNALIGNED = 4, 28

#: Least bytes of a row of a plane that are copied or filled 16 at a time.
_LONG = 32

#: Chunks of three words that take as long as a chunk of bytes, by its length.
_BYTES = {2: 1.1, 3: 1.4, 4: 1.7}


@counts_of("TVMTINY_THUMB_PAIRS", "TVMTINY_THUMB_MIXED")
def _pairs(site: Site) -> Iterator[Part]:
    made = site.made
    pixels, chunk, first, unroll, loops = made.numbers(0, 1, 2, 3, 4)
    length, turns = made.numbers(5, 6) if made.macro == "TVMTINY_THUMB_MIXED" else (2, 0)
    rounding = made.arguments[-1]
    count = first + unroll * loops
    words = 3 + -(-chunk * count // 4) + 2 * turns + CONSTANTS[rounding]
    channels = site.total((site.argument(3) - site.argument(1)) // 4) / words
    size = 2 * pixels * chunk * count
    sums = {
        "channels": channels,
        **_chunks(chunk, channels * count),
        "turns": channels * loops,
        "far": channels * (size > 4095),
    }
    for name, added in _chunks(3, channels * turns * _BYTES[length]).items():
        sums[name] += added
    events = {"call": site.call.times, "channels": channels}
    move = channels * (-chunk * count % 4 > 0)
    if site.unaligned:
        events |= {**sums, "move": move, **_signed(rounding, channels)}
        yield Part(site.name, f"pairs {pixels}", events, fixed=True)
        return
    # On Armv6-M only the sums are assembly.
    yield Part(site.name, f"pairs {pixels} {rounding}", {**events, "move": move})
    yield Part(f"{site.name}_sums", f"pair sums {pixels}", {**sums, "call": channels}, True)
    yield _finish(rounding, channels, channels * pixels)


def _chunks(chunk: int, count: float) -> dict[str, float]:
    """Count sums of `chunk` products; assembly adds the products of two inputs at a time."""
    return {
        "chunks": count,
        "products": count * chunk,
        "odd chunks": count * (chunk % 2),
        "single chunks": count * (chunk == 1),
    }


def _signed(rounding: str, calls: float) -> dict[str, float]:
    """Count how often assembly adds the constants of rounding by sign, which costs the same."""
    return {"signed": calls * (rounding == "SIGNED")}


@counts_of("TVMTINY_THUMB_SPARSE")
def _sparse(site: Site) -> Iterator[Part]:
    made = site.made
    pixels, chunk, width = made.numbers(0, 1, 3)
    rounding = made.arguments[-1]
    channels = site.call.times * width
    words = site.total((site.argument(3) - site.argument(1)) // 4)
    # Words of a channel apart from its blocks; on average a block ends in the middle of a word.
    around = 3 + CONSTANTS[rounding] + 0.375
    blocks = (words - around * channels) / 1.25
    # Chunks of one, for neighbouring weights of -128 only, count as those of two.
    events = {"call": site.call.times, "channels": channels, f"chunks of {max(chunk, 2)}": blocks}
    # Rounding by sign, a few instructions of an output, is not told apart.
    yield Part(site.name, f"sparse {pixels}", events, fixed=site.unaligned)
    if not site.unaligned:
        sums = {**events, "call": channels}
        yield Part(f"{site.name}_sums", f"sparse sums {pixels}", sums, True)
        yield _finish(rounding, channels, channels * pixels)


@counts_of("TVMTINY_BLOCKS")
def _blocks(site: Site) -> Iterator[Part]:
    channels, blocks = (site.call.times * count for count in site.made.numbers(1, 2))
    events = {"call": site.call.times, "channels": channels, "blocks": blocks}
    # Rounding by sign, a few instructions of an output, is not told apart.
    yield Part(site.name, "blocks", events)


def _finish(rounding: str, calls: float, outputs: float) -> Part:
    """Count the function that turns sums into outputs on Armv6-M."""
    events = {"call": calls, "outputs": outputs}
    return Part(f"tvmtiny_thumb_finish_{rounding}", f"thumb finish {rounding}", events, fixed=True)


@counts_of("TVMTINY_PAIRS_GATHER")
def _pairs_gather(site: Site) -> Iterator[Part]:
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
    valid = ((taps >= 0) & (taps < height))[:, :, :, None]
    starts = (first[:, :, None] + np.arange(count)[None, None, :] * apart)[:, :, None, :]
    whole = valid & (starts >= 0) & (starts + size <= width * channels)
    pairs = site.call.times * pixels / 2
    all_rows = pairs * rows * count
    turns, rest = divmod(size, 4)
    events = {
        "call": site.call.times,
        "pairs": pairs,
        # Compilers replace divisions by constants, and a single row or part needs no loop.
        "columns divided": pairs * (not _is_power(out_width)),
        "columns shifted": pairs * (_is_power(out_width) and out_width > 1),
        "lines divided": pairs * (not _is_power(out_height)),
        "lines shifted": pairs * (_is_power(out_height) and out_height > 1),
        "rows": pairs * rows * (rows > 1),
        "parts": all_rows * (count > 1),
        "pack turns": all_rows * turns * (turns > 1),
        "pack loops": all_rows * (turns > 1),
        "once": all_rows * (turns == 1),
        f"rest of {rest}": all_rows * (rest > 0),
        "edge rows": float((~whole).sum()) * weight,
    }
    if not site.unaligned:
        events["bits"] = float(np.log2(np.maximum(position // out_width, 1)).sum()) * weight
    yield Part(site.name, f"pairs gather {pixels}", events)
    if size > 1 and not whole.all():
        yield _pairs_edge(site, whole, valid, starts, taps, size, width * channels)


def _is_power(number: int) -> bool:
    return number & (number - 1) == 0


def _pairs_edge(
    site: Site,
    whole: np.ndarray,
    valid: np.ndarray,
    starts: np.ndarray,
    taps: np.ndarray,
    size: int,
    width: int,
) -> Part:
    """Count the copies of rows that are partly or wholly outside of the input.

    Parameters
    ----------
    whole, valid
        For each row of the patches, whether all of it, and whether some row of the input, is
        inside; the axes are calls, pixels, rows and parts.
    starts, taps
        First byte within the row of the input, and that row.
    size, width
        Bytes of a row of the patch, and of the input.
    """
    begin, end = np.maximum(starts, 0), np.minimum(starts + size, width)
    inside = np.where(valid, np.maximum(end - begin, 0), 0)
    copied = ~whole & (inside > 0)
    few = copied & (size < 4)
    # The copies of the two pixels are next to each other.
    copy = np.broadcast_to(np.arange(whole.shape[1])[None, :, None, None] % 2 * size, whole.shape)
    source = taps[:, :, :, None] * width + begin
    filled = ~whole & ~few
    moved = copied & ~few
    aligned = ((copy + begin - starts) | source) % 4 == 0
    weight = site.call.weight
    events = {
        "call": float((~whole).sum()) * weight,
        "few": float(few.sum()) * weight,
        "few bytes": float(few.sum()) * weight * size,
        "few inside": float((few * inside).sum()) * weight,
        **_by_words("fill", np.full(filled.sum(), size), copy[filled] % 4 == 0, site),
        **_by_words("copy", inside[moved], aligned[moved], site),
    }
    return Part("tvmtiny_pairs_edge", "pairs edge", events, fixed=True, constants=())


def _by_words(kind: str, count: np.ndarray, aligned: np.ndarray, site: Site) -> dict[str, float]:
    """Count tvmtiny_fill or tvmtiny_copy of numbers of bytes that are not constant."""
    words = aligned | site.unaligned
    parts = {
        "": np.ones_like(count),
        " by bytes": ~words,
        " byte": np.where(words, 0, count),
        " 16": words * (count // 16),
        **{f" {bit}": words * (count & bit > 0) for bit in (8, 4, 2, 1)},
    }
    return {kind + part: float(found.sum()) * site.call.weight for part, found in parts.items()}


#: Iterations for four inputs that take as long as an input of four pixels that stays a byte.
_KEPT = 0.75


@counts_of("tvmtiny_thumb_pack_mixed")
def _pack_mixed(site: Site) -> Iterator[Part]:
    kept = int(site.argument(3)[0])
    turns = 2 * ((int(site.argument(2)[0]) - kept) // 4) + _KEPT * kept
    events = {"call": site.call.times, "turns": site.call.times * turns}
    yield Part(site.name, "thumb_pack_4", {**events, "loops": 2 * site.call.times})


@counts_of("tvmtiny_thumb_pack_2", "tvmtiny_thumb_pack_4")
def _pack_pixels(site: Site) -> Iterator[Part]:
    depth = int(site.argument(2)[0])
    both = site.call.times * (2 if site.name.endswith("4") else 1)
    turns, rest = divmod(depth, 4)
    events = {
        "call": site.call.times,
        "turns": both * turns * (turns > 1),
        "loops": both * (turns > 1),
        "once": both * (turns == 1),
        f"rest of {rest}": both * (rest > 0),
    }
    yield Part(site.name, site.name.removeprefix("tvmtiny_"), events)


#: Most taps in several columns for which GCC unrolls both loops over a filter.
_UNROLLED_TAPS = 4


@counts_of("TVMTINY_THUMB_DEPTHWISE")
def _thumb_depthwise(site: Site) -> Iterator[Part]:
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
    }
    taps = rows_of_filter * columns
    if site.unaligned and columns > 1 and taps <= _UNROLLED_TAPS:
        events |= {"unrolled rest": rest, "unrolled rest taps": rest * taps}
    else:
        events |= {"rest": rest, "rest rows": rest * rows_of_filter, "rest taps": rest * taps}
    yield Part("tvmtiny_thumb_depthwise", f"thumb depthwise {rounding}", events)


@counts_of("TVMTINY_THUMB_ONE_COLUMN")
def _column(site: Site) -> Iterator[Part]:
    taps, _, step = site.made.numbers(0, 1, 2)
    pitch, rounding = site.made.number(6), site.made.arguments[-1]
    outputs = site.total(site.argument(3))
    events = {
        "call": site.call.times,
        "outputs": outputs,
        "taps": outputs * taps,
        "six": outputs * (taps == 6),
        "six calls": site.call.times * (taps == 6),
        "far": outputs * (step > 255),
        "far output": outputs * (pitch > 255),
        "signed calls": site.call.times * (rounding == "SIGNED"),
        **_signed(rounding, outputs),
    }
    yield Part(site.name, "thumb column", events, fixed=True)


@counts_of("TVMTINY_THUMB_WHOLE")
def _whole_patches(site: Site) -> Iterator[Part]:
    taps, channels = site.made.numbers(0, 1)
    outputs = site.call.times * channels
    events = {
        "call": site.call.times,
        "outputs": outputs,
        "taps": outputs * taps,
        **_signed(site.made.arguments[-1], outputs),
    }
    yield Part(site.name, "thumb whole", events, fixed=True)


@counts_of("TVMTINY_THUMB_DEPTHWISE_NEAR")
def _near_depthwise(site: Site) -> Iterator[Part]:
    sums, rounding = site.made.arguments[0], site.made.arguments[-1]
    width, rows_of_filter, columns = site.made.numbers(2, 3, 4)
    rows = site.argument(3)
    lines = np.ones(site.call.points) if width == 1 else rows
    count = rows if width == 1 else np.full(site.call.points, width)
    fours, rest = site.total(lines * (count // 4)), site.total(lines * (count % 4))
    ends = site.total(lines * (count % 4 > 0))
    events = {
        "call": site.call.times,
        "lines": site.total(lines),
        "fours": fours,
        "rest": rest,
        "ends": ends,
        "no fours": site.total(lines * (count < 4)),
        **{f"rest of {n}": site.total(lines * (count % 4 == n)) for n in (1, 2, 3)},
    }
    yield Part(site.name, f"thumb near{' column' * (width == 1)}", events)
    for name, calls in (("four", fours), ("one", rest)):
        taps = {"call": calls, "rows": calls * rows_of_filter}
        taps["taps"] = taps["rows"] * columns
        yield Part(f"{sums}_{name}", f"thumb near {name}", taps, fixed=True)
    yield _finish(rounding, fours + ends, 4 * fours + rest)


@counts_of("TVMTINY_THUMB_3X3")
def _thumb_three(site: Site) -> Iterator[Part]:
    stride, loops, unroll, rest, single = site.made.numbers(1, 2, 3, 4, 5)
    rounding = site.made.arguments[-1]
    rows = site.total(site.argument(3))
    pairs = rows * (loops * unroll + rest)
    events = {
        "call": site.call.times,
        "rows": rows,
        "turns": rows * loops,
        "twos": pairs,
        "ones": rows * single,
        "signed calls": site.call.times * (rounding == "SIGNED"),
        **_signed(rounding, 2 * pairs + rows * single),
    }
    yield Part(site.name, f"thumb 3x3 {stride}", events, fixed=True)


@counts_of("TVMTINY_PLANE")
def _plane(site: Site) -> Iterator[Part]:
    height, width, channels, rows, columns, left = site.made.numbers(*range(6))
    used = min(columns - left, width)
    row = site.argument(1)
    valid = np.clip(np.minimum(row + rows, height) - np.maximum(row, 0), 0, rows)
    lines = site.total(valid)
    outside = site.total(rows - valid)
    # Compilers copy adjacent bytes of a row by words or call memcpy. Cores that load words from any
    # address have a function of their own for these.
    alone = channels == 1
    fours, rest = divmod(used, 4)
    copied = alone and rest == 3
    of = " of neighbours" * alone
    events = {
        "call": site.call.times,
        "rows": lines,
        f"fours{of}": lines * fours * (fours > 1),
        f"loop{of}": lines * (fours > 1),
        f"once{of}": lines * (fours == 1),
        f"rest of {rest}{of}": lines * (rest > 0 and not copied),
        "copied": lines * copied,
        "outside rows": outside,
    }
    if columns <= (_STORED_UNALIGNED if site.unaligned else _STORED):
        events |= {
            "outside bytes": outside * columns,
            "outside words": outside * (columns // 4),
            "outside rest": outside * (columns % 4),
        }
    elif outside:
        line = row[:, None] + np.arange(rows)[None, :]
        address = site.argument(2)[:, None] + np.arange(rows)[None, :] * columns
        address = address[(line < 0) | (line >= height)]
        events["filled"] = outside
        yield memset(site, address, np.full(len(address), columns))
    if copied:
        yield memcpy_of_few(lines, rest)
    if site.call.constant[1] and site.unaligned:
        # Compilers decide which rows are inside, which saves little without copies of words.
        events = {f"known {name}": count for name, count in events.items()}
    yield Part(site.name, "plane", events)


@counts_of("TVMTINY_THUMB_PLANE")
def _plane_of_one_channel(site: Site) -> Iterator[Part]:
    height, width, _, rows, columns, left = site.made.numbers(*range(6))
    used = min(columns - left, width)
    row = site.argument(1)
    above = np.clip(-row, 0, rows)
    inside = np.clip(np.minimum(row + rows, height) - np.maximum(row, 0), 0, rows)
    below = rows - above - inside
    lines, filled = site.total(inside), site.total(above + below)
    events = {
        "call": site.call.times,
        "saved": site.call.times * (columns >= _LONG),
        "above": site.total(above > 0),
        "rows above": site.total(above),
        "only above": site.total(above == rows),
        "inside": site.total(inside > 0),
        "rows": lines,
        "moves": (site.total(inside > 0) + site.total((inside > 0) & (below > 0))) * (left > 0),
        "steps": lines * ((width > used) + (columns > used)),
        "below": site.total(below > 0),
        "rows below": site.total(below),
    }
    for kind, count, size in (("copied", lines, used), ("filled", filled, columns)):
        turns, rest = divmod(size, 16) if size >= _LONG else (0, size)
        events[f"{kind} pieces"] = count * (rest // 4 + (rest & 3).bit_count())
        events[f"{kind} loops"] = count * (turns > 0)
        events[f"{kind} turns"] = count * turns
    yield Part(site.name, "plane of one channel", events, fixed=True)


@counts_of("tvmtiny_plane_fill")
def _plane_fill(site: Site) -> Iterator[Part]:
    count = site.argument(1)
    if site.unaligned and count.max(initial=0) <= _STORED_UNALIGNED:
        stores = {"words": site.total(count // 4), "rest": site.total(count % 4)}
        yield Part(site.name, "plane fill", {"call": site.call.times, **stores})
        return
    yield Part(site.name, "plane fill", {"call": site.call.times})
    yield memset(site, site.argument(0), count)


def _by_fours(site: Site, count: np.ndarray, kind: str) -> Iterator[Part]:
    """Count a loop over four bytes at a time, and a loop over the remaining bytes."""
    events = {
        "call": site.call.times,
        "bytes": site.total(count),
        "fours": site.total(count // 4),
        "rest": site.total(count % 4),
    }
    yield Part(site.name, kind, events)


@counts_of("tvmtiny_thumb_sum")
def _sum(site: Site) -> Iterator[Part]:
    yield from _by_fours(site, site.argument(1), "thumb sum")


@counts_of("TVMTINY_THUMB_SINGLE")
def _single(site: Site) -> Iterator[Part]:
    channels, first, unroll, loops = site.made.numbers(0, 1, 2, 3)
    rounding = site.made.arguments[-1]
    depth = first + unroll * loops
    words = -(-channels * depth // 4) + channels * (1 + CONSTANTS[rounding])
    tiles = site.total((site.argument(3) - site.argument(1)) // 4) / words
    events = {
        "call": site.call.times,
        "tiles": tiles,
        "inputs": tiles * depth,
        "turns": tiles * loops,
    }
    yield Part(site.name, f"single {channels} {rounding}", events, fixed=site.unaligned)


@counts_of("TVMTINY_THUMB_QUADS")
def _quads(site: Site) -> Iterator[Part]:
    chunk, first, unroll, loops = site.made.numbers(0, 1, 2, 3)
    rounding = site.made.arguments[-1]
    count = first + unroll * loops
    words = 1 + chunk * count + 4 * (3 + CONSTANTS[rounding])
    quads = site.total((site.argument(3) - site.argument(1)) // 4) / words
    events = {
        "call": site.call.times,
        "quads": quads,
        **_chunks(chunk, quads * count),
        "turns": quads * loops,
    }
    if site.unaligned:
        yield Part(site.name, "quads", {**events, **_signed(rounding, quads)}, fixed=True)
    else:
        yield Part(site.name, f"quads {rounding}", events)
