"""Folding of PAD into the padding of the convolutions that read it."""

from __future__ import annotations

from dataclasses import replace

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.sliding_window import window

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def fold_pad(graph: Graph) -> Graph:
    """Remove each PAD along height and width that only convolutions read.

    The convolutions then read the PAD's input. Their option `explicit_padding`, which
    `tvmtiny.ops.shared.sliding_window.window` reads, holds the sum of the PAD's padding and their
    own. The sum is valid because both kinds of border hold the zero point (0 in float).

    Parameters
    ----------
    graph
        A graph that passed `tvmtiny.frontend.verify.verify`.
    """
    folded: dict[int, Node] = {}
    nodes = []
    for node in graph.nodes:
        if _spatial(node) and _only_convolved(node.output, graph):
            folded[node.output.index] = node
            continue
        padding = folded.get(node.input(0).index) if node.operator in _CONVOLUTIONS else None
        nodes.append(node if padding is None else _with_padding(node, padding))
    return replace(graph, nodes=tuple(nodes))


def _only_convolved(tensor: Tensor, graph: Graph) -> bool:
    """Return whether an activation has readers, and all of them convolve it."""
    ends = (*graph.outputs, *(state.after for state in graph.states))
    if any(tensor.index == output.index for output in ends):
        return False
    readers = [
        (node, [i for i, t in enumerate(node.inputs) if t is not None and t.index == tensor.index])
        for node in graph.nodes
    ]
    found = [(node, positions) for node, positions in readers if positions]
    return bool(found) and all(
        node.operator in _CONVOLUTIONS and positions == [0] for node, positions in found
    )


def _spatial(node: Node) -> bool:
    """Return whether the node pads an NHWC activation along height and width only."""
    if node.operator != "PAD":
        return False
    x, y, paddings = node.input(0), node.output, node.input(1).data
    assert paddings is not None
    if len(x.shape) != 4 or x.data is not None or x.dtype not in ("int8", "float32"):
        return False
    return not paddings[0].any() and not paddings[3].any() and _same_quantization(x, y)


def _same_quantization(x: Tensor, y: Tensor) -> bool:
    if x.dtype != "int8":
        return True
    # PAD is valid without scales, but folding needs to compare them.
    left, right = x.quantization, y.quantization
    if left is None or right is None:
        return False
    return (left.scales, left.zero_points) == (right.scales, right.zero_points)


def _with_padding(node: Node, pad: Node) -> Node:
    paddings = pad.input(1).data
    assert paddings is not None
    kernel = node.input(1).shape[1:3]
    own = window(node, (kernel[0], kernel[1]))
    (top, left), (bottom, right) = own.pad, own.pad_after
    explicit = (
        int(paddings[1, 0]) + top,
        int(paddings[1, 1]) + bottom,
        int(paddings[2, 0]) + left,
        int(paddings[2, 1]) + right,
    )
    options = {**node.options, "padding": "VALID", "explicit_padding": explicit}
    return replace(node, inputs=(pad.input(0), *node.inputs[1:]), options=options)
