"""CONV_2D of 3x3 by exact Winograd transforms, around ``tvmtiny_dsp_winograd.h``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.overlap import Overlap, smallest_distance
from tvmtiny.schedule.scaling import Scaling

HEADERS = (
    "tvmtiny_dsp.h",
    "tvmtiny_dsp_patch.h",
    "tvmtiny_dsp_tile.h",
    "tvmtiny_dsp_winograd.h",
)

#: Number of tiles per step.
_TILES = 3

#: The limit on input channels: offsets of the transform are immediates, and products are unrolled.
_MOST_CHANNELS = 128

#: Largest immediate offset of STRB.
_OFFSET = 4095

#: The gain of `tvmtiny.schedule.requantize.solve` as an exponent; two bits of it belong to the
#: transform.
_GAIN_BITS = 6

#: The transform of filters, times two.
_FILTERS = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int64)

#: Cycles on Cortex-M4, with 1 + N for LDM and STM of N words, 3 for LDRD, and 1 for all others (Arm
#: DDI 0439, 3.3.1): of two input channels times two output channels; of a whole sum; of an output
#: tile; and of two channels of an input tile.
_PRODUCTS, _SUM, _OUTPUTS, _INPUTS = 13, 15, 70, 100

#: Instructions of the same parts.
_PRODUCTS_I, _SUM_I, _OUTPUTS_I, _INPUTS_I = 8, 4, 59, 90


@dataclass(frozen=True)
class _Plan:
    """Sizes of a layer.

    Attributes
    ----------
    rows, columns
        Tiles of an output.
    images
        Number of images.
    """

    geometry: Window
    images: int
    channels: int
    filters: int

    @property
    def rows(self) -> int:
        return -(-self.geometry.output[0] // 2)

    @property
    def columns(self) -> int:
        return -(-self.geometry.output[1] // 2)

    @property
    def tiles(self) -> int:
        """Number of tiles of an image."""
        return self.rows * self.columns

    @property
    def single(self) -> bool:
        """Whether the last step has only one tile; with two tiles, a step repeats one of them."""
        return self.tiles % _TILES == 1

    @property
    def whole(self) -> int:
        """Number of steps of an image with three tiles."""
        return self.tiles // _TILES if self.single else -(-self.tiles // _TILES)

    @property
    def steps(self) -> list[tuple[int, int]]:
        """First tile and number of tiles of all steps of an image."""
        starts = [(min(i * _TILES, self.tiles - _TILES), _TILES) for i in range(self.whole)]
        return [*starts, (self.tiles - 1, 1)] if self.single else starts

    def weigh(self, products: int, total: int, outputs: int, inputs: int) -> int:
        """The sum of the costs of all parts."""
        pairs = self.channels // 2
        sums = self.filters // 2 * 16 * (pairs * products + total)
        step = sums + _TILES * (self.filters * outputs + pairs * inputs)
        return self.images * (2 * self.whole + self.single) * step // 2


def winograd_cycles(node: Node) -> int | None:
    """Estimated cycles on Cortex-M4; None if the kernels do not support the layer."""
    plan = _plan(node)
    return None if plan is None else plan.weigh(_PRODUCTS, _SUM, _OUTPUTS, _INPUTS)


def winograd_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of a layer by transforms, if there is one."""
    return () if _plan(node) is None else (Sketch("winograd"),)


def _plan(node: Node) -> _Plan | None:
    if node.operator != "CONV_2D" or groups(node) > 1:
        return None
    filters, height, width, channels = node.input(1).shape
    geometry = window(node, (height, width))
    fits = (
        geometry.kernel == (3, 3)
        and geometry.stride == geometry.dilation == (1, 1)
        and channels % 4 == 0
        and channels <= _MOST_CHANNELS
        and filters % 2 == 0
        and min(geometry.output) >= 2
        and (geometry.output[1] + 1) * filters <= _OFFSET
    )
    plan = _Plan(geometry, node.input(0).shape[0], channels, filters)
    return plan if fits and plan.tiles >= _TILES else None


def implement_winograd(
    node: Node, layer: Layer, scaling: Scaling, decisions: Decisions
) -> Implementation | None:
    """Implement the layer by transforms; None if the kernels do not support it.

    Parameters
    ----------
    scaling
        The scaling for a gain of 256 and no excess, as for int16 weights.
    """
    plan = _plan(node)
    if plan is None:
        return None
    stream, left = pack_winograd(layer.weights, scaling)
    function = _function(node, layer, plan, scaling, stream.size, left)
    instructions = plan.weigh(_PRODUCTS_I, _SUM_I, _OUTPUTS_I, _INPUTS_I)
    cycles = plan.weigh(_PRODUCTS, _SUM, _OUTPUTS, _INPUTS)
    return Implementation(function, (node.input(0), stream), decisions, instructions, cycles=cycles)


def transform_filters(weights: np.ndarray) -> np.ndarray:
    """Transform filters to factors of transformed inputs, times four.

    Parameters
    ----------
    weights
        int8, ``(filters, 9 * channels)``.

    Returns
    -------
    np.ndarray
        int64, ``(filters, 16, channels)``, column by column of the transform.
    """
    taps = weights.astype(np.int64).reshape(len(weights), 3, 3, -1)
    wide = np.einsum("iy,oyxc,jx->ojic", _FILTERS, taps, _FILTERS)
    return wide.reshape(len(weights), 16, -1)


def pack_winograd(weights: np.ndarray, scaling: Scaling) -> tuple[np.ndarray, int]:
    """Arrange weights and constants for the kernel; also returns the left shift of sums.

    The transformed weights are scaled by as much of the gain as fits int16.

    Parameters
    ----------
    weights
        int8, ``(filters, 9 * channels)``; both numbers as `_plan` requires.

    Returns
    -------
    stream, left
        int32; for each pair of filters the products in the order of the kernel, then for each
        filter the initial accumulator, the multiplier and, for rounding by sign, offset and step.
    """
    wide = transform_filters(weights)
    bits = _GAIN_BITS
    while int(np.abs(wide).max()) << bits > 2**15 - 1:
        bits -= 1
    filters, _, channels = wide.shape
    # (pair, filter of it, product, group of four channels, lane, half)
    grouped = (wide << bits).reshape(filters // 2, 2, 16, channels // 4, 2, 2)
    words = ((grouped[..., 0, :] & 0xFFFF) | (grouped[..., 1, :] << 16)).astype(np.int32)
    body = words.transpose(0, 2, 3, 4, 1).reshape(filters // 2, -1)
    constants = [scaling.initial, scaling.multiplier, scaling.offset, scaling.step]
    last = np.stack([c for c in constants if c is not None], axis=1).reshape(filters // 2, -1)
    stream = np.concatenate([body, last], axis=1).astype(np.int32).ravel()
    return stream, _GAIN_BITS - bits


def _function(
    node: Node, layer: Layer, plan: _Plan, scaling: Scaling, stream_words: int, left: int
) -> tirx.PrimFunc:
    geometry, channels, filters = plan.geometry, plan.channels, plan.filters
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    pad = str(layer.pad).replace("-", "m")
    row = geometry.output[1] * filters
    sizes = (*geometry.input, channels, *geometry.pad, *geometry.output, filters)
    transform = f"winograd_input_{channels}"
    products = (_unroll(channels), channels, filters, row, left, scaling.shift)
    counts = (1, _TILES) if plan.single else (_TILES,)
    kernels = [f"winograd_{n}_{'_'.join(map(str, products))}_{rounding.lower()}" for n in counts]
    step = f"winograd_step_{'_'.join(map(str, sizes))}_{pad}_{left}_{scaling.shift}"
    preamble = [
        f"TVMTINY_WINOGRAD_INPUT({transform}, {channels})",
        *(
            f"TVMTINY_WINOGRAD_TILES({kernel}, {n}, {', '.join(map(str, products))}, {rounding})"
            for n, kernel in zip(counts, kernels, strict=True)
        ),
        f"TVMTINY_WINOGRAD({step}_{rounding.lower()}, {transform}, {kernels[0]}, {kernels[-1]}, "
        f"{', '.join(map(str, sizes))}, {stream_words}, ({layer.pad}))",
    ]
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", stream_words, "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    inputs = nest.buffer("inputs", 8 * channels * _TILES, "uint32")
    sums = nest.buffer("sums", max(32 * _TILES, 4 * channels), "int32")
    image_in, image_out = (t.elements // plan.images for t in (node.input(0), node.output))

    def call(image: nest.Argument, first: nest.Argument, count: int) -> tirx.Stmt:
        addresses = (
            nest.address(x, image * image_in),
            nest.address(stream),
            nest.address(out, image * image_out),
            nest.address(inputs),
            nest.address(sums),
        )
        return nest.call(f"{step}_{rounding.lower()}", *addresses, first, count)

    def one(image: nest.Argument, index: nest.Argument) -> list[tirx.Stmt]:
        first = index * _TILES
        if plan.tiles % _TILES == 2:
            first = tirx.min(first, plan.tiles - _TILES)
        return [call(image, first, _TILES)]

    def images(image: nest.Argument) -> list[tirx.Stmt]:
        steps = [nest.loop(plan.whole, "step", lambda index: one(image, index))]
        return [*steps, call(image, plan.tiles - 1, 1)] if plan.single else steps

    by_sign = ", rounding by sign" if scaling.signed else ""
    return nest.function(
        [x, stream, out],
        [inputs, sums],
        [nest.loop(plan.images, "image", images)],
        operator=node.operator,
        schedule=f"dsp, winograd 2x2, {_TILES} tiles, w16{by_sign}",
        headers=HEADERS,
        preamble=preamble,
        overlaps=[Overlap("out", 0, _distance(plan))],
    )


def _unroll(channels: int) -> int:
    """The number of the 16 transformed values that are unrolled, within 2 KB of code."""
    return next((16 // n for n in (2, 4, 8) if channels <= 8 * n), 1)


def _distance(plan: _Plan) -> int:
    """The overlap that the order allows: a step transforms its inputs before it writes."""
    geometry = plan.geometry
    last_read = np.full((plan.images, *geometry.input), -1)
    steps = plan.steps
    first_write = np.full((plan.images, *geometry.output), plan.images * len(steps))
    for image in range(plan.images):
        for step, (first, count) in enumerate(steps):
            time = image * len(steps) + step
            for tile in range(first, first + count):
                y, x = (
                    min(2 * position, extent - 2)
                    for position, extent in zip(
                        divmod(tile, plan.columns), geometry.output, strict=True
                    )
                )
                read = last_read[
                    image,
                    max(y - geometry.pad[0], 0) : y - geometry.pad[0] + 4,
                    max(x - geometry.pad[1], 0) : x - geometry.pad[1] + 4,
                ]
                np.maximum(read, time, out=read)
                written = first_write[image, y : y + 2, x : x + 2]
                np.minimum(written, time, out=written)
    return smallest_distance(
        np.repeat(last_read.ravel(), plan.channels), np.repeat(first_write.ravel(), plan.filters)
    )
