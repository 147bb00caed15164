"""float32 layers around the kernels of ``tvmtiny_mve_float.h``."""

from __future__ import annotations

from math import prod
from typing import Protocol

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.quantization import float_activation_range
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.shared.weights import bias_values
from tvmtiny.schedule import nest
from tvmtiny.schedule.families.mve import assembly
from tvmtiny.schedule.families.mve.float_tile import (
    FloatTile,
    block_widths,
    quad_code,
    single_float_code,
)
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_tile.h", "tvmtiny_mve_float.h")

FLOAT_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")

#: The only possible decisions.
_DECISIONS: Decisions = {"sketch": "mve_float"}

#: Pixels of a quad, and channels of a block of the single kernel.
_QUAD, _SINGLE = 4, 16

#: Distances in floats that fit the immediates of two instructions.
_FAR = 1 << 17


def implement_float(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED in float32."""
    weights = node.input(1)
    if weights.data is None or weights.dtype != "float32" or node.input(0).elements >= _FAR:
        return None
    if node.operator == "FULLY_CONNECTED":
        return _matrix(node, weights.data, None)
    geometry = window(node, (weights.shape[1], weights.shape[2]))
    if node.operator == "DEPTHWISE_CONV_2D":
        return _depthwise(node, geometry)
    if geometry.dilation != (1, 1) or groups(node) > 1:
        return None
    flat = weights.data.reshape(len(weights.data), -1)
    return _matrix(node, flat, None if geometry.flat else geometry)


def _limits(node: Node) -> list[str]:
    """Bounds of the activation in C."""
    found = []
    for limit, sign in zip(float_activation_range(node), ("-", ""), strict=True):
        infinite = f"{sign}TVMTINY_MVE_INFINITY"
        found.append(f"({infinite if limit is None else f'{float(limit)!r}f'})")
    return found


class _Line(Protocol):
    """Returns the calls for an output row, given its first pixel."""

    def __call__(self, first: nest.Argument) -> list[tirx.Stmt]: ...


def _strip_call(
    node: Node,
    geometry: Window,
    x: tirx.Buffer,
    strip: tirx.Buffer,
    image: nest.Argument,
    y: nest.Argument,
) -> tirx.Stmt:
    """Copy the input rows of an output row, with their padding."""
    height, width, depth = node.input(0).shape[1:]
    pitch = _strip_pitch(node, geometry)
    left = geometry.pad[1] * depth
    inside = min(width * depth, pitch - left)
    return nest.call(
        "tvmtiny_mve_f32_rows",
        nest.address(x, image * (height * width * depth)),
        nest.address(strip),
        y * geometry.stride[0] - geometry.pad[0],
        _span(geometry, 0),
        height,
        width * depth,
        left,
        inside,
        pitch - left - inside,
    )


def _span(geometry: Window, axis: int) -> int:
    """Input rows or columns under a window."""
    return (geometry.kernel[axis] - 1) * geometry.dilation[axis] + 1


def _strip_pitch(node: Node, geometry: Window) -> int:
    columns = (geometry.output[1] - 1) * geometry.stride[1] + _span(geometry, 1)
    return columns * node.input(0).shape[3]


def _rows(
    node: Node, geometry: Window, x: tirx.Buffer, strip: tirx.Buffer, line: _Line
) -> tirx.Stmt:
    """Loop over output rows; each is computed after its inputs were copied."""
    height, width = geometry.output

    def one(image: nest.Argument, y: nest.Argument) -> list[tirx.Stmt]:
        copy = _strip_call(node, geometry, x, strip, image, y)
        return [copy, *line((image * height + y) * width)]

    return nest.loop(
        node.input(0).shape[0],
        "image",
        lambda image: [nest.loop(height, "y", lambda y: one(image, y))],
    )


def _matrix(node: Node, weights: np.ndarray, geometry: Window | None) -> Implementation | None:
    channels, depth = weights.shape
    pixels = node.output.elements // channels if node.output.elements else 0
    if channels < 4 or not pixels or (geometry is not None and geometry.output[1] < _QUAD):
        return None
    limits = float_activation_range(node)
    if geometry is None:
        tile = FloatTile(channels, 1, depth, depth, depth, limits)
    else:
        inputs = node.input(0).shape[3]
        run, pitch = geometry.kernel[1] * inputs, _strip_pitch(node, geometry)
        tile = FloatTile(
            channels, geometry.kernel[0], run, pitch, geometry.stride[1] * inputs, limits
        )
    single = geometry is None and pixels < _QUAD
    stream = _matrix_stream(node, weights, _SINGLE if single else 4)
    kind, code = ("single", single_float_code) if single else ("quad", quad_code)
    sizes = [tile.channels] + ([tile.run] if single else [])
    sizes += [] if single else [tile.rows, tile.run, tile.row_pitch, tile.pitch]
    name = _name(f"mve_f32_{kind}_{'_'.join(map(str, sizes))}", limits)
    preamble = (
        f"TVMTINY_MVE_F32_{kind.upper()}({name}, {', '.join([*map(str, sizes), *_limits(node)])}, "
        f"{assembly.text(code(tile))})"
    )
    x = nest.buffer("x", node.input(0).elements, "float32")
    constants = nest.buffer("stream", stream.size, "float32")
    out = nest.buffer("out", node.output.elements, "float32")

    def calls(source: tirx.Buffer, first: nest.Argument, count: int) -> list[tirx.Stmt]:
        def call(pixel: int, *quads: int) -> tirx.Stmt:
            return nest.call(
                name,
                nest.address(source, pixel * tile.pitch),
                nest.address(constants),
                nest.address(out, (first + pixel) * channels),
                *quads,
            )

        if single:
            return [call(pixel) for pixel in range(count)]
        # If the number of pixels is not a multiple of a quad, the last quad overlaps the previous
        # one.
        rest = [call(count - _QUAD, 1)] if count % _QUAD else []
        return [call(0, count // _QUAD), *rest]

    workspaces = []
    if geometry is None:
        body = calls(x, 0, pixels)
    else:
        strip = nest.buffer("strip", geometry.kernel[0] * tile.row_pitch, "float32")
        workspaces.append(strip)
        width = geometry.output[1]
        body = [_rows(node, geometry, x, strip, lambda first: calls(strip, first, width))]
    function = nest.function(
        [x, constants, out],
        workspaces,
        body,
        operator=node.operator,
        schedule=f"mve, float32, {'1x16' if single else '4x4'}",
        headers=HEADERS,
        preamble=[preamble],
    )
    macs = pixels * weights.size
    return Implementation(function, (node.input(0), stream), _DECISIONS, macs * 10 // 16)


def _matrix_stream(node: Node, weights: np.ndarray, most: int) -> np.ndarray:
    bias = bias_values(node, len(weights))
    parts = []
    for first, width in block_widths(len(weights), most):
        block = slice(first, first + width)
        parts += [bias[block], weights[block].T.ravel()]
    return np.concatenate(parts).astype(np.float32)


def _depthwise(node: Node, geometry: Window) -> Implementation | None:
    weights = node.input(1)
    assert weights.data is not None
    channels = node.input(0).shape[3]
    if channels < 4 or weights.shape[3] != channels or not node.output.elements:
        return None
    limits = float_activation_range(node)
    pitch, (kernel, width) = _strip_pitch(node, geometry), (geometry.kernel, geometry.output[1])
    sizes: tuple[int, ...] = (width, channels, *kernel, geometry.dilation[0] * pitch)
    sizes += (geometry.dilation[1] * channels, geometry.stride[1] * channels)
    name = _name(f"mve_f32_window_{'_'.join(map(str, sizes))}", limits)
    macro = f"TVMTINY_MVE_F32_WINDOW({name}, {', '.join(map(str, sizes))}"
    flat = weights.data.reshape(prod(kernel), channels)
    bias = bias_values(node, channels)
    starts = [*range(0, channels - channels % 4, 4), *([channels - 4] if channels % 4 else [])]
    blocks = [slice(first, first + 4) for first in starts]
    parts = [part for b in blocks for part in (bias[b], flat[:, b].ravel())]
    stream = np.concatenate(parts).astype(np.float32)
    x = nest.buffer("x", node.input(0).elements, "float32")
    constants = nest.buffer("stream", stream.size, "float32")
    out = nest.buffer("out", node.output.elements, "float32")
    strip = nest.buffer("strip", _span(geometry, 0) * pitch, "float32")

    def line(first: nest.Argument) -> list[tirx.Stmt]:
        target = nest.address(out, first * channels)
        return [nest.call(name, nest.address(strip), nest.address(constants), target)]

    function = nest.function(
        [x, constants, out],
        [strip],
        [_rows(node, geometry, x, strip, line)],
        operator=node.operator,
        schedule="mve, float32, windows",
        headers=HEADERS,
        preamble=[f"{macro}, {', '.join(_limits(node))})"],
    )
    return Implementation(
        function, (node.input(0), stream), _DECISIONS, node.output.elements * prod(kernel) * 2
    )


def _name(stem: str, limits: tuple[float | None, float | None]) -> str:
    """A kernel's name, including its limits if it has any."""
    words = [str(limit) for limit in limits if limit is not None]
    text = "_".join([stem, *words]).replace("-", "m").replace(".", "p")
    return text.replace("+", "")
