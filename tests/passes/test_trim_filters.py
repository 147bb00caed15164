"""Filters without the taps that only meet padding: what is cut or stays, and unchanged results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litert_check import extreme_inputs, random_input
from small_networks import Network, Value
from tflite_builder import ModelBuilder
from tools import on_qemu, on_qemu_boards
from typer.testing import CliRunner

import tvmtiny
from tests.ops.three_ways import SideBySide
from tvmtiny import passes
from tvmtiny.cli.main import app
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.verify import verify
from tvmtiny.ops import Oracle
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.ops.shared.sliding_window import window
from tvmtiny.oracle import run_litert
from tvmtiny.passes import fold_pad, optimize, trim_filters

#: Rows above and below, columns to the left and to the right.
Sides = tuple[int, int, int, int]


@dataclass(frozen=True)
class Case:
    """A convolution, and the height and width of its filter after the pass.

    Attributes
    ----------
    sides
        What a PAD before the convolution adds; the convolution then has no padding of its own.
    """

    size: tuple[int, int]
    kernel: tuple[int, int]
    left: tuple[int, int]
    operator: str = "CONV_2D"
    dtype: str = "int8"
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    sides: Sides | None = None
    groups: int = 1
    batch: int = 1

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        b, rng = ModelBuilder(), np.random.default_rng(3)
        dtype = "int8" if self.dtype == "int4" else self.dtype
        integers = dtype != "float32"
        zeros = (-7, 5) if dtype == "int8" else (0, 0)
        scale = {"int8": 0.05, "int16": 0.001}.get(dtype)
        x_scale = {"scale": scale, "zero_point": zeros[0]} if integers else {}
        x = b.input("x", (self.batch, *self.size, 4), dtype, **x_scale)
        size = self.size
        if self.sides is not None:
            top, bottom, left, right = self.sides
            size = (size[0] + top + bottom, size[1] + left + right)
            paddings = np.array([(0, 0), (top, bottom), (left, right), (0, 0)], np.int32)
            y = b.tensor("padded", (self.batch, *size, 4), dtype, **x_scale)
            b.op("PAD", [x, b.constant("paddings", paddings)], [y], {})
            x = y
        depthwise = self.operator == "DEPTHWISE_CONV_2D"
        filters = 4 if depthwise else 6
        shape = (1, *self.kernel, 4) if depthwise else (6, *self.kernel, 4 // self.groups)
        scales = {"scales": [0.01 * (1 + i % 3) for i in range(filters)]} if integers else {}
        axis = {"axis": 3 if depthwise else 0} if integers else {}
        if self.dtype == "int4":
            w = b.int4_constant("w", rng.integers(-7, 8, shape), **scales, **axis)
        elif integers:
            w = b.constant("w", rng.integers(-127, 128, shape).astype(np.int8), **scales, **axis)
        else:
            w = b.constant("w", rng.normal(size=shape).astype(np.float32))
        wide = {"int8": np.int32, "int16": np.int64}.get(dtype, np.float32)
        bias = b.constant("bias", (rng.normal(size=filters) * 500).astype(wide))
        output = tuple(
            -(-extent // step)
            if self.sides is None
            else (extent - (taps - 1) * spread - 1) // step + 1
            for extent, taps, step, spread in zip(
                size, self.kernel, self.stride, self.dilation, strict=True
            )
        )
        y_scale = {"scale": 0.1 if dtype == "int8" else 0.01, "zero_point": zeros[1]}
        y = b.tensor("y", (self.batch, *output, filters), dtype, **(y_scale if integers else {}))
        options = {"padding": "SAME" if self.sides is None else "VALID"}
        options |= {"fused_activation_function": "RELU"}
        names = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")
        numbers = dict(zip(names, (*self.stride, *self.dilation), strict=True))
        more = {"depth_multiplier": 1} if depthwise else {}
        if dtype == "int16" and not depthwise:
            more = {"quantized_bias_type": "int64"}
        b.op(self.operator, [x, w, bias], [y], {**options, **numbers, **more}, 5)
        return b.build([y])


def _table() -> dict[str, Case]:
    shapes = {
        "1x1": Case((1, 1), (3, 3), (1, 1)),
        "1x1_stride": Case((1, 1), (3, 3), (1, 1), stride=(2, 2)),
        "1x1_even": Case((1, 1), (2, 4), (1, 1)),
        "1xn_dilated": Case((1, 8), (3, 3), (1, 3), dilation=(2, 2)),
        "1xn_5x5": Case((1, 8), (5, 5), (1, 5), stride=(2, 2)),
        "nx1": Case((8, 1), (3, 3), (3, 1)),
        "2x2_5x5": Case((2, 2), (5, 5), (3, 3)),
        "2x2_stride": Case((2, 2), (3, 3), (2, 2), stride=(2, 2)),
        "2x2_dilated": Case((2, 2), (3, 3), (1, 1), dilation=(2, 2)),
        "long": Case((4, 5), (10, 4), (7, 4)),
        "long_stride": Case((4, 10), (10, 4), (6, 4), stride=(2, 2), batch=2),
        "asymmetric": Case((2, 3), (5, 4), (2, 3), sides=(3, 0, 0, 2), stride=(1, 2)),
        "asymmetric_dilated": Case((2, 3), (3, 3), (2, 2), sides=(0, 3, 3, 0), dilation=(2, 2)),
        "all_padding": Case((1, 3), (2, 3), (1, 3), sides=(6, 0, 1, 1), stride=(9, 1)),
        "all_padding_before": Case((2, 2), (2, 2), (1, 1), sides=(9, 0, 9, 0), stride=(30, 30)),
        "nothing": Case((4, 4), (3, 3), (3, 3)),
        "nothing_2x2": Case((2, 2), (3, 3), (3, 3)),
        "nothing_1x1": Case((3, 3), (1, 1), (1, 1), stride=(2, 2)),
        "nothing_valid": Case((4, 4), (3, 3), (3, 3), sides=(0, 0, 0, 0), stride=(3, 3)),
    }
    found = {}
    for name, case in shapes.items():
        for operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            fields = {**vars(case), "operator": operator}
            found[f"{operator}/{name}"] = Case(**fields)
    for name in ("1x1_stride", "1xn_5x5", "2x2_dilated"):
        for operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            for dtype in ("int16", "int4", "float32"):
                fields = {**vars(shapes[name]), "operator": operator, "dtype": dtype}
                found[f"{operator}/{name}_{dtype}"] = Case(**fields)
        found[f"CONV_2D/{name}_groups"] = Case(**{**vars(shapes[name]), "groups": 2})
    found["CONV_2D/1xn"] = Case((1, 8), (3, 3), (1, 3))
    found["DEPTHWISE_CONV_2D/1xn_float32"] = Case(
        (1, 8), (3, 3), (1, 3), "DEPTHWISE_CONV_2D", "float32"
    )
    # There are kernels for this filter.
    found["DEPTHWISE_CONV_2D/1xn"] = Case((1, 8), (3, 3), (3, 3), "DEPTHWISE_CONV_2D")
    return found


CASES = _table()
LAYERS = SideBySide("trimmed", CASES, 3e-5)


def trimmed(content: bytes) -> Graph:
    """Run the pass after `fold_pad`, and assert that all remaining tensors are unchanged."""
    graph = read_graph(content, "test")
    verify(graph, "test")
    result = trim_filters(fold_pad(graph))
    verify(result, "trimmed")
    assert [t.index for t in result.tensors] == list(range(len(result.tensors)))
    rng = np.random.default_rng(1)
    sets = [[random_input(t, rng) for t in graph.inputs]]
    if all(t.dtype == "int8" for t in graph.inputs):
        ends = (extreme_inputs(t, rng) for t in graph.inputs)
        sets += [list(inputs) for inputs in zip(*ends, strict=True)]
    for inputs in sets:
        inputs = [
            x.astype(t.dtype) if t.dtype == "float32" else _in_range(x, t.dtype)
            for x, t in zip(inputs, graph.inputs, strict=True)
        ]
        got, expected = evaluate(result, inputs, Oracle.LITERT), run_litert(content, inputs)
        for node in result.nodes:
            index = node.output.index
            if node.output.dtype == "float32":
                np.testing.assert_allclose(got[index], expected[index], 1e-5, 1e-4)
            else:
                np.testing.assert_array_equal(got[index], expected[index])
    return result


def _in_range(x: np.ndarray, dtype: str) -> np.ndarray:
    """Integers of the dtype; `random_input` gives small fractions for int16."""
    return x if dtype == "int8" else np.rint(x * 8000).astype(dtype)


def filters(graph: Graph) -> list[tuple[int, ...]]:
    """Height and width of each convolution's filter."""
    return [node.input(1).shape[1:3] for node in graph.nodes if "CONV" in node.operator]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_shape_and_reference(case: Case) -> None:
    content = case.model()
    result = trimmed(content)
    assert filters(result) == [case.left]
    (node,) = result.nodes
    data = node.input(1).data
    assert data is not None and data.shape == node.input(1).shape
    assert window(node, case.left).output == node.output.shape[1:3]
    whole = fold_pad(read_graph(content, "test"))
    assert (trim_filters(whole) is whole) == (case.left == case.kernel)


def test_c_on_host(tmp_path: Path) -> None:
    LAYERS.check_host("cortex-m4", tmp_path)


def test_portable_c_on_host(tmp_path: Path) -> None:
    LAYERS.check_host("cortex-m0", tmp_path)


@on_qemu_boards("mps2-an386", "mps2-an385")
def test_c_on_board(board: str) -> None:
    LAYERS.check_board(board)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.left == case.kernel])
def test_code_is_unchanged_where_nothing_is_cut(name: str) -> None:
    content = CASES[name].model()
    with patch.object(passes, "trim_filters", lambda graph: graph):
        before = tvmtiny.compile(tvmtiny.load(content, name="m"), "cortex-m3").files
    assert tvmtiny.compile(tvmtiny.load(content, name="m"), "cortex-m3").files == before


def test_geometry() -> None:
    n = Network()
    y = n.conv(n.input(1, 1, 8, 3), 4, (3, 3), padding="SAME", stride=2, dilation=2)
    (node,) = trimmed(n.build(y)).nodes
    geometry = window(node, (1, 3))
    assert (geometry.pad, geometry.pad_after) == ((0, 1), (0, 2))
    assert (geometry.stride, geometry.dilation) == ((1, 2), (1, 2))


def test_a_layer_of_one_pixel_is_trivial() -> None:
    n = Network()
    y = n.conv(n.input(1, 1, 1, 3), 4, (3, 3), padding="SAME", stride=2)
    (node,) = trimmed(n.build(y)).nodes
    assert window(node, (1, 1)).trivial


def _sharing(*heights: int, output: bool = False) -> bytes:
    """Convolutions with the same weights, over images of some heights."""
    b, rng = ModelBuilder(), np.random.default_rng(2)
    weights = rng.integers(-127, 128, (3, 3, 3, 2)).astype(np.int8)
    w = b.constant("w", weights, scales=[0.01, 0.02, 0.03], axis=0)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    outputs = []
    for height in heights:
        x = b.input(f"x{height}", (1, height, 4, 2), "int8", scale=0.05, zero_point=3)
        bias = b.constant("b", rng.integers(-999, 999, 3).astype(np.int32))
        y = b.tensor(f"y{height}", (1, height, 4, 3), "int8", scale=0.1, zero_point=-3)
        b.op("CONV_2D", [x, w, bias], [y], options)
        outputs.append(y)
    return b.build([*outputs, w] if output else outputs)


def test_equal_parts_of_shared_weights() -> None:
    result = trimmed(_sharing(1, 1))
    first, second = result.nodes
    assert filters(result) == [(1, 3), (1, 3)]
    assert first.input(1) is second.input(1)


def test_shared_weights_of_which_a_layer_needs_all() -> None:
    assert filters(trimmed(_sharing(1, 5))) == [(3, 3), (3, 3)]


def test_equal_weights_are_shared() -> None:
    n = Network()
    x, y = n.input(1, 1, 4, 2), n.input(1, 5, 4, 2)
    with patch.object(n, "_weights", return_value=n._weights((3, 3, 3, 2))):
        outputs = [n.conv(v, 3, (3, 3), padding="SAME") for v in (x, y)]
    assert filters(trimmed(n.build(*outputs))) == [(3, 3), (3, 3)]


def test_weights_that_are_an_output_stay() -> None:
    content = _sharing(1, output=True)
    graph = read_graph(content, "test")
    assert filters(trim_filters(graph)) == [(3, 3)]


def test_weights_that_are_no_constant_stay() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 1, 4, 2), "float32")
    w = b.input("w", (3, 3, 3, 2), "float32")
    bias = b.constant("b", np.arange(3, dtype=np.float32))
    y = b.tensor("y", (1, 1, 4, 3), "float32")
    b.op("CONV_2D", [x, w, bias], [y], {"padding": "SAME", "stride_h": 1, "stride_w": 1})
    graph = read_graph(b.build([y]), "test")
    assert trim_filters(graph) is graph


def test_infinite_weights_in_the_padding() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 1, 4, 1), "float32")
    w = b.constant("w", np.array([np.inf, 2, np.nan], np.float32).reshape(1, 3, 1, 1))
    bias = b.constant("b", np.zeros(1, np.float32))
    y = b.tensor("y", (1, 1, 4, 1), "float32")
    b.op("CONV_2D", [x, w, bias], [y], {"padding": "SAME", "stride_h": 1, "stride_w": 1})
    assert filters(trimmed(b.build([y]))) == [(1, 1)]


_pairs = st.tuples(st.integers(0, 6), st.integers(0, 6))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    rows=_pairs,
    columns=_pairs,
    kernel=st.tuples(st.integers(1, 6), st.integers(1, 5)),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.sampled_from(["SAME", "VALID"]),
    depthwise=st.booleans(),
)
def test_any_geometry(
    size: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    dilation: int,
    padding: str,
    depthwise: bool,
) -> None:
    n = Network(1)
    x = n.input(1, *size, 2)
    padded = [d + sum(p) for d, p in zip(size, (rows, columns), strict=True)]
    reach = [(k - 1) * dilation + 1 for k in kernel]
    if padding == "VALID" and any(d < r for d, r in zip(padded, reach, strict=True)):
        return
    x = n.pad(x, (0, 0), rows, columns, (0, 0))
    if depthwise and stride > 1 and dilation > 1:
        dilation = 1
    y: Value = (
        n.depthwise(x, kernel, stride=stride, dilation=dilation, padding=padding)
        if depthwise
        else n.conv(x, 3, kernel, stride=stride, dilation=dilation, padding=padding)
    )
    trimmed(n.build(y))


def _small_network() -> bytes:
    n = Network(4)
    x = n.conv(n.input(1, 4, 4, 3), 8, (3, 3), padding="SAME", stride=2, activation="RELU")
    x = n.conv(x, 8, (3, 3), padding="SAME", stride=2, dead=[2], zero_point=-20)
    x = n.depthwise(x, (3, 3), padding="SAME")
    return n.build(n.conv(x, 5, (3, 3), padding="SAME", stride=2))


@on_qemu
def test_every_layer_is_compared() -> None:
    model = tvmtiny.load(_small_network(), name="small")
    result = optimize(model.graph, Oracle.LITERT).graph
    assert filters(result) == [(3, 3), (2, 2), (1, 1), (1, 1)]
    artifact = tvmtiny.compile(model, "mps2-an386")
    inputs = tvmtiny.make_inputs("random:3", model.graph.inputs)
    check = tvmtiny.check(model, artifact, tvmtiny.run(artifact, *inputs), inputs)
    assert check.exact and check.layers_compared == 4


def test_constants_after_padding_become_biases() -> None:
    # Without its padding, the second layer adds the constant channel at every position.
    n = Network()
    x = n.conv(n.input(1, 1, 1, 3), 4, dead=[0], zero_point=-20)
    content = n.build(n.conv(x, 5, (3, 3), padding="SAME"))
    model = tvmtiny.load(content, name="folded")
    graph = optimize(model.graph, Oracle.LITERT).graph
    assert [node.input(1).shape for node in graph.nodes] == [(3, 1, 1, 3), (5, 1, 1, 3)]
    inputs = [random_input(t, np.random.default_rng(1)) for t in model.graph.inputs]
    (output,) = graph.outputs
    got = evaluate(graph, inputs, Oracle.LITERT)[output.index]
    np.testing.assert_array_equal(got, run_litert(content, inputs)[output.index])


def test_reports_name_the_operators(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(_small_network())
    artifact = tvmtiny.compile(tvmtiny.load(path), "cortex-m4")
    whole = ["CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert [layer.operator for layer in artifact.layers] == whole
    found = CliRunner().invoke(app, ["inspect", str(path), "--json"], catch_exceptions=False)
    described = json.loads(found.stdout)
    assert [node["operator"] for node in described["nodes"]] == whole
    assert described["live_macs"] < described["macs"]
    shown = CliRunner().invoke(app, ["inspect", str(path)], catch_exceptions=False).stdout
    assert "without dead channels and taps outside of the input" in " ".join(shown.split())
