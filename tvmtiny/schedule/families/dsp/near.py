"""Patches of neighbouring outputs, expanded together by ``tvmtiny_dsp_near.h``."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.matrix_layer import Layer

HEADER = "tvmtiny_dsp_near.h"

#: Largest immediate offsets: LDR and ADD; LDRD.
_OFFSET, _DOUBLE_OFFSET = 4095, 1020

#: The smallest number of output columns with enough tiles in one row.
_LEAST_COLUMNS = 10

#: The limit on bytes of a strip.
_MOST_STRIP = 1024

#: The largest ratio of groups of separate rows to groups of a whole patch.
_MOST_MORE_GROUPS = 1.15

#: Instructions of a tile's step around its groups, and of a copied line.
_STEP, _LINE = 40, 25


@dataclass(frozen=True)
class Strip:
    """Padded lines of an input with one channel.

    Attributes
    ----------
    rows
        Rows of the output.
    lines
        Lines of the input, including padding.
    pitch
        Bytes per line.
    fill
        The name of the function that fills the strip.
    """

    rows: int
    lines: int
    pitch: int
    fill: str = ""

    @property
    def size(self) -> int:
        """Bytes of the strip."""
        return self.lines * self.pitch


@dataclass(frozen=True)
class Near:
    """A way to expand the patches of a tile together.

    Attributes
    ----------
    kind
        ``taps``: three adjacent columns; ``nines``: three rows of nine bytes; ``strip``: rows of
        one channel, from padded lines.
    kernel
        The name of the kernel.
    gather
        The name of the function that expands all patches of a tile from a position.
    preamble
        The instantiations of both, without the function that gathers a single patch.
    single
        The instantiation of a function that gathers one patch; empty to use the usual function.
    strip
        The strip, if there is one.
    """

    kind: str
    kernel: str
    gather: str
    preamble: tuple[str, ...]
    single: str = ""
    strip: Strip | None = None


def near(node: Node, layer: Layer, tile: packing.TileShape, weight_format: str) -> Near | None:
    """Return a way to expand patches together; None if each is expanded separately."""
    geometry = layer.geometry
    if (
        geometry is None
        or geometry.dilation != (1, 1)
        or layer.groups > 1
        or tile.pixels not in (2, 3)
        or weight_format not in ("w8", "w16", "p8", "h8", "h16")
        or node.input(0).shape[0] > 1
        or geometry.output[1] < tile.pixels
    ):
        return None
    expansion = "h16" if weight_format[0] == "h" else packing.inputs_of(weight_format)
    channels = node.input(0).shape[3]
    if channels % packing.GROUP == 0:
        return _taps(layer, geometry, channels, tile.pixels, expansion)
    if expansion == "h16":
        return None
    if channels == 1:
        return _strip(layer, geometry, tile, expansion)
    return _nines(layer, geometry, channels, tile.pixels, expansion)


def arranged(layer: Layer, found: Near | None) -> Layer:
    """Return `layer` with weights in the order in which patches are expanded, padded with zeros."""
    if found is None or found.kind == "taps":
        return layer
    assert layer.geometry is not None
    shape = (layer.channels, *layer.geometry.kernel, -1)
    return replace(layer, weights=arrange(layer.weights.reshape(shape), found.kind))


def arrange(weights: np.ndarray, kind: str) -> np.ndarray:
    """Arrange weights in the order in which patches of a `kind` are expanded, padded with zeros.

    Parameters
    ----------
    weights
        int8, ``(channels, rows, columns, depth)``.
    kind
        As in `Near`; empty for separate patches.

    Returns
    -------
    np.ndarray
        ``(channels, depth)``.
    """
    channels, rows = weights.shape[:2]
    lines = weights.reshape(channels, rows, -1)
    if kind == "strip":
        lines = np.pad(lines, ((0, 0), (0, 0), (0, -lines.shape[2] % packing.GROUP)))
    if kind == "nines":
        parts = [lines[:, :, :8].reshape(channels, -1), lines[:, :, 8]]
        return np.concatenate(parts, axis=1)
    return lines.reshape(channels, -1)


def _taps(
    layer: Layer, geometry: Window, channels: int, pixels: int, expansion: str
) -> Near | None:
    reach = channels * 4 * (2 if expansion == "h16" else 1)
    if (
        geometry.kernel[1] != 3
        or geometry.stride[1] != 1
        or geometry.output[1] < _LEAST_COLUMNS
        or reach > (_DOUBLE_OFFSET if expansion == "h16" else _OFFSET)
        or 2 * pixels * channels > _OFFSET
    ):
        return None
    kernel = f"near_taps_{expansion}_{channels}_{pixels}"
    macro = expansion.upper()
    sizes = [*geometry.input, channels, geometry.kernel[0], geometry.output[1]]
    sizes += [geometry.stride[0], *geometry.pad]
    pad = str(layer.pad).replace("-", "m")
    name = f"gather_taps_{expansion}_{'_'.join(map(str, sizes))}_{pad}_{pixels}"
    arguments = ", ".join(map(str, sizes))
    return Near(
        "taps",
        kernel,
        name,
        (
            f"TVMTINY_NEAR_TAPS({kernel}, {macro}, {channels}, {pixels}, {pixels + 2})",
            f"TVMTINY_GATHER_TAPS({name}, {kernel}, {{one}}, {macro}, {arguments}, ({layer.pad}), "
            f"{pixels})",
        ),
    )


def _nines(
    layer: Layer, geometry: Window, channels: int, pixels: int, expansion: str
) -> Near | None:
    (height, width), step = geometry.input, geometry.stride[1] * channels
    pitch = width * channels
    if geometry.kernel != (3, 3) or channels != 3 or 2 * pitch + 8 + 3 * step > _OFFSET:
        return None
    span = (pixels - 1) * geometry.stride[1] + 3
    kernel = f"near_nines_{expansion}_{pitch}_{step}_{pixels}"
    macro = expansion.upper()
    sizes = [height, width, channels, 3, span, geometry.output[1], *geometry.stride]
    sizes += [*geometry.pad, pixels]
    pad = str(layer.pad).replace("-", "m")
    name = f"gather_nines_{expansion}_{'_'.join(map(str, sizes))}_{pad}"
    return Near(
        "nines",
        kernel,
        name,
        (
            f"TVMTINY_NEAR_NINES({kernel}, {macro}, {pitch}, {step}, {pixels})",
            f"TVMTINY_GATHER_NEAR({name}, {kernel}, {{one}}, {macro}, "
            f"{', '.join(map(str, sizes))})",
        ),
        f"TVMTINY_GATHER_NINES({{one}}, {expansion}, {height}, {width}, ({layer.pad}), {pixels})",
    )


def _strip(layer: Layer, geometry: Window, tile: packing.TileShape, expansion: str) -> Near | None:
    rows, columns = geometry.kernel
    groups = packing.groups(columns)
    if groups * rows > _MOST_MORE_GROUPS * packing.groups(layer.depth):
        return None
    strip = _choose_strip(layer, geometry, tile, expansion)
    if strip is None:
        return None
    pixels, step, pitch = tile.pixels, geometry.stride[1], strip.pitch
    macro = expansion.upper()
    pairs = step == 2 and groups % 2 == 0
    kernel = f"near_{'pairs' if pairs else 'rows'}_{expansion}_{rows}_{pitch}_{groups}"
    if pairs:
        kernel += f"_{pixels}"
        line = f"TVMTINY_NEAR_PAIRS({kernel}, {macro}, {rows}, {pitch}, {groups}, {pixels}, "
        line += f"{pixels + 2})"
    else:
        kernel += f"_{step}_{pixels}"
        line = f"TVMTINY_NEAR_ROWS({kernel}, {macro}, {rows}, {pitch}, {groups}, {step}, {pixels})"
    (height, width), pad = geometry.input, str(layer.pad).replace("-", "m")
    around = [height, width, strip.lines, pitch, geometry.pad[1]]
    fill = f"strip_{'_'.join(map(str, around))}_{pad}"
    lines = f"TVMTINY_STRIP({fill}, {', '.join(map(str, around))}, ({layer.pad}))"
    span = (pixels - 1) * step + packing.GROUP * groups
    sizes = [strip.lines, pitch, 1, rows, span, geometry.output[1], *geometry.stride, 0, 0, pixels]
    name = f"gather_strip_{expansion}_{'_'.join(map(str, sizes))}_{pad}"
    return Near(
        "strip",
        kernel,
        name,
        (
            line,
            lines,
            f"TVMTINY_GATHER_NEAR({name}, {kernel}, {{one}}, {macro}, "
            f"{', '.join(map(str, sizes))})",
        ),
        strip=replace(strip, fill=fill),
    )


def _choose_strip(
    layer: Layer, geometry: Window, tile: packing.TileShape, expansion: str
) -> Strip | None:
    """The strip with the fewest instructions among those that are small enough."""
    rows, groups = geometry.kernel[0], packing.groups(geometry.kernel[1])
    reach = (geometry.output[1] - 1) * geometry.stride[1] + packing.GROUP * groups
    pitch = max(reach, geometry.pad[1] + geometry.input[1])
    pitch += -pitch % packing.GROUP
    if pitch * (rows + 1) > _OFFSET:
        return None
    total = geometry.output[0]
    group = tile.instructions.get(expansion, max(tile.instructions.values()))
    each = rows * groups * group + _STEP
    each *= -(-layer.channels // tile.channels)
    found: list[tuple[int, Strip]] = []
    for count in range(1, total + 1):
        lines = (count - 1) * geometry.stride[0] + rows
        strip = Strip(count, lines, pitch)
        if strip.size > _MOST_STRIP:
            break
        steps = -(-count * geometry.output[1] // tile.pixels)
        cost = -(-total // count) * (steps * each + lines * (_LINE + pitch // 2))
        found.append((cost, strip))
    # A larger strip must save a percent of the cost for each 1,000 bytes.
    best = min(found, key=lambda entry: entry[0] * (1 + 1e-5 * entry[1].size), default=None)
    return None if best is None else best[1]
