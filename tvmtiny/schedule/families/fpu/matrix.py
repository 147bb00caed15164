"""float32 CONV_2D, FULLY_CONNECTED and depthwise convolutions with multipliers, as tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule import assembly, nest
from tvmtiny.schedule.families.fpu.finish import FLOAT, finish_of
from tvmtiny.schedule.families.fpu.tile import Runs, Tile
from tvmtiny.schedule.implementation import Decision, Decisions, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import read_patches
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.per_node import per_node

HEADERS = ("tvmtiny_fpu.h",)

#: Limit of distances in floats that fit the immediates of two instructions.
FAR = 1 << 17

#: Products are added by VFMA, or by a separate VADD.
PRODUCTS = ("fused", "apart")

#: Numbers of pixels and of channels in a tile.
_TOGETHER, _WIDTHS = (1, 2, 3, 4), range(1, 17)

#: Number of tiles that a tuner may choose from.
_OPEN = 4


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer as calls of a kernel.

    Attributes
    ----------
    weights
        Weights, ``(channels, depth)``, in the order of `runs`.
    geometry
        The window; None if patches are `depth` consecutive inputs, one patch after the other.
    pixels
        Pixels of a call: a row of outputs, or all outputs.
    groups
        Number of groups of channels.
    runs, pitch
        Arguments of the kernel, see `Tile`.
    """

    weights: np.ndarray
    geometry: Window | None
    pixels: int
    groups: int
    runs: Runs
    pitch: int

    @property
    def channels(self) -> int:
        """Number of channels of all groups."""
        return len(self.weights)

    @property
    def staged(self) -> bool:
        """Whether the input rows of an output row are copied, with padding."""
        return self.geometry is not None and self.geometry.padded


def matrix_sketches(node: Node) -> tuple[Sketch, ...]:
    """Return the sketch of a layer; open are the tile and the addition of products."""
    layer = _layer(node)
    if layer is None:
        return ()
    best = [tile for fused in (True, False) for tile in _tiles(node, layer, fused)[:_OPEN]]
    tiles = tuple(dict.fromkeys(f"{tile.together}x{tile.width}" for tile in best))
    decisions = (Decision("tile", tiles), Decision("products", PRODUCTS))
    return (Sketch("fpu_tile", decisions),)


def implement_matrix(
    node: Node, fused: bool, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement a layer; return None if distances are too large for the kernel.

    Parameters
    ----------
    node
        The layer.
    fused
        Default of the decision ``products``.
    decisions
        A candidate of `matrix_sketches`; by default the tile with the fewest instructions.

    Notes
    -----
    The decision ``tile`` is pixels times channels. ``products`` are ``fused`` with the additions,
    or ``apart`` from them, which takes more instructions but fewer cycles on Cortex-M4.
    """
    layer = _layer(node)
    if layer is None:
        return None
    if decisions is None:
        tile = _tiles(node, layer, fused)[0]
    else:
        together, width = (int(n) for n in str(decisions["tile"]).split("x"))
        tile = _tile(node, layer, together, width, decisions["products"] == PRODUCTS[0])
        if not tile.chunk:
            return None
    values = _stream(node, layer, tile.width)
    if values is None:
        return None
    x = nest.buffer("x", node.input(0).elements, "float32")
    stream = nest.buffer("stream", values.size, "float32")
    out = nest.buffer("out", node.output.elements, "float32")
    name, preamble = _instance(tile)
    strip = nest.buffer("strip", _strip_size(layer), "float32") if layer.staged else None
    body = list(_body(node, layer, name, (x, strip, stream, out)))
    distance = None if layer.groups > 1 else _distance(node, layer, tile)
    decided: Decisions = {
        "sketch": "fpu_tile",
        "tile": f"{tile.together}x{tile.width}",
        "products": PRODUCTS[not tile.fused],
    }
    function = nest.function(
        [x, stream, out],
        [] if strip is None else [strip],
        body,
        operator=node.operator,
        schedule=f"fpu, tile {decided['tile']}{'' if tile.fused else ', products apart'}"
        + (", staged rows" if layer.staged else ""),
        headers=HEADERS,
        preamble=[preamble],
        overlaps=[] if distance is None else [Overlap("out", 0, FLOAT * distance, FLOAT)],
    )
    calls = node.output.elements // (tile.pixels * tile.channels)
    copied = calls * _strip_size(layer) // 3 if layer.staged else 0
    instructions = calls * tile.instructions + copied
    return Implementation(function, (node.input(0), values), decided, instructions)


@per_node
def _layer(node: Node) -> _Layer | None:
    data, outputs = node.input(1).data, node.output.elements
    assert data is not None
    if node.operator == "FULLY_CONNECTED":
        return _dense(data, outputs // len(data))
    if node.operator == "DEPTHWISE_CONV_2D":
        data = data.transpose(3, 1, 2, 0)
    geometry = window(node, (data.shape[1], data.shape[2]))
    inputs, depth = node.input(0).shape[3], data.shape[3]
    flat = data.reshape(len(data), -1)
    groups = inputs // depth
    if groups == 1 and geometry.flat:
        return _dense(flat, outputs // len(data))
    rows, columns = geometry.kernel
    pitch = _row_pitch(geometry, inputs) * geometry.dilation[0]
    joined = groups == 1 and geometry.dilation[1] == 1
    runs = (
        Runs(rows, pitch, 1, columns * depth, columns * depth)
        if joined
        else Runs(rows, pitch, columns, geometry.dilation[1] * inputs, depth)
    )
    step = geometry.stride[1] * inputs
    return _near(_Layer(flat, geometry, geometry.output[1], groups, runs, step))


def _dense(weights: np.ndarray, pixels: int) -> _Layer | None:
    depth = weights.shape[1]
    return _near(_Layer(weights, None, pixels, 1, Runs(1, depth, 1, depth, depth), depth))


def _near(layer: _Layer) -> _Layer | None:
    """Return the layer, or None if the steps of pointers are too long."""
    together = _TOGETHER[-1]
    steps = (layer.runs.outer_pitch, together * layer.pitch, together * layer.channels)
    return layer if max(steps) < FAR else None


def _row_pitch(geometry: Window, inputs: int) -> int:
    """Return the floats from one input row to the next, as the kernel reads them."""
    if not geometry.padded:
        return geometry.input[1] * inputs
    columns = (geometry.output[1] - 1) * geometry.stride[1]
    return (columns + (geometry.kernel[1] - 1) * geometry.dilation[1] + 1) * inputs


def _span(geometry: Window) -> int:
    """Return the number of input rows under a window."""
    return (geometry.kernel[0] - 1) * geometry.dilation[0] + 1


def _strip_size(layer: _Layer) -> int:
    assert layer.geometry is not None
    return _span(layer.geometry) * (layer.runs.outer_pitch // layer.geometry.dilation[0])


def _tile(node: Node, layer: _Layer, together: int, width: int, fused: bool) -> Tile:
    channels = layer.channels // layer.groups
    finish = finish_of(node)
    sizes = (layer.pixels, channels, together, width, layer.pitch, layer.channels)
    return Tile(*sizes, layer.runs, finish, fused)


@per_node
def _tiles(node: Node, layer: _Layer, fused: bool) -> list[Tile]:
    """Return the tiles that fit the registers, the one with the fewest instructions first."""
    found = [
        _tile(node, layer, together, width, fused)
        for together in _TOGETHER
        if together <= layer.pixels
        for width in _WIDTHS
        if width <= layer.channels // layer.groups
    ]
    return sorted((t for t in found if t.chunk), key=lambda t: t.cost)


def _stream(node: Node, layer: _Layer, width: int) -> np.ndarray | None:
    bias = bias_values(node, layer.channels)
    size = layer.channels // layer.groups
    parts: list[np.ndarray] = []
    for group in range(0, layer.channels, size):
        for first in range(group, group + size, width):
            block = slice(first, min(first + width, group + size))
            parts += [bias[block], layer.weights[block].T.ravel()]
    return finish_of(node).scaled(np.concatenate(parts))


def _instance(tile: Tile) -> tuple[str, str]:
    """Return name and instantiation of the kernel."""
    runs = tile.runs
    sizes: tuple[int, ...] = (
        tile.pixels,
        tile.channels,
        tile.width,
        tile.pitch,
        tile.out_pitch,
        runs.outer,
    )
    sizes += (runs.outer_pitch, runs.inner, runs.inner_pitch, runs.run)
    words = ["fpu", *map(str, sizes), str(tile.together), tile.finish.word()]
    name = "_".join(word for word in words if word) + ("" if tile.fused else "_apart")
    places = map(str, (sizes[0], tile.together, *sizes[1:]))
    arguments = [name, *places, *tile.finish.arguments(), assembly.text(tile.code())]
    return name, f"TVMTINY_FPU_TILE({', '.join(arguments)})"


def _body(
    node: Node,
    layer: _Layer,
    name: str,
    buffers: tuple[tirx.Buffer, tirx.Buffer | None, tirx.Buffer, tirx.Buffer],
) -> Iterator[tirx.Stmt]:
    x, strip, stream, out = buffers
    group_channels = layer.channels // layer.groups
    group_values = group_channels * (1 + layer.runs.depth)

    def calls(source: tirx.Buffer, start: nest.Argument, first: nest.Argument) -> tirx.Stmt:
        """Call the kernel for all groups; only depthwise layers and CONV_2D have several."""

        def one(group: nest.Argument) -> list[tirx.Stmt]:
            place = start + group * layer.runs.run if layer.groups > 1 else start
            arguments = (
                nest.address(source, place),
                nest.address(stream, group * group_values),
                nest.address(out, first + group * group_channels),
            )
            return [nest.call(name, *arguments)]

        return nest.loop(layer.groups, "group", one)

    if layer.geometry is None:
        yield calls(x, 0, 0)
        return
    geometry = layer.geometry
    batch, height, width, depth = node.input(0).shape
    rows = geometry.output[0]

    def line(image: nest.Argument, y: nest.Argument) -> list[tirx.Stmt]:
        first = (image * rows + y) * (geometry.output[1] * layer.channels)
        row = y * geometry.stride[0] - geometry.pad[0]
        if strip is None:
            start = (image * height + row) * (width * depth)
            return [calls(x, start, first)]
        pitch, left = _row_pitch(geometry, depth), geometry.pad[1] * depth
        inside = min(width * depth, pitch - left)
        copy = nest.call(
            "tvmtiny_fpu_rows",
            nest.address(x, image * (height * width * depth)),
            nest.address(strip),
            row,
            _span(geometry),
            height,
            width * depth,
            left,
            inside,
            pitch - left - inside,
        )
        return [copy, calls(strip, 0, first)]

    yield nest.loop(batch, "image", lambda image: [nest.loop(rows, "y", lambda y: line(image, y))])


def _distance(node: Node, layer: _Layer, tile: Tile) -> int:
    """Return the least number of floats by which the output must start before the input.

    A step is a tile of pixels, which reads its inputs again after it has written the first block of
    channels. If rows are copied, a step is a row of outputs.
    """
    pixels = node.output.elements // layer.channels
    position = np.arange(pixels)
    row, column = np.divmod(position, layer.pixels)
    depth = node.input(0).shape[-1] if layer.geometry is not None else layer.runs.depth
    if layer.staged:
        first_write = last_write = row
        again = 0
    else:
        steps = row * tile.groups
        first_write = steps + column // tile.together
        late = column >= layer.pixels - tile.together
        last_write = np.where(late, steps + tile.groups - 1, first_write)
        again = int(len(tile.widths) > 1)
    last_read = np.full(node.input(0).elements // depth, -1)
    if layer.geometry is None:
        last_read[:] = 2 * last_write + again
    else:
        read_patches(last_read, 2 * last_write + again, layer.geometry, node.input(0).shape[0])
    return smallest_distance(
        np.repeat(last_read, depth), np.repeat(2 * first_write, layer.channels)
    )
