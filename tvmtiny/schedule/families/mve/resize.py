"""RESIZE_BILINEAR around the kernels of ``tvmtiny_mve_resize.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.resize_bilinear import Axis, resized_axes
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch

HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_resize.h")

_KERNELS = {"int8": "tvmtiny_mve_bilinear_8", "int16": "tvmtiny_mve_bilinear_16"}

#: With fewer channels, computing them one by one is faster.
_LEAST_CHANNELS = 2


def implement_resize(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the operator; None for one channel, and for values of a uint8 model."""
    if not resize_sketches(node):
        return None
    images, _, width, channels = node.input(0).shape
    rows, columns = resized_axes(node)
    tables = [_table(rows, width * channels), _table(columns, channels)]
    names = ("rows", "columns")
    arrays = [nest.buffer(n, t.size, "int32") for n, t in zip(names, tables, strict=True)]
    dtype = node.output.dtype
    x = nest.buffer("x", node.input(0).elements, dtype)
    out = nest.buffer("out", node.output.elements, dtype)
    sizes = (images, node.input(0).elements // images, *node.output.shape[1:])
    call = nest.call(_KERNELS[dtype], *map(nest.address, (x, *arrays, out)), *sizes)
    function = nest.function(
        [x, *arrays, out],
        [],
        [call],
        operator=node.operator,
        schedule="mve, vectors of channels",
        headers=HEADERS,
    )
    return Implementation(function, (node.input(0), *tables), {"sketch": "mve_resize"})


def resize_sketches(node: Node) -> tuple[Sketch, ...]:
    """The only sketch of the operator, without decisions."""
    fits = node.output.elements > 0 and node.output.shape[3] >= _LEAST_CHANNELS
    return (Sketch("mve_resize"),) if fits and not is_from_uint8(node) else ()


def _table(axis: Axis, step: int) -> np.ndarray:
    """Two positions in the input, `step` elements apart, and a weight for each output."""
    columns = axis.first.astype(np.int64) * step, axis.second.astype(np.int64) * step, axis.weight
    return np.stack(columns, axis=1).astype(np.int32).ravel()
