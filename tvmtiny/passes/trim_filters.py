"""Removal of the rows and columns of filters that meet nothing but padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.shared.subprogram import subprograms

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def trim_filters(graph: Graph) -> Graph:
    """Remove the outer rows and columns of filters that lie in the padding at every position.

    An example is a 3x3 filter over an image of one row. The products of these weights are zero,
    because padding holds the zero point (0 in float). The convolutions get smaller weights, and the
    option `explicit_padding` that `tvmtiny.ops.shared.sliding_window.window` reads.

    Weights that several nodes read stay whole unless all of these nodes need the same part,
    because different parts could take more memory than the whole.

    Parameters
    ----------
    graph
        A graph that passed `tvmtiny.frontend.verify.verify`.
    """
    cuts = {node.index: cut for node in graph.nodes if (cut := _cut(node)) is not None}
    parts: dict[bytes, set[_Cut | None]] = {
        _content(node.input(1)): set() for node in graph.nodes if node.index in cuts
    }
    if not parts:
        return graph
    for node, tensor in _constants(graph):
        content = _content(tensor)
        if content in parts:
            weights = node is not None and node.optional_input(1) is tensor
            parts[content].add(cuts.get(node.index) if node is not None and weights else None)
    tensors, nodes = list(graph.tensors), []
    trimmed: dict[int, Tensor] = {}
    for node in graph.nodes:
        cut = cuts.get(node.index)
        if cut is None or len(parts[_content(node.input(1))]) > 1:
            nodes.append(node)
            continue
        whole = node.input(1)
        if whole.index not in trimmed:
            trimmed[whole.index] = cut.part(whole, len(tensors))
            tensors.append(trimmed[whole.index])
        nodes.append(_trimmed(node, trimmed[whole.index], cut))
    return replace(graph, tensors=tuple(tensors), nodes=tuple(nodes))


@dataclass(frozen=True)
class _Cut:
    """The part of a filter that remains.

    Attributes
    ----------
    shape
        Shape of the whole weights.
    rows, columns
        The first tap along height and width, and the one behind the last.
    """

    shape: tuple[int, ...]
    rows: tuple[int, int]
    columns: tuple[int, int]

    def part(self, weights: Tensor, index: int) -> Tensor:
        """Return the part of `weights`, of shape ``(..., height, width, ...)``, as a constant."""
        assert weights.data is not None
        data = weights.data[:, slice(*self.rows), slice(*self.columns)]
        data = np.ascontiguousarray(data)
        return replace(weights, index=index, shape=data.shape, data=data)


def _cut(node: Node) -> _Cut | None:
    """Return the part that a convolution needs of its constant filter; None if it needs all."""
    if node.operator not in _CONVOLUTIONS:
        return None
    shape = node.input(1).shape
    if node.input(1).data is None:
        return None
    geometry = window(node, (shape[1], shape[2]))
    rows, columns = _taps(geometry, 0), _taps(geometry, 1)
    if columns == (0, 3) and _has_own_kernels(node, geometry):
        return None
    if (rows, columns) == ((0, shape[1]), (0, shape[2])):
        return None
    return _Cut(shape, rows, columns)


def _has_own_kernels(node: Node, geometry: Window) -> bool:
    """Return whether there are kernels for exactly this filter.

    They can be faster than those for any filter that is three columns wide, even if they multiply
    zeros.
    """
    plain = geometry.kernel == (3, 3) and geometry.dilation == (1, 1)
    return plain and node.operator == "DEPTHWISE_CONV_2D" and node.input(0).dtype == "int8"


def _taps(geometry: Window, axis: int) -> tuple[int, int]:
    """Return the first tap that is needed along an axis, and the one behind the last."""
    extent, taps = geometry.input[axis], geometry.kernel[axis]
    step, spread, before = geometry.stride[axis], geometry.dilation[axis], geometry.pad[axis]
    starts = np.arange(geometry.output[axis]) * step - before
    positions = starts[:, None] + np.arange(taps) * spread
    used = np.flatnonzero(((positions >= 0) & (positions < extent)).any(axis=0))
    first, end = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    # The first window must not begin inside of the input: no padding is negative.
    first = min(first, before // spread)
    # The last window must not end so early that there would be room for another.
    while _after(geometry, axis, end) <= -step:
        end += 1
    return first, end


def _after(geometry: Window, axis: int, end: int) -> int:
    """Return how far the last window reaches outside of the input, if `end` taps remain."""
    last = (geometry.output[axis] - 1) * geometry.stride[axis] - geometry.pad[axis]
    return last + (end - 1) * geometry.dilation[axis] + 1 - geometry.input[axis]


def _trimmed(node: Node, weights: Tensor, cut: _Cut) -> Node:
    geometry = window(node, (cut.shape[1], cut.shape[2]))
    options, explicit = dict(node.options), []
    for axis, (first, end) in enumerate((cut.rows, cut.columns)):
        letter, after = "hw"[axis], _after(geometry, axis, end)
        explicit += [geometry.pad[axis] - first * geometry.dilation[axis], max(0, after)]
        # Kernels for a distance of 1 are faster, and a single tap has no distance.
        if end - first == 1:
            options[f"dilation_{letter}_factor"] = 1
            if geometry.output[axis] == 1 and after >= 0:
                options[f"stride_{letter}"] = 1
    options |= {"padding": "VALID", "explicit_padding": tuple(explicit)}
    return replace(node, inputs=(node.inputs[0], weights, *node.inputs[2:]), options=options)


def _constants(graph: Graph) -> Iterator[tuple[Node | None, Tensor]]:
    """Yield each constant with each of its readers, which are None outside of the graph's nodes."""
    read: list[tuple[Node | None, Tensor | None]]
    read = [(node, tensor) for node in graph.nodes for tensor in node.inputs]
    read += [(None, tensor) for tensor in graph.outputs]
    read += [(None, state.after) for state in graph.states]
    yield from ((node, t) for node, t in read if t is not None and t.data is not None)
    for node in graph.nodes:
        for program in subprograms(node):
            yield from ((None, tensor) for _, tensor in _constants(program.graph))


def _content(tensor: Tensor) -> bytes:
    """Return the bytes of a constant, by which generated code recognizes equal constants."""
    assert tensor.data is not None
    return tensor.data.tobytes()
