"""PAD folded into convolutions: the cases that fold or stay, and unchanged results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host
from hypothesis import given, settings
from hypothesis import strategies as st
from litert_check import random_input
from small_networks import Network, Value
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.verify import verify
from tvmtiny.ops import Oracle
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.oracle import run_litert
from tvmtiny.passes import fold_pad

SPATIAL = ((0, 0), (1, 2), (0, 3), (0, 0))


def folded(content: bytes) -> Graph:
    """Run the pass, and assert that all remaining tensors are unchanged."""
    graph = read_graph(content, "test")
    verify(graph, "test")
    result = fold_pad(graph)
    verify(result, "folded")
    inputs = [random_input(tensor, np.random.default_rng(1)) for tensor in graph.inputs]
    got, expected = evaluate(result, inputs, Oracle.LITERT), run_litert(content, inputs)
    for node in result.nodes:
        index = node.output.index
        np.testing.assert_allclose(got[index], expected[index], 1e-5, 1e-4)
        if node.output.dtype == "int8":
            np.testing.assert_array_equal(got[index], expected[index])
    return result


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes]


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_convolution_takes_the_padding(
    dtype: str, padding: str, stride: int, dilation: int, operator: str
) -> None:
    n = Network(dtype=dtype)
    x = n.pad(n.input(1, 6, 5, 3), *SPATIAL)
    options = {"padding": padding, "stride": stride, "dilation": dilation}
    y = (
        n.conv(x, 4, (3, 3), **options)
        if operator == "CONV_2D"
        else n.depthwise(x, (3, 3), **options)
    )
    assert operators(folded(n.build(y))) == [operator]


def test_geometry() -> None:
    n = Network()
    x = n.pad(n.input(1, 6, 6, 3), (0, 0), (1, 1), (1, 1), (0, 0))
    (node,) = folded(n.build(n.conv(x, 4, (3, 3), stride=2))).nodes
    geometry = window(node, (3, 3))
    assert node.options["explicit_padding"] == (1, 1, 1, 1)
    # The last window ends inside the input.
    assert (geometry.output, geometry.pad, geometry.pad_after) == ((3, 3), (1, 1), (0, 0))


def test_two_convolutions_share_a_pad() -> None:
    n = Network()
    x = n.pad(n.input(1, 6, 5, 3), *SPATIAL)
    result = folded(n.build(n.conv(x, 4, (3, 3)), n.depthwise(x, (3, 3))))
    assert operators(result) == ["CONV_2D", "DEPTHWISE_CONV_2D"]


def test_second_of_two_pads() -> None:
    n = Network()
    x = n.pad(n.pad(n.input(1, 6, 5, 3), *SPATIAL), *SPATIAL)
    assert operators(folded(n.build(n.conv(x, 4, (3, 3))))) == ["PAD", "CONV_2D"]


@pytest.mark.parametrize("reader", ["output", "pool", "both", "channels", "batch"])
def test_pad_stays(reader: str) -> None:
    n = Network()
    paddings = list(SPATIAL)
    if reader in ("channels", "batch"):
        paddings[3 if reader == "channels" else 0] = (0, 1)
    x = n.pad(n.input(1, 6, 5, 3), *paddings)
    outputs: list[Value] = [n.conv(x, 4, (3, 3))]
    if reader == "output":
        outputs.append(x)
    if reader in ("pool", "both"):
        outputs.append(n.pool(x))
    if reader == "pool":
        del outputs[0]
    assert "PAD" in operators(folded(n.build(*outputs)))


@pytest.mark.parametrize("scales", [{}, {"scale": 0.1}])
def test_a_pad_needs_no_scales(scales: dict[str, float]) -> None:
    b = ModelBuilder()
    x, y = b.input("x", (1, 6, 5, 3), "int8"), b.tensor("y", (1, 8, 8, 3), "int8", **scales)
    b.op(
        "PAD",
        [x, b.constant("paddings", np.array([(0, 0), (1, 1), (1, 2), (0, 0)], np.int32))],
        [y],
        {},
    )
    assert operators(folded(b.build([y]))) == ["PAD"]


_pairs = st.tuples(st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    rows=_pairs,
    columns=_pairs,
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    depthwise=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_geometry(
    rows: tuple[int, int],
    columns: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    depthwise: bool,
    seed: int,
) -> None:
    n = Network(seed)
    x = n.pad(n.input(1, 5, 4, 2), (0, 0), rows, columns, (0, 0))
    y = n.depthwise(x, kernel, stride=stride) if depthwise else n.conv(x, 3, kernel, stride=stride)
    assert "PAD" not in operators(folded(n.build(y)))


def test_generated_code(tmp_path: Path) -> None:
    n = Network()
    x = n.pad(n.input(1, 6, 5, 3), *SPATIAL)
    y = n.pad(n.conv(x, 8, (3, 3), stride=2), *SPATIAL)
    model = tvmtiny.load(n.build(n.depthwise(y, (3, 3))), name="padded")
    artifact = tvmtiny.compile(model, "cortex-m3")
    assert [layer.operator for layer in artifact.layers] == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    inputs = tvmtiny.make_inputs("random:3", model.graph.inputs)
    (result,) = run_on_host(artifact, [inputs], tmp_path)
    assert tvmtiny.check(model, artifact, result, inputs).exact
