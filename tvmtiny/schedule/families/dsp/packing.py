"""Operands of the tile kernels of ``tvmtiny_dsp_tile.h``: weights and constants as one stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvmtiny.schedule.scaling import Scaling

#: Number of inputs of a group.
GROUP = 4

#: Outputs of neighbouring pixels must be within reach of STRB's immediate, and sums of STR's.
MOST_PITCH, MOST_SUMS_PITCH = 2047, 1020


@dataclass(frozen=True)
class TileShape:
    """A tile kernel.

    Attributes
    ----------
    pixels, channels
        Pixels and channels per step.
    cycles
        Cycles per group of four inputs on Cortex-M4, by weight format: LDM of N words 1 + N,
        LDRD 3, all else 1 (Arm DDI 0439, 3.3.1).
    instructions
        Instructions per group, by weight format.
    direct
        Whether inputs are read directly, without a patch.
    """

    pixels: int
    channels: int
    cycles: dict[str, int]
    instructions: dict[str, int]
    direct: bool = False

    @property
    def shape(self) -> str:
        """Pixels and channels, as in names of kernels."""
        return f"{self.pixels}x{self.channels}"

    @property
    def name(self) -> str:
        """The shape, as in the header's macros."""
        return f"{self.shape}{'_direct' * self.direct}"


TILES = {
    tile.name: tile
    for tile in (
        TileShape(3, 2, {"w4": 25, "w8": 25, "w16": 26}, {"w4": 18, "w8": 17, "w16": 16}),
        TileShape(2, 2, {"w4": 18, "w8": 18, "w16": 18}, {"w4": 13, "w8": 12, "w16": 10}),
        TileShape(1, 4, {"w4": 20, "w8": 20, "w16": 21}, {"w4": 16, "w8": 14, "w16": 11}),
        TileShape(1, 4, {"w8": 23}, {"w8": 18}, direct=True),
    )
}

#: The tile kernels of ``tvmtiny_dsp_block.h``; N consecutive loads take 1 + N cycles.
BLOCK_TILES = {
    tile.name: tile
    for tile in (
        TileShape(4, 2, {"w8": 32, "w16": 32}, {"w8": 28, "w16": 28}),
        TileShape(3, 2, {"w8": 24, "w16": 24}, {"w8": 22, "w16": 22}),
        TileShape(2, 2, {"w8": 17, "w16": 17}, {"w8": 16, "w16": 16}),
        TileShape(1, 4, {"w8": 19, "w16": 20}, {"w8": 18, "w16": 18}),
        TileShape(2, 4, {"p8": 30}, {"p8": 28}),
    )
}

#: The tile kernels of ``tvmtiny_dsp_sparse.h``; figures include the step to the next block.
SPARSE_TILES = {
    tile.name: tile
    for tile in (
        TileShape(3, 2, {"w8": 31}, {"w8": 20}),
        TileShape(2, 2, {"w8": 24}, {"w8": 15}),
        TileShape(1, 2, {"w8": 18}, {"w8": 11}),
    )
}


def groups(depth: int) -> int:
    """Number of groups of a filter with `depth` weights."""
    return -(-depth // GROUP)


def turns(depth: int, weight_format: str) -> int:
    """Steps of the kernels over `depth` inputs: one group each, or two for 4-bit weights."""
    return -(-groups(depth) // 2) if weight_format == "w4" else groups(depth)


def patch_words(depth: int, pixels: int, weight_format: str) -> int:
    """Words of the expanded inputs of a tile."""
    if weight_format == "w4":
        return pixels * (1 + 4 * turns(depth, weight_format))
    return 2 * groups(depth) * pixels


def inputs_of(weight_format: str) -> str:
    """The format of weights with the same expansion of inputs."""
    return "w16" if weight_format == "p8" else weight_format


def gain(weight_format: str) -> int:
    """The factor by which the kernels multiply sums."""
    return 4096 if weight_format == "w4" else 256


def excess(weights: np.ndarray, weight_format: str) -> np.ndarray:
    """The amount that a format adds to the accumulators of `weights`, ``(channels, depth)``."""
    if weight_format in ("w16", "p8"):
        return np.zeros(len(weights), np.int64)
    if weight_format == "w4":
        lower = _lanes_of_nibbles(weights) & 0xFF
        return 127 * lower.sum(axis=(1, 2))
    return 127 * grouped(weights)[:, :, ::2].sum(axis=(1, 2))


def storable(weights: np.ndarray, weight_format: str) -> bool:
    """Whether `weights` fit the format: 4 bits, or halfwords of inputs (w8) or channels (p8)."""
    if weight_format == "w16":
        return True
    if weight_format == "w4":
        return bool(weights.min() >= -8 and weights.max() <= 7)
    if weight_format == "p8":
        order = channel_order(len(weights), BLOCK_TILES["2x4"])
        return len(weights) > 3 and bool(channel_pairs(weights[order]).min() >= -(2**15))
    found = grouped(weights)
    return bool((256 * found[:, :, 1::2] + found[:, :, ::2]).min() >= -(2**15))


def _lanes_of_nibbles(weights: np.ndarray) -> np.ndarray:
    """int64, ``(channels, turns, 2)``: the lanes as ``tvmtiny_dsp_nibble.h`` describes them."""
    padding = -weights.shape[1] % (2 * GROUP)
    wide = np.pad(weights.astype(np.int64), ((0, 0), (0, padding)))
    parts = wide.reshape(len(weights), -1, 2 * GROUP)
    first, second = parts[:, :, 0:4:2], parts[:, :, 1:4:2]
    third, last = parts[:, :, 4:8:2], parts[:, :, 5:8:2]
    return 4096 * last + 256 * (third + 8) + 16 * (second + 8) + first + 8


def channel_order(channels: int, tile: TileShape) -> list[int]:
    """Channels in the order of the stream; the last tile overlaps if tiles do not divide them.

    Returns
    -------
    list of int
        The channels. Their number is a multiple of the channels of the tile, and `channels` must be
        at least as large as the tile.
    """
    order = list(range(channels - channels % tile.channels))
    if channels % tile.channels:
        order += range(channels - tile.channels, channels)
    return order


def pack_stream(
    weights: np.ndarray, scaling: Scaling, tile: TileShape, weight_format: str
) -> np.ndarray:
    """Arrange weights and requantization constants for the tile kernels.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, in the order in which inputs are expanded.

    Returns
    -------
    np.ndarray
        int32; for each tile the initial accumulators, the weights of the groups, and for each
        channel the multiplier and, for rounding by sign, offset and step.
    """
    constants = [scaling.multiplier, scaling.offset, scaling.step]
    last = [c for c in constants if c is not None]
    return pack_products(weights, scaling.initial, last, tile, weight_format)


def pack_groups(
    weights: np.ndarray, scaling: Scaling, tile: TileShape, weight_format: str, groups: int
) -> np.ndarray:
    """Build the streams of `groups` equal parts of the channels, one after the other."""
    if groups == 1:
        return pack_stream(weights, scaling, tile, weight_format)

    def part(values: np.ndarray | None, group: int) -> np.ndarray | None:
        return None if values is None else np.split(values, groups)[group]

    return np.concatenate(
        [
            pack_stream(
                np.split(weights, groups)[group],
                Scaling(
                    np.split(scaling.initial, groups)[group],
                    np.split(scaling.multiplier, groups)[group],
                    scaling.shift,
                    part(scaling.offset, group),
                    part(scaling.step, group),
                ),
                tile,
                weight_format,
            )
            for group in range(groups)
        ]
    )


def pack_products(
    weights: np.ndarray,
    initial: np.ndarray,
    last: list[np.ndarray],
    tile: TileShape,
    weight_format: str,
) -> np.ndarray:
    """Build the stream of a layer with any constants.

    Parameters
    ----------
    initial
        The initial accumulators, ``(channels,)``.
    last
        The constants that follow the weights of each channel, ``(channels,)`` each.
    """
    order = channel_order(len(weights), tile)
    found = grouped(weights)[order]
    if weight_format == "w4":
        lanes = _lanes_of_nibbles(weights)[order]
        packed = words(lanes[:, :, 0], lanes[:, :, 1])[:, :, None]
    elif weight_format == "w8":
        packed = half_words(found)[:, :, None]
    else:
        scaled = 256 * found
        packed = np.stack(
            [
                words(scaled[:, :, 0], scaled[:, :, 2]),
                words(scaled[:, :, 1], scaled[:, :, 3]),
            ],
            axis=2,
        )
    tiles = len(order) // tile.channels
    # (tile, channel, group, word) -> (tile, group, word, channel)
    body = packed.reshape(tiles, tile.channels, packed.shape[1], packed.shape[2])
    body = body.transpose(0, 2, 3, 1).reshape(tiles, -1)
    parts = [initial[order].reshape(tiles, tile.channels), body]
    if last:
        parts.append(np.stack([c[order] for c in last], axis=1).reshape(tiles, -1))
    return np.concatenate(parts, axis=1).astype(np.int32).ravel()


def pack_pairs(weights: np.ndarray, scaling: Scaling, tile: TileShape) -> np.ndarray:
    """Arrange weights of pairs of channels, and their constants, for the kernels of format p8.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``, in the order in which inputs are expanded.

    Returns
    -------
    np.ndarray
        int32; see ``tvmtiny_dsp_block.h``.
    """
    order = channel_order(len(weights), tile)
    tiles, half = len(order) // tile.channels, tile.channels // 2
    initial = scaling.initial[order].reshape(tiles, half, 2)
    pairs = channel_pairs(grouped(weights)[order])
    # (tile, pair, group, input) -> (tile, group, half of it, pair, lane)
    body = pairs.reshape(tiles, half, -1, 2, 2).transpose(0, 2, 4, 1, 3)
    constants = [c for c in (scaling.multiplier, scaling.offset, scaling.step) if c is not None]
    last = np.stack([c[order] for c in constants], axis=1).reshape(tiles, half, 2, -1)
    parts = [
        initial[:, :, 1],
        words(body[..., 0], body[..., 1]).reshape(tiles, -1),
        initial[:, :, 0],
        last[:, :, ::-1].transpose(0, 2, 1, 3).reshape(tiles, -1),
    ]
    return np.concatenate(parts, axis=1).astype(np.int32).ravel()


def channel_pairs(values: np.ndarray) -> np.ndarray:
    """int64: 256 times the values of every second channel, plus those of the previous channel."""
    wide = values.astype(np.int64)
    return 256 * wide[1::2] + wide[::2]


def grouped(weights: np.ndarray) -> np.ndarray:
    """int64, ``(channels, groups, 4)``, padded with zeros."""
    channels, depth = weights.shape
    wide = np.zeros((channels, groups(depth) * GROUP), np.int64)
    wide[:, :depth] = weights
    return wide.reshape(channels, -1, GROUP)


def half_words(found: np.ndarray) -> np.ndarray:
    """Arrange 8-bit weights for the kernels, from the result of `grouped`.

    Returns
    -------
    np.ndarray
        int32, ``(channels, groups)``: the halfwords 256 * w1 + w0 and 256 * w3 + w2.
    """
    halves = 256 * found[:, :, 1::2] + found[:, :, ::2]
    return words(halves[:, :, 0], halves[:, :, 1])


def words(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Two int16 lanes as one int32."""
    return ((low & 0xFFFF) | (high << 16)).astype(np.int32)
