"""Rows and columns of filters that never meet the input."""

from __future__ import annotations

import numpy as np
import pytest
from small_networks import Network

from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Oracle
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.passes import crop_filters


@pytest.mark.parametrize(
    ("size", "options", "kernel"),
    [
        ((1, 1), {}, (1, 1)),
        ((5, 1), {}, (3, 1)),
        ((2, 2), {"stride": 2}, (2, 2)),
        ((2, 5), {"stride": 2}, (2, 3)),
        ((2, 4), {"dilation": 3}, (1, 3)),
        ((3, 4), {}, (3, 3)),
    ],
)
@pytest.mark.parametrize("operator", ["conv", "depthwise"])
def test_outer_taps_go(operator: str, size: tuple[int, int], options: dict, kernel: tuple) -> None:
    network = Network(3)
    x = network.input(1, *size, 3)
    make = {"conv": lambda: network.conv(x, 4, (3, 3), padding="SAME", **options)}
    make["depthwise"] = lambda: network.depthwise(x, padding="SAME", **options)
    graph = read_graph(network.build(make[operator]()), "test")
    found = crop_filters(graph)
    (node,) = found.nodes
    assert node.input(1).shape[1:3] == kernel
    assert window(node, kernel).output == node.output.shape[1:3]
    inputs = [np.random.default_rng(1).integers(-128, 128, x.shape).astype(np.int8)]
    before, after = (evaluate(g, inputs, Oracle.LITERT) for g in (graph, found))
    np.testing.assert_array_equal(before[node.output.index], after[node.output.index])


def test_a_filter_that_would_fit_more_often_stays() -> None:
    """Only its right tap is outside everywhere, so the left one would have a third position."""
    network = Network(3)
    x = network.input(1, 8, 2, 5)
    graph = read_graph(network.build(network.conv(x, 3, (3, 2), padding="SAME", dilation=3)), "t")
    found = crop_filters(graph)
    (node,) = found.nodes
    assert window(node, node.input(1).shape[1:3]).output == node.output.shape[1:3]
    inputs = [np.random.default_rng(1).integers(-128, 128, x.shape).astype(np.int8)]
    before, after = (evaluate(g, inputs, Oracle.LITERT) for g in (graph, found))
    np.testing.assert_array_equal(before[node.output.index], after[node.output.index])
