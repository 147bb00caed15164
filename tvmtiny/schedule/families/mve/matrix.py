"""CONV_2D and FULLY_CONNECTED around the kernels of ``tvmtiny_mve_tile.h``."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.conv_2d import groups
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule.families.mve import packing
from tvmtiny.schedule.families.mve.assembly import VECTOR
from tvmtiny.schedule.families.mve.matrix_function import (
    GATHER_INSTRUCTIONS,
    MatrixFunction,
    geometry_of,
    images_of,
    strip_row,
)
from tvmtiny.schedule.families.mve.matrix_kernel import DenseKernel
from tvmtiny.schedule.families.mve.sparse import (
    SPARSE,
    has_sparse,
    is_sparse,
    saves,
    sparse_kernel,
    sparse_pixels,
)
from tvmtiny.schedule.families.mve.sparse_tile import pack_sparse
from tvmtiny.schedule.families.mve.tile import Tile
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import Layer, matrix_scaling, weight_zero_points
from tvmtiny.schedule.per_node import per_layer
from tvmtiny.schedule.scaling import Scaling

#: Output rows of a strip that a tuner may choose.
_ROWS = (1, 2, 4, 8)

#: The limit on unrolled groups, by goal; each product of a tile's column takes 8 bytes of code.
_UNROLL = {Goal.SPEED: 36, Goal.BALANCED: 36, Goal.SIZE: 4}
_UNROLLS = (2, 4, 8, 12, 18, 36)

#: Instructions of a group of inputs for 8 channels of 2 pixels.
_GROUP_INSTRUCTIONS = 28

#: Up to this number of products of a single pixel, other kernels take fewer instructions.
_PRODUCTS_OF_ONE = 4

#: The reach of a gather of bytes.
_GATHER = 255

#: Distances that fit the immediates of two instructions.
_FAR = 1 << 19


@per_layer
def _scaling(node: Node, oracle: Oracle) -> Scaling | None:
    return packing.usable(matrix_scaling(node, oracle, 0, packing.SHIFTS))


def implement_convolution(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement CONV_2D in int8; None if the kernels cannot be used or proven exact."""
    layer = _convolution(node)
    return None if layer is None else _implement(node, layer, oracle, goal, decisions)


def implement_fully_connected(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement FULLY_CONNECTED in int8; None if the kernels cannot be used or proven exact."""
    layer = _fully_connected(node)
    return None if layer is None else _implement(node, layer, oracle, goal, decisions)


def matrix_sketches(node: Node) -> tuple[Sketch, ...]:
    """Sketches of a CONV_2D or FULLY_CONNECTED."""
    layer = _convolution(node) if node.operator == "CONV_2D" else _fully_connected(node)
    if layer is None:
        return ()
    found = []
    for kind in _kinds(node, layer):
        most = _tile(node, layer, kind, 1, 0, False).groups
        unroll = Decision("unroll", tuple(sorted({min(most, n) for n in _UNROLLS})))
        decisions = [unroll]
        if kind in ("mve_strip", "mve_patches"):
            decisions.append(Decision("rows", _heights(layer)))
        found.append(Sketch(kind, tuple(decisions)))
    if _decide_sparse(node, layer, Goal.BALANCED) is not None:
        for kind in _sparse_kinds(node, layer):
            windowed = _default_rows(layer, kind)
            found.append(Sketch(kind, (Decision("rows", _heights(layer)),) if windowed else ()))
    return tuple(found)


def _heights(layer: Layer) -> tuple[int, ...]:
    """Return the heights of strips that a tuner may choose."""
    geometry = geometry_of(layer)
    height = geometry.output[0]
    return tuple(sorted({min(n, height) for n in _ROWS if _strip_fits(geometry, min(n, height))}))


def smaller_matrix(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    """Decisions with smaller strips, the largest strip first."""
    layer, rows = _convolution(node), int(decisions.get("rows", 1))
    if layer is not None and layer.geometry is not None:
        for fewer in sorted((n for n in _ROWS if n < rows), reverse=True):
            if _strip_fits(layer.geometry, fewer):
                yield {**decisions, "rows": fewer}


def _convolution(node: Node) -> Layer | None:
    weights = node.input(1)
    assert weights.data is not None
    channels, height, width, _ = weights.shape
    geometry = window(node, (height, width))
    if geometry.dilation != (1, 1) or groups(node) > 1 or np.any(weight_zero_points(node)):
        return None
    pixels = node.output.shape[0] * prod(geometry.output)
    flat = weights.data.reshape(channels, -1)
    layer = Layer(flat, pixels, None if geometry.flat else geometry, node.input(0).zero_point)
    return layer if _is_worth_it(layer) and node.input(0).elements < _FAR else None


def _fully_connected(node: Node) -> Layer | None:
    weights = node.input(1)
    assert weights.data is not None
    if np.any(weight_zero_points(node)):
        return None
    layer = Layer(weights.data, node.input(0).elements // weights.shape[1], None, 0)
    return layer if _is_worth_it(layer) and node.input(0).elements < _FAR else None


def _is_worth_it(layer: Layer) -> bool:
    """Whether there are enough products for vectors to take fewer instructions than words."""
    products = layer.channels * layer.depth
    return products > (_PRODUCTS_OF_ONE if layer.pixels == 1 else 1) and layer.pixels > 0


def _kinds(node: Node, layer: Layer) -> list[str]:
    """Sketches for a layer; the default one first."""
    geometry = layer.geometry
    if geometry is None:
        return ["mve_pixels"]
    row = geometry.kernel[1] * node.input(0).shape[3]
    pair = prod(geometry.output) > 1
    if not geometry.padded and row % VECTOR == 0 and pair and geometry.output[1] > 1:
        return ["mve_rows", "mve_strip"]
    reach = (geometry.kernel[0] - 1) * strip_row(node, geometry) + row - 1
    if reach > _GATHER:
        return ["mve_strip"]
    direct = geometry.kernel[0] * -(-row // VECTOR)
    gathered = -(-layer.depth // VECTOR)
    gain = (direct - gathered) * _GROUP_INSTRUCTIONS * len(range(0, layer.channels, 8)) / 2
    kinds = ["mve_strip", "mve_patches"]
    return kinds[::-1] if gain > GATHER_INSTRUCTIONS * gathered else kinds


def _strip_fits(geometry: Window, rows: int) -> bool:
    """Whether a strip has two outputs in a row or a column, if the layer has two."""
    height, width = geometry.output
    return rows <= height and (width > 1 or rows > 1 or height == 1)


def _tile(
    node: Node, layer: Layer, kind: str, rows: int, shift: int, signed: bool, unroll: int = 1
) -> Tile:
    geometry, depth = layer.geometry, layer.depth
    if geometry is None:
        return Tile(layer.channels, 1, depth, depth, depth, shift, signed, unroll)
    pixel = node.input(0).shape[3]
    if kind == "mve_patches" or layer.pixels == node.output.shape[0]:
        pitch = -(-depth // VECTOR) * VECTOR
        return Tile(layer.channels, 1, depth, depth, pitch, shift, signed, unroll)
    row = geometry.input[1] * pixel if kind == "mve_rows" else strip_row(node, geometry)
    pitch = geometry.stride[1] * pixel
    if geometry.output[1] == 1:
        pitch = geometry.stride[0] * row
    kernel_row = geometry.kernel[1] * pixel
    if kernel_row == row:
        # Rows of the filter are side by side.
        return Tile(layer.channels, 1, depth, depth, pitch, shift, signed, unroll)
    height = geometry.kernel[0]
    return Tile(layer.channels, height, kernel_row, row, pitch, shift, signed, unroll)


def _staging(sketch: str) -> str:
    """Return the way to the inputs that a sketch names."""
    return sketch.removeprefix(SPARSE).removeprefix("mve_")


def _default_rows(layer: Layer, kind: str) -> dict[str, int | str]:
    """Return the default height of strips, if the way to the inputs has strips."""
    if _staging(kind) not in ("strip", "patches"):
        return {}
    return {"rows": min(2, geometry_of(layer).output[0])}


def _kernel_pixels(node: Node, layer: Layer) -> int:
    """Return the pixels of a step of the dense kernels."""
    return 1 if layer.pixels == images_of(node, layer) else 2


def _sparse_kinds(node: Node, layer: Layer) -> list[str]:
    """Return the sketches that can skip blocks of zeros; the default one first."""
    found = []
    kinds = _kinds(node, layer)
    # Gathers of blocks read from a strip as fast as from patches.
    for kind in sorted(kinds, key=lambda kind: kind == "mve_patches"):
        rows = int(_default_rows(layer, kind).get("rows", 1))
        tile = _tile(node, layer, kind, rows, 0, False)
        if has_sparse(node, layer, tile, _staging(kind), rows):
            found.append(SPARSE + _staging(kind))
    return found


def _decide(node: Node, layer: Layer, goal: Goal) -> dict[str, int | str]:
    kind = _kinds(node, layer)[0]
    tile = _tile(node, layer, kind, 1, 0, False)
    unrolls = sorted({min(tile.groups, n) for n in _UNROLLS})
    unroll = max((u for u in unrolls if u <= _UNROLL[goal]), default=unrolls[0])
    return {"sketch": kind, "unroll": unroll, **_default_rows(layer, kind)}


def _decide_sparse(node: Node, layer: Layer, goal: Goal) -> dict[str, int | str] | None:
    """Return the decisions that skip blocks of zeros, if that takes less; else None."""
    dense = _decide(node, layer, goal)
    kind, unroll = str(dense["sketch"]), int(dense["unroll"])
    tile = _tile(node, layer, kind, int(dense.get("rows", 1)), 0, False, unroll)
    before = DenseKernel(tile, _kernel_pixels(node, layer))
    for sparse in _sparse_kinds(node, layer)[:1]:
        own = _tile(node, layer, f"mve_{_staging(sparse)}", 1, 0, False)
        if saves(layer, own, before, sparse_pixels(node, layer)):
            return {"sketch": sparse, **_default_rows(layer, sparse)}
    return None


def _implement(
    node: Node, layer: Layer, oracle: Oracle, goal: Goal, decisions: Decisions | None
) -> Implementation | None:
    scaling = _scaling(node, oracle)
    if scaling is None:
        return None
    chosen = dict(decisions or _decide_sparse(node, layer, goal) or _decide(node, layer, goal))
    sketch, rows = str(chosen["sketch"]), int(chosen.get("rows", 1))
    if chosen.get("rows") and not _strip_fits(geometry_of(layer), rows):
        return None
    staging = _staging(sketch)
    kind, unroll = f"mve_{staging}", int(chosen.get("unroll", 1))
    tile = _tile(node, layer, kind, rows, scaling.shift, scaling.signed, unroll)
    if is_sparse(sketch):
        if not has_sparse(node, layer, tile, staging, rows):
            return None
        sparse = sparse_kernel(layer, tile, sparse_pixels(node, layer))
        plan = MatrixFunction(node, layer, sparse, staging, rows)
        stream = pack_sparse(layer.weights, scaling, sparse.blocks)
    else:
        dense = DenseKernel(tile, _kernel_pixels(node, layer))
        plan = MatrixFunction(node, layer, dense, staging, rows)
        stream = packing.pack_stream(layer.weights, scaling, tile, dense.pixels == 1)
    offsets = (plan.offsets,) if plan.gathers else ()
    return Implementation(
        plan.function(stream.size), (node.input(0), stream, *offsets), chosen, plan.instructions
    )
