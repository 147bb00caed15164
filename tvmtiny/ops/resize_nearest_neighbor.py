"""RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.movement import moved, selection
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.resizing import centers, check_resize, corners


@register
class ResizeNearestNeighbor(Moving):
    """Copies of the nearest pixels of the input.

    The nearest pixel is determined in float32 as in ``reference_ops::ResizeNearestNeighbor``, at
    compile time.
    """

    name = "RESIZE_NEAREST_NEIGHBOR"
    dtypes = ("int8", "uint8", "int16", "int32", "float32")
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        yield from check_resize(node)

    def compute(self, node: Node, oracle: Oracle) -> Result:
        n, _, _, channels = node.input(0).shape
        indices = [np.arange(n), *nearest_axes(node), np.arange(channels)]
        return moved(node, [selection(node.input(0).shape, indices)])

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        rows, columns = nearest_axes(node)
        return [inputs[0][:, rows][:, :, columns]]


def nearest_axes(node: Node) -> list[np.ndarray]:
    """Index in the input of each row and of each column.

    The option `row_sources`, which nodes for rows have, replaces that of rows.
    """
    found = []
    for size, wanted in zip(node.input(0).shape[1:3], node.output.shape[1:3], strict=True):
        offset = np.float32(0.5 if centers(node) else 0)
        position = np.arange(wanted).astype(np.float32) + offset
        if corners(node) and wanted > 1:
            scale = np.float32(size - 1) / np.float32(wanted - 1)
        else:
            scale = np.float32(size) / np.float32(wanted)
        scaled = position * scale
        whole = np.floor(scaled + np.float32(0.5)) if corners(node) else np.floor(scaled)
        found.append(np.clip(whole.astype(np.int64), 0, size - 1))
    if "row_sources" in node.options:
        found[0] = node.options["row_sources"][0]
    return found
