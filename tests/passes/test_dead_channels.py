"""Dead-channel elimination: channels that are removed or kept, and unchanged results."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host
from hypothesis import given, settings
from hypothesis import strategies as st
from litert_check import random_input
from small_networks import Network, Value
from tools import MLPERF_TINY, needs_mlperf_tiny

import tvmtiny
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.verify import verify
from tvmtiny.ops import Oracle, find_operator
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.oracle import run_litert
from tvmtiny.passes import Optimized, Options, eliminate_dead_channels, optimize


def reduced(content: bytes) -> Optimized:
    """Run all passes, and assert that only sizes change, for several inputs."""
    graph = read_graph(content, "test")
    verify(graph, "test")
    optimized = optimize(graph, Oracle.LITERT)
    verify(optimized.graph, "optimized")
    rng = np.random.default_rng(1)
    for _ in range(3):
        inputs = [random_input(tensor, rng) for tensor in graph.inputs]
        got = evaluate(optimized.graph, inputs, Oracle.LITERT)
        assert_same(optimized, got, run_litert(content, inputs))
    return optimized


def assert_same(
    optimized: Optimized, got: dict[int, np.ndarray], expected: dict[int, np.ndarray]
) -> None:
    """Assert that activations equal those of the original graph on the channels they hold."""
    for node in optimized.graph.nodes:
        index = node.output.index
        channels = optimized.kept.get(index)
        wanted = expected[index] if channels is None else expected[index][..., list(channels)]
        np.testing.assert_array_equal(got[index], wanted, err_msg=node.where)
    for tensor in optimized.graph.outputs:
        np.testing.assert_array_equal(got[tensor.index], expected[tensor.index])


def widths(optimized: Optimized) -> list[int]:
    """Channels of each node's output."""
    return [node.output.shape[-1] for node in optimized.graph.nodes]


def macs(graph: Graph) -> int:
    """The number of channels of all nodes."""
    operators = [(find_operator(node.operator), node) for node in graph.nodes]
    return sum(operator.macs(node) for operator, node in operators if operator)


def test_constant_channel_is_folded_into_the_bias() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1, 4], zero_point=-20)
    result = reduced(n.build(n.conv(x, 5)))
    assert widths(result) == [4, 5]
    assert result.kept == {x.index: (0, 2, 3, 5)}


def test_channel_that_nobody_reads_is_removed_with_what_it_needs() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6)
    y = n.depthwise(x, padding="SAME")
    result = reduced(n.build(n.conv(y, 5, unread=[0, 5])))
    assert widths(result) == [4, 4, 5]
    assert result.kept == {x.index: (1, 2, 3, 4), y.index: (1, 2, 3, 4)}


def test_chain_of_constants_is_removed() -> None:
    n = Network()
    x = n.conv(n.input(1, 6, 6, 3), 4, dead=[2], zero_point=3)
    y = n.depthwise(x)
    z = n.pool(n.pool(y), "MAX_POOL_2D")
    result = reduced(n.build(n.dense(n.reshape(z, 1, 4), 3)))
    assert widths(result) == [3, 3, 3, 3, 3, 3]


def test_padding_keeps_a_constant_that_is_not_the_zero_point() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 4, dead=[0], zero_point=-20)
    y = n.conv(x, 5, (3, 3), padding="SAME")
    assert widths(reduced(n.build(y))) == [4, 5]


def test_padding_does_not_keep_the_zero_point() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 4, dead=[0], zero_point=-128, activation="RELU")
    n.builder._buffers[-1].data = np.full(4, -9000, np.int32).view(np.uint8)
    y = n.depthwise(n.conv(x, 5, (3, 3), padding="SAME"), padding="SAME")
    assert widths(reduced(n.build(y))) == [3, 5, 5]


def test_padding_makes_a_depthwise_channel_vary() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 4, dead=[1], zero_point=-20)
    y = n.depthwise(x, padding="SAME")
    assert widths(reduced(n.build(n.conv(y, 5)))) == [4, 4, 5]


def test_depthwise_filter_of_zeros_needs_no_input() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 4)
    y = n.depthwise(x, padding="SAME", dead=[0, 3])
    assert widths(reduced(n.build(n.conv(y, 5)))) == [2, 2, 5]


@pytest.mark.parametrize("inputs, expected", [(1, [3, 5]), (2, [4, 5])])
def test_depth_multiplier(inputs: int, expected: list[int]) -> None:
    n = Network()
    x = n.input(1, 4, 4, inputs)
    result = reduced(n.build(n.conv(n.depthwise(x, multiplier=4 // inputs, dead=[2]), 5)))
    assert widths(result) == expected
    assert result.graph.nodes[0].options["depth_multiplier"] == expected[0] // inputs


def test_depth_multiplier_keeps_whole_groups() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 3)
    y = n.depthwise(x, multiplier=2, dead=[0, 2, 3])
    assert widths(reduced(n.build(n.conv(y, 5)))) == [2, 4, 5]


def test_addition_ties_its_operands() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1, 2])
    y = n.conv(x, 6, dead=[2, 3])
    z = n.conv(n.binary("ADD", x, y), 5)
    # Channel 2 is constant in both operands; 1 and 3 are constant in one only.
    assert widths(reduced(n.build(z))) == [5, 5, 5, 5]


@pytest.mark.parametrize("operator", ["ADD", "MUL"])
@pytest.mark.parametrize("shape", [(6,), (1, 4, 4, 6), (1, 4, 4, 1), (1,), ()])
def test_constant_operand_is_sliced(operator: str, shape: tuple[int, ...]) -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6)
    y = n.binary(operator, n.constant(*shape), x)
    assert widths(reduced(n.build(n.conv(y, 5, unread=[0, 2, 5])))) == [3, 3, 5]


def test_constant_is_sliced_for_each_reader() -> None:
    n = Network()
    image, c = n.input(1, 4, 4, 3), n.constant(6)
    a = n.conv(n.binary("ADD", n.conv(image, 6), c), 5, unread=[0])
    b = n.conv(n.binary("ADD", n.conv(image, 6), c), 5, unread=[1, 2])
    assert widths(reduced(n.build(a, b))) == [5, 5, 5, 4, 4, 5]


def test_concatenation_loses_channels_and_operands() -> None:
    n = Network()
    image = n.input(1, 4, 4, 3)
    parts = [n.pool(n.pad(image, (0, 0), (0, 4), (0, 4), (0, 0))) for _ in range(3)]
    result = reduced(n.build(n.conv(n.concatenate(*parts), 5, unread=[3, 4, 5])))
    assert [node.operator for node in result.graph.nodes].count("PAD") == 2
    assert len(result.graph.nodes[-2].inputs) == 2
    n = Network()
    # Both operands have one producer, so that their scales are equal.
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1])
    joined = n.concatenate(n.pool(x), n.pool(x, "MAX_POOL_2D"))
    assert widths(reduced(n.build(n.conv(joined, 5, unread=[0, 6])))) == [4, 4, 4, 8, 5]


def test_concatenation_of_rows_ties_its_parts() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6)
    both = n.concatenate(n.pool(x), n.pool(x, "MAX_POOL_2D"), axis=1)
    assert widths(reduced(n.build(n.conv(both, 5, unread=[4])))) == [5, 5, 5, 5, 5]


def test_pad_along_channels() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 4)
    y = n.pad(x, (0, 0), (1, 0), (0, 0), (2, 3))
    result = reduced(n.build(n.conv(n.binary("ADD", y, n.constant(9)), 5, unread=[0, 3])))
    assert widths(result)[0] == 3


def test_mean_and_element_wise_operators() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[5])
    y = n.logistic(n.requantize(x))
    z = n.reshape(n.mean(y, 1, 2), 1, 6)
    assert widths(reduced(n.build(n.dense(z, 4)))) == [5] * 5 + [4]


def test_mean_over_channels_needs_all() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[5])
    assert widths(reduced(n.build(n.mean(x, 3, keep_dims=True)))) == [6, 1]


@pytest.mark.parametrize("shape, expected", [((1, 24), 20), ((1, 4, 6), 5), ((2, 2, 1, 6), 5)])
def test_reshape_that_joins_channels(shape: tuple[int, ...], expected: int) -> None:
    n = Network()
    x = n.conv(n.input(1, 2, 2, 3), 6, dead=[1])
    y = n.reshape(x, *shape)
    result = reduced(n.build(n.dense(y, 4, depth=24)))
    assert widths(result) == [5, expected, 4]


def test_reshape_that_splits_channels() -> None:
    n = Network()
    x = n.conv(n.input(1, 2, 2, 3), 6)
    result = reduced(n.build(n.conv(n.reshape(x, 1, 4, 2, 3), 5, unread=[1])))
    assert widths(result) == [4, 2, 5]
    # Both constants become one channel, which then has two values.
    n = Network()
    x = n.conv(n.input(1, 2, 2, 3), 6, dead=[0, 3])
    assert widths(reduced(n.build(n.conv(n.reshape(x, 1, 4, 2, 3), 5)))) == [6, 3, 5]


def test_reshape_that_mixes_channels_needs_all() -> None:
    n = Network()
    x = n.conv(n.input(1, 2, 2, 3), 6, dead=[0])
    assert widths(reduced(n.build(n.conv(n.reshape(x, 1, 3, 2, 4), 5)))) == [6, 4, 5]


def test_rows_of_a_fully_connected_layer() -> None:
    n = Network()
    x = n.conv(n.input(1, 2, 2, 3), 6, dead=[4])
    assert widths(reduced(n.build(n.dense(x, 3, depth=6)))) == [5, 3]
    n = Network()
    x = n.conv(n.input(1, 2, 2, 3), 6, dead=[4])
    assert widths(reduced(n.build(n.dense(x, 3, depth=3)))) == [6, 3]


def test_hidden_fully_connected_channels() -> None:
    n = Network()
    x = n.dense(n.input(1, 8), 6, dead=[0, 1, 2, 3, 4])
    # A single scale would count as per-tensor.
    assert widths(reduced(n.build(n.dense(x, 3)))) == [2, 3]


def test_softmax_and_outputs_need_all() -> None:
    n = Network()
    x = n.dense(n.input(1, 8), 6, dead=[0, 1])
    assert widths(reduced(n.build(n.softmax(x)))) == [6, 6]
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1, 4])
    assert widths(reduced(n.build(n.conv(x, 5), x))) == [6, 5]


def test_network_of_constants_keeps_one_channel() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=range(6))
    assert widths(reduced(n.build(n.conv(x, 5)))) == [1, 5]


def test_node_that_nobody_reads_is_removed() -> None:
    n = Network()
    x = n.input(1, 4, 4, 3)
    n.conv(n.conv(x, 6), 4)
    result = reduced(n.build(n.conv(x, 5)))
    assert widths(result) == [5]


def test_float_stays() -> None:
    n = Network(dtype="float32")
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1, 4])
    graph = read_graph(n.build(n.conv(x, 5)), "test")
    result = eliminate_dead_channels(graph, Oracle.LITERT)
    assert result.kept == {} and macs(result.graph) == macs(graph)


def test_overflowing_bias_keeps_the_channel() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1], zero_point=-20)
    y = n.conv(x, 5)
    n.builder._buffers[-1].data = np.full(5, 2**31 - 1, np.int32).view(np.uint8)
    assert widths(optimize(read_graph(n.build(y), "test"), Oracle.LITERT))[0] == 6


def test_option_turns_it_off() -> None:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1])
    graph = read_graph(n.build(n.conv(x, 5)), "test")
    assert optimize(graph, Oracle.LITERT, Options(dead_channels=False)).kept == {}


@needs_mlperf_tiny
@pytest.mark.parametrize(
    "name, before, after",
    [
        ("vww", 7_489_664, 3_733_073),
        ("kws", 2_656_768, 2_656_768),
        ("ic", 12_501_632, 12_501_632),
        ("ad", 264_192, 264_192),
        ("sww", 826_368, 826_368),
    ],
)
def test_benchmark_models(name: str, before: int, after: int) -> None:
    content = (MLPERF_TINY / f"{name}_int8.tflite").read_bytes()
    graph = read_graph(content, name)
    optimized = optimize(graph, Oracle.LITERT)
    assert (macs(graph), macs(optimized.graph)) == (before, after)
    inputs = tvmtiny.make_inputs("ramp", graph.inputs)
    got = evaluate(optimized.graph, inputs, Oracle.LITERT)
    assert_same(optimized, got, run_litert(content, inputs))


def _channels(count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, count - 1), unique=True, max_size=count)


@st.composite
def networks(draw: st.DrawFn) -> bytes:
    """A chain of random layers, with branches, in which many channels are dead."""
    n = Network(draw(st.integers(0, 2**16)))
    x = n.input(draw(st.integers(1, 2)), 6, 5, draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(1, 5))):
        x = _layer(n, x, draw)
    tail = draw(st.sampled_from(["none", "dense", "mean"]))
    if tail == "dense":
        x = n.dense(n.reshape(x, x.shape[0], prod(x.shape[1:])), 3)
    if tail == "mean":
        x = n.dense(n.mean(x, 1, 2), 3)
    return n.build(x)


def _layer(n: Network, x: Value, draw: st.DrawFn) -> Value:
    kind = draw(st.sampled_from(["conv", "point", "depthwise", "block", "add", "pad", "pool"]))
    options = {
        "padding": draw(st.sampled_from(["SAME", "VALID"])) if min(x.shape[1:3]) > 2 else "SAME",
        "activation": draw(st.sampled_from(["NONE", "RELU", "RELU6"])),
        "zero_point": draw(st.sampled_from([None, -128, 0])),
    }
    channels = draw(st.integers(1, 6))
    dead = draw(_channels(channels))
    if kind == "conv":
        stride = draw(st.integers(1, 2))
        return n.conv(
            x, channels, (3, 3), dead, draw(_channels(x.shape[3])), stride=stride, **options
        )
    if kind == "point":
        return n.conv(x, channels, (1, 1), dead, draw(_channels(x.shape[3])), **options)
    if kind == "depthwise":
        multiplier = draw(st.integers(1, 2))
        dead = draw(_channels(x.shape[3] * multiplier))
        return n.depthwise(x, (3, 3), multiplier, dead, **options)
    if kind == "block":
        inner = n.conv(x, channels, (1, 1), dead, **options)
        back = n.conv(inner, x.shape[3], (1, 1), draw(_channels(x.shape[3])))
        return n.binary("ADD", x, back)
    if kind == "add":
        return n.binary(draw(st.sampled_from(["ADD", "MUL"])), x, n.constant(x.shape[3]))
    if kind == "pad":
        pairs = [draw(st.tuples(st.integers(0, 1), st.integers(0, 1))) for _ in range(3)]
        return n.pad(x, (0, 0), *pairs)
    return n.pool(x, draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"])), padding="SAME")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(networks())
def test_random_networks(content: bytes) -> None:
    reduced(content)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(networks())
def test_random_networks_rounded_like_tflm(content: bytes) -> None:
    graph = read_graph(content, "test")
    optimized = optimize(graph, Oracle.TFLM)
    inputs = [random_input(tensor, np.random.default_rng(2)) for tensor in graph.inputs]
    got = evaluate(optimized.graph, inputs, Oracle.TFLM)
    assert_same(optimized, got, evaluate(graph, inputs, Oracle.TFLM))


def test_generated_code_is_checked_on_the_remaining_channels(tmp_path: Path) -> None:
    n = Network()
    x = n.conv(n.input(1, 6, 5, 3), 7, (3, 3), dead=[1, 4], padding="SAME", activation="RELU")
    y = n.conv(n.depthwise(x, stride=2), 5, dead=[0])
    model = tvmtiny.load(n.build(n.softmax(n.dense(n.reshape(y, 1, 20), 3))), name="dead")
    artifact = tvmtiny.compile(model, "cortex-m3")
    assert artifact.layers[0].kept_channels == (0, 2, 3, 5, 6)
    assert artifact.macs < tvmtiny.compile(model, "cortex-m3", dead_channels=False).macs
    inputs = tvmtiny.make_inputs("ramp", model.graph.inputs)
    (result,) = run_on_host(artifact, [inputs], tmp_path)
    checked = tvmtiny.check(model, artifact, result, inputs)
    assert checked.exact and checked.layers_compared == len(artifact.layers)
    # The check reports a difference where there is one.
    result.layers[0].flat[3] += 1
    first = tvmtiny.check(model, artifact, result, inputs).first_mismatch
    assert first is not None and (first.layer, first.element) == (0, 3)
