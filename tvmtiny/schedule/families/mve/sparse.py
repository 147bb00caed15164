"""The choice of the kernels that skip blocks of zeros: see ``tvmtiny_mve_sparse.h``."""

from __future__ import annotations

from dataclasses import replace

from tvmtiny.ops import Node
from tvmtiny.schedule.families.mve.matrix_function import images_of, strip_row, strip_rows
from tvmtiny.schedule.families.mve.matrix_kernel import DenseKernel, SparseKernel
from tvmtiny.schedule.families.mve.sparse_tile import (
    PAIR,
    QUAD,
    blocks_of,
    sparse_tile,
    word_indices,
)
from tvmtiny.schedule.families.mve.tile import Tile
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_blocks import BLOCK, LEAST_GAIN

#: Beginning of the names of sketches; the way to the inputs follows.
SPARSE = "mve_sparse_"

#: Largest word that an index reaches, and largest lane that an offset of a scatter reaches.
_REACH = 2**16 - 1

#: Smaller workspaces lie on the stack, at any address.
_STACK_BYTES = 128


def is_sparse(sketch: str) -> bool:
    """Return whether a sketch is one of kernels that skip blocks."""
    return sketch.startswith(SPARSE)


def sparse_pixels(node: Node, layer: Layer) -> int:
    """Return the pixels of a step."""
    few = layer.pixels < QUAD if layer.geometry is None else layer.pixels == images_of(node, layer)
    return 1 if few else QUAD


def has_sparse(node: Node, layer: Layer, tile: Tile, staging: str, rows: int) -> bool:
    """Return whether the kernels can skip the layer's blocks, if there are any of zeros.

    Parameters
    ----------
    tile
        Geometry of the layer for `staging`.
    rows
        Output rows of a strip.
    """
    if layer.channels % PAIR or layer.depth < 2 * BLOCK:
        return False
    sizes = [tile.pitch] if staging == "patches" else [tile.pitch, tile.row_pitch, tile.row_bytes]
    if any(size % BLOCK for size in sizes) or word_indices(tile).max() > _REACH:
        return False
    several = sparse_pixels(node, layer) > 1
    if several and (QUAD - 1) * layer.channels + 1 > _REACH:
        return False
    geometry = layer.geometry
    if geometry is None:
        return True
    width = geometry.output[1]
    adjacent = rows * width if staging == "patches" else rows if width == 1 else width
    if staging == "rows":
        return adjacent >= QUAD
    read = strip_rows(geometry, rows) * strip_row(node, geometry)
    if staging == "patches" and several:
        read = rows * width * tile.pitch
    return read > _STACK_BYTES and (adjacent >= QUAD or not several)


def saves(layer: Layer, tile: Tile, dense: DenseKernel, pixels: int) -> bool:
    """Return whether skipping blocks of zeros takes less of everything than the dense kernel.

    The estimates are rough, so the gain in instructions and cycles must be clear.
    """
    kept = (blocks_of(layer.weights, tile) != 0).any(axis=(1, 3))
    if kept.mean() > 1 - LEAST_GAIN:
        return False
    before = dense.cost(layer.pixels)
    after = SparseKernel(sparse_tile(layer.weights, tile, pixels)).cost(layer.pixels)
    slowest = max(after.instructions / before.instructions, after.cycles / before.cycles)
    return slowest < 1 - LEAST_GAIN and after.flash < before.flash


def sparse_kernel(layer: Layer, tile: Tile, pixels: int) -> SparseKernel:
    """Return the kernel of a layer."""
    return SparseKernel(sparse_tile(layer.weights, replace(tile, unroll=0), pixels))
