"""Taps of filters that never meet the input go."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window, window

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_DTYPES = ("int8", "float32")


def crop_filters(graph: Graph) -> Graph:
    """Remove the rows and columns of filters that lie outside of the input at every position.

    A 3x3 filter with padding has them on an image of one row or column. What remains of the padding
    is the option `explicit_padding`, which `tvmtiny.ops.shared.sliding_window.window` reads.

    Parameters
    ----------
    graph
        One that passed `tvmtiny.frontend.verify.verify`.
    """
    readers = Counter(t.index for node in graph.nodes for t in node.inputs if t is not None)
    cropped = {
        node.index: _cropped(node)
        for node in graph.nodes
        if node.operator in _CONVOLUTIONS and readers[node.input(1).index] == 1
    }
    weights = {node.input(1).index: node.input(1) for node in cropped.values()}
    return replace(
        graph,
        nodes=tuple(cropped.get(node.index, node) for node in graph.nodes),
        tensors=tuple(weights.get(tensor.index, tensor) for tensor in graph.tensors),
    )


def _cropped(node: Node) -> Node:
    weights = node.input(1)
    if weights.data is None or weights.dtype not in _DTYPES or weights.data.ndim != 4:
        return node
    geometry = window(node, (weights.shape[1], weights.shape[2]))
    (top, rows), (left, columns) = (_met(geometry, axis) for axis in (0, 1))
    if (rows, columns) == geometry.kernel:
        return node
    data = np.ascontiguousarray(weights.data[:, top : top + rows, left : left + columns])
    sides = []
    for axis, (first, taps) in enumerate(((top, rows), (left, columns))):
        before = geometry.pad[axis] - first * geometry.dilation[axis]
        reach = (taps - 1) * geometry.dilation[axis] + 1
        last = (geometry.output[axis] - 1) * geometry.stride[axis] + reach
        after = last - geometry.input[axis] - before
        # Without padding the filter would fit in more positions than there are outputs.
        if after <= -geometry.stride[axis]:
            return node
        sides += [before, max(0, after)]
    options = {**node.options, "padding": "VALID", "explicit_padding": tuple(sides)}
    cropped = replace(weights, shape=data.shape, data=data)
    return replace(node, inputs=(node.inputs[0], cropped, *node.inputs[2:]), options=options)


def _met(geometry: Window, axis: int) -> tuple[int, int]:
    """The first tap along an axis that meets the input at some position, and how many do."""
    starts = np.arange(geometry.output[axis]) * geometry.stride[axis] - geometry.pad[axis]
    taps = np.arange(geometry.kernel[axis])
    places = starts[:, None] + taps[None, :] * geometry.dilation[axis]
    met = np.flatnonzero(((places >= 0) & (places < geometry.input[axis])).any(axis=0))
    whole = (0, len(taps))
    if not len(met):
        return whole
    first, count = int(met[0]), int(met[-1] - met[0]) + 1
    # A filter cannot begin behind the first row.
    return (first, count) if first * geometry.dilation[axis] <= geometry.pad[axis] else whole
