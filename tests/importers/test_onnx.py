"""ONNX models: exact in every layer of what they become, and like onnxruntime from end to end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compared_graphs import compare, frames_for

import tvmtiny
from tvmtiny.errors import (
    DynamicShapeError,
    InputError,
    ModelFormatError,
    ToolMissingError,
    UnsupportedModelError,
)
from tvmtiny.frontend.reader import read_graph
from tvmtiny.importers import Imported, ImportOptions, import_model
from tvmtiny.oracle import run_litert_outputs

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx_models import FLOAT, OnnxBuilder  # noqa: E402

#: Models that are tried quantized, too, and how.
QUANTIZED = {
    "image_classifier": "uint8",
    "residual": "int8",
    "sound": "uint8",
    "segmentation": "operators",
    "attention": "int8",
    "shuffle": "uint8",
}


def session(model: Any) -> Any:
    options = runtime.SessionOptions()
    # As the model says it, without fused operators that round otherwise.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(model.SerializeToString(), options)


def quantized(model: Any, way: str, folder: Path) -> Any:
    """What onnxruntime's static quantization makes of a model."""
    from onnxruntime import quantization as q

    name = model.graph.input[0].name
    shape = [d.dim_value or 1 for d in model.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(1)
    samples = iter([{name: rng.normal(size=shape).astype(np.float32)} for _ in range(20)])

    class Reader(q.CalibrationDataReader):  # type: ignore[misc,name-defined]
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(samples, None)

    onnx.save(model, folder / "float.onnx")
    logging.disable(logging.WARNING)
    try:
        q.quantize_static(
            folder / "float.onnx",
            folder / "quantized.onnx",
            Reader(),
            quant_format=q.QuantFormat.QOperator if way == "operators" else q.QuantFormat.QDQ,
            per_channel=way != "operators",
            activation_type=q.QuantType.QInt8 if way == "int8" else q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(folder / "quantized.onnx")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Float and quantized models by name."""
    found = {name: build() for name, build in FLOAT.items()}
    for name, way in QUANTIZED.items():
        folder = tmp_path_factory.mktemp(name)
        found[f"{name}_{way}"] = quantized(FLOAT[name](), way, folder)
    return found


@pytest.fixture(scope="module")
def converted(everything: dict[str, Any]) -> dict[str, Imported]:
    return {name: import_model(model) for name, model in everything.items()}


def test_every_layer_is_exact(converted: dict[str, Imported]) -> None:
    models = {
        name: (made.content, frames_for(made.content, 0, {})) for name, made in converted.items()
    }
    outcomes = compare(models, 0)
    assert {name: o for name, o in outcomes.items() if o.kind != "exact"} == {}


def both(model: Any, made: Imported, count: int) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Real outputs of onnxruntime and LiteRT, and the size of a step."""
    original = session(model)
    rng = np.random.default_rng(7)
    for _ in range(count):
        given = [
            rng.normal(size=t.original_shape).astype(
                np.float32 if t.dtype in ("float32", "int8", "int16") else t.dtype
            )
            for t in made.inputs
        ]
        feeds = {t.name: x for t, x in zip(made.inputs, given, strict=True)}
        wanted = original.run(None, feeds)
        inputs = [_steps(t, t.arranged(x)) for t, x in zip(made.inputs, given, strict=True)]
        (outputs,) = run_litert_outputs(made.content, [inputs])
        for t, got, expected in zip(made.outputs, outputs, wanted, strict=True):
            real = got if t.scale is None else (got.astype(np.float32) - t.zero_point) * t.scale
            yield t.restored(np.asarray(real)), expected, t.scale or 0.0


def _steps(tensor: Any, real: np.ndarray) -> np.ndarray:
    if tensor.scale is None:
        return real
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
    return np.clip(steps, limits.min, limits.max).astype(tensor.dtype)


@pytest.mark.parametrize("name", FLOAT)
def test_float_models_agree(
    name: str, everything: dict[str, Any], converted: dict[str, Imported]
) -> None:
    for got, expected, _ in both(everything[name], converted[name], 3):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", [f"{name}_{way}" for name, way in QUANTIZED.items()])
def test_integer_models_agree(
    name: str, everything: dict[str, Any], converted: dict[str, Imported]
) -> None:
    """onnxruntime scales with floats and rounds halves to even: layers differ by a step."""
    made = converted[name]
    assert made.inputs[0].dtype == "int8"
    for got, expected, step in both(everything[name], made, 10):
        step = step or 0.02 * float(np.abs(expected).max())
        assert np.abs(got - expected).max() <= 4.01 * step
        assert np.abs(got - expected).mean() <= step


@pytest.mark.parametrize("name", [*FLOAT, *(f"{n}_{w}" for n, w in QUANTIZED.items())])
def test_nothing_is_transposed_around_convolutions(
    name: str, converted: dict[str, Imported]
) -> None:
    graph = read_graph(converted[name].content, name)
    # Attention turns its heads, and channels that are shuffled are moved.
    allowed = 4 if "attention" in name else 1 if "shuffle" in name else 0
    assert Counter(n.operator for n in graph.nodes)["TRANSPOSE"] == allowed


def test_layers_are_those_of_integers(converted: dict[str, Imported]) -> None:
    for name in ("residual_int8", "segmentation_operators"):
        graph = tvmtiny.load(converted[name].content).graph
        dtypes = {n.output.dtype for n in graph.nodes if n.operator == "CONV_2D"}
        assert dtypes == {"int8"}
    graph = tvmtiny.load(converted["residual_int8"].content).graph
    weights = next(n for n in graph.nodes if n.operator == "CONV_2D").input(1)
    assert weights.quantization is not None and weights.quantization.per_channel


def test_layout(everything: dict[str, Any]) -> None:
    model = everything["segmentation"]
    made = import_model(model)
    kept = import_model(model, ImportOptions(keep_layout=True))
    assert made.inputs[0].shape == (1, 8, 8, 2) and made.inputs[0].moved
    assert "channels last: 1x8x8x2 here, 1x2x8x8 in ONNX" in made.notes[0]
    assert kept.inputs[0].shape == (1, 2, 8, 8) and kept.notes == ()
    x = np.random.default_rng(2).normal(size=(1, 2, 8, 8)).astype(np.float32)
    (first,), (second,) = (
        next(iter(run_litert_outputs(m.content, [[m.inputs[0].arranged(x)]]))) for m in (made, kept)
    )
    np.testing.assert_array_equal(made.outputs[0].restored(first), second)
    batch = np.stack([x[0], x[0] + 1])[:, None]
    np.testing.assert_array_equal(made.inputs[0].restored(made.inputs[0].arranged(batch)), batch)


def _single(kind: str, *shapes: tuple[int, ...], **attributes: Any) -> Callable[[], Any]:
    """A model of one operator whose operands are inputs."""

    def build() -> Any:
        b = OnnxBuilder(opset=attributes.get("opset", 17))
        rest = {k: v for k, v in attributes.items() if k not in ("opset", "extra", "outputs")}
        names = [b.input(*shape, name=f"x{i}") for i, shape in enumerate(shapes)]
        extra = [b.constant(e) if e is not None else "" for e in attributes.get("extra", ())]
        count = attributes.get("outputs", 1)
        made = b.op(kind, *names, *extra, outputs=count, **rest)
        return b.build(*([made] if count == 1 else made))

    return build


def _recurrent(
    kind: str, steps: int, way: str = "forward", states: bool = False, **attributes: Any
) -> Callable[[], Any]:
    """A layer over a sequence, with all its outputs that a long one has."""

    def build() -> Any:
        b, cells, count = OnnxBuilder(9), 4, 2 if way == "bidirectional" else 1
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
        x = b.input(steps, 2, 3, name="x")
        rows = [
            b.constant(b.rng.normal(0, 0.5, shape).astype(np.float32))
            for shape in (
                (count, gates * cells, 3),
                (count, gates * cells, cells),
                (count, 2 * gates * cells),
            )
        ]
        begin = []
        if states:
            names = ["h", "c"] if kind == "LSTM" else ["h"]
            begin = ["", *(b.input(count, 2, cells, name=name) for name in names)]
        outputs = 2 if kind != "LSTM" or steps > 16 else 3
        attributes.update(hidden_size=cells, direction=way)
        return b.build(*b.op(kind, x, *rows, *begin, outputs=outputs, **attributes))

    return build


def _scaled_conv() -> Any:
    """A convolution whose bias and scale are operators of their own."""
    b = OnnxBuilder(8)
    y = b.op("Conv", b.input(*_IMAGE), b.random(4, 3, 3, 3))
    y = b.op("Mul", b.op("Add", y, b.random(1, 4, 1, 1)), b.random(4, 1, 1))
    return b.build(b.op("Add", b.constant(np.float32(0.5)), y))


def _hard_swish_parts(in_front: bool) -> Any:
    b = OnnxBuilder(8)
    x = b.input(*_IMAGE)
    y = b.op("Clip", b.op("Add", x, b.constant(_F(3))), b.constant(_F(0)), b.constant(_F(6)))
    if in_front:
        y = b.op("Mul", x, b.op("Mul", y, b.constant(_F(1 / 6))))
    else:
        y = b.op("Div", b.op("Mul", x, y), b.constant(_F(6)))
    return b.build(y)


_IMAGE = (1, 3, 6, 8)
_F = np.float32


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


#: Each operator in each way that layouts or opsets make a difference.
def _value(name: str, *shape: int, dtype: int = onnx.TensorProto.FLOAT) -> Any:
    return onnx.helper.make_tensor_value_info(name, dtype, shape)


def _with_bodies(nodes: list[Any], constants: dict[str, Any], outputs: Any, opset: int = 17) -> Any:
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = onnx.helper.make_graph(nodes, "net", [_value("x", 1, 4)], outputs, tensors)
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _branches(condition: bool | None) -> Any:
    """An If in an If; without a condition, that of the outer one is an input of the model."""
    node, graph = onnx.helper.make_node, onnx.helper.make_graph
    more = graph([node("Add", ["x", "one"], ["a"])], "more", [], [_value("a", 1, 4)])
    less = graph([node("Sub", ["x", "one"], ["a"])], "less", [], [_value("a", 1, 4)])
    inner = node("If", ["yes"], ["b"], then_branch=more, else_branch=less)
    first = graph([inner, node("Relu", ["b"], ["c"])], "first", [], [_value("c", 1, 4)])
    second = graph([node("Mul", ["x", "x"], ["c"])], "second", [], [_value("c", 1, 4)])
    constants = {"one": np.ones((1, 4), _F), "yes": np.array(True), "which": np.array(condition)}
    if condition is None:
        constants.pop("which")
    nodes = [node("If", ["which"], ["y"], then_branch=first, else_branch=second)]
    model = _with_bodies(nodes, constants, [_value("y", 1, 4)])
    if condition is None:
        model.graph.input.append(_value("which", dtype=onnx.TensorProto.BOOL))
    return model


def _turns(count: int | None, opset: int = 17, ends: bool = False) -> Any:
    """A Loop that adds its number to what it carries, and gives the values of all turns, too."""
    node = onnx.helper.make_node
    whole, condition = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    body = onnx.helper.make_graph(
        [
            node("Cast", ["i"], ["real"], to=onnx.TensorProto.FLOAT),
            node("Add", ["v", "real"], ["sum"]),
            node("Mul", ["sum", "half"], ["next"]),
            node("Neg", ["next"], ["row"]),
            node("Less", ["i", "most"], ["go"]) if ends else node("Identity", ["was"], ["go"]),
        ],
        "body",
        [_value("i", dtype=whole), _value("was", dtype=condition), _value("v", 1, 4)],
        [_value("go", dtype=condition), _value("next", 1, 4), _value("row", 1, 4)],
        [onnx.numpy_helper.from_array(np.array(0.5, _F), "half")],
    )
    constants = {"count": np.array(count or 0, np.int64), "most": np.array(3, np.int64)}
    constants = {**constants, "on": np.array(True)}
    if count is None:
        constants.pop("count")
    nodes = [node("Loop", ["count", "on", "x"], ["y", "rows"], body=body)]
    outputs = [_value("y", 1, 4), _value("rows", count or 3, 1, 4)]
    model = _with_bodies(nodes, constants, outputs, opset)
    if count is None:
        model.graph.input.append(_value("count", dtype=whole))
    return model


SINGLE = {
    "add_channels": _single("Add", _IMAGE, (3, 1, 1)),
    "mul_row": _single("Mul", _IMAGE, (8,)),
    "sub": _single("Sub", (1, 6), (1, 6)),
    "div": _single("Div", _IMAGE, (1,)),
    "max_3": _single("Max", _IMAGE, _IMAGE, (1, 3, 1, 1)),
    "min": _single("Min", (2, 3), (3,)),
    "sum_3": _single("Sum", (2, 3), (3,), (2, 3)),
    "pow_2": _single("Pow", _IMAGE, extra=[_F(2)]),
    "pow_3": _single("Pow", _IMAGE, extra=[_F(3)]),
    "abs": _single("Abs", _IMAGE),
    "neg": _single("Neg", _IMAGE),
    "exp": _single("Exp", (1, 5)),
    "floor": _single("Floor", (1, 5)),
    "ceil": _single("Ceil", (1, 5)),
    "round": _single("Round", (1, 5)),
    "sin": _single("Sin", (1, 5)),
    "cos": _single("Cos", (1, 5)),
    "sign": _single("Sign", (1, 5)),
    "elu": _single("Elu", (1, 5)),
    "tanh": _single("Tanh", (1, 5)),
    "reciprocal": _single("Reciprocal", (1, 5)),
    "hard_swish": _single("HardSwish", _IMAGE),
    "hard_sigmoid": _single("HardSigmoid", _IMAGE, alpha=0.3),
    "leaky_relu": _single("LeakyRelu", _IMAGE, alpha=0.2),
    "gelu": _single("Gelu", (1, 9), opset=20),
    "clip": _single("Clip", _IMAGE, extra=[_F(-0.5), _F(0.7)]),
    "clip_6": _single("Clip", _IMAGE, extra=[None, _F(0.5)]),
    "clip_attributes": _single("Clip", _IMAGE, opset=10, min=-0.25, max=0.5),
    "softmax_last": _single("Softmax", (2, 3, 4)),
    "softmax_channels": _single("Softmax", _IMAGE, axis=1),
    "softmax_old": _single("Softmax", (2, 3, 4), opset=11, axis=1),
    "log_softmax": _single("LogSoftmax", (2, 5)),
    "reduce_mean": _single("ReduceMean", _IMAGE, axes=[2, 3], keepdims=0),
    "reduce_mean_18": _single("ReduceMean", _IMAGE, opset=18, extra=[_ints(1)]),
    "reduce_max": _single("ReduceMax", _IMAGE, axes=[-1]),
    "reduce_sum": _single("ReduceSum", _IMAGE, extra=[_ints(1, 2)], keepdims=0),
    "reduce_all": _single("ReduceSum", (2, 3)),
    "arg_max": _single("ArgMax", _IMAGE, axis=1),
    "arg_min": _single("ArgMin", _IMAGE, axis=-1, keepdims=0),
    "layer_norm": _single(
        "LayerNormalization", (2, 6), extra=[np.arange(6, dtype=_F), np.ones(6, _F)]
    ),
    "instance_norm": _single(
        "InstanceNormalization", _IMAGE, extra=[np.arange(3, dtype=_F), np.ones(3, _F)]
    ),
    "batch_norm": _single(
        "BatchNormalization",
        _IMAGE,
        extra=[np.arange(3, dtype=_F), np.ones(3, _F), np.ones(3, _F), np.full(3, 2, _F)],
    ),
    "transpose": _single("Transpose", (2, 3, 4), perm=[2, 0, 1]),
    "flatten": _single("Flatten", _IMAGE),
    "squeeze_old": _single("Squeeze", (1, 3, 1), opset=11, axes=[2]),
    "unsqueeze": _single("Unsqueeze", (3, 4), extra=[_ints(0, 3)]),
    "concat": _single("Concat", (1, 2, 3), (1, 4, 3), axis=-2),
    "split": _single("Split", _IMAGE, extra=[_ints(2, 4)], outputs=2, axis=2),
    "slice": _single("Slice", _IMAGE, extra=[_ints(1, 0), _ints(3, 100), _ints(1, 3)]),
    "slice_back": _single(
        "Slice", _IMAGE, extra=[_ints(-1, 5), _ints(-100, 0), _ints(1, 2), _ints(-1, -2)]
    ),
    "slice_old": _single("Slice", _IMAGE, opset=9, starts=[1], ends=[3], axes=[2]),
    "gather": _single("Gather", _IMAGE, extra=[_ints(2, 0, -1)], axis=1),
    "gather_one": _single("Gather", _IMAGE, extra=[np.array(-1, np.int64)], axis=2),
    "gather_many": _single("Gather", (4, 5), extra=[np.array([[0, 3], [1, 1]], np.int64)]),
    "pad": _single("Pad", _IMAGE, extra=[_ints(0, 1, 2, 0, 0, 0, 1, 3), _F(0.5)]),
    "pad_reflect": _single("Pad", _IMAGE, extra=[_ints(0, 0, 1, 1, 0, 0, 2, 0)], mode="reflect"),
    "tile": _single("Tile", (1, 2, 3), extra=[_ints(2, 1, 3)]),
    "expand": _single("Expand", (3, 1), extra=[_ints(2, 3, 4)]),
    "depth_to_space": _single("DepthToSpace", (1, 8, 2, 3), blocksize=2),
    "space_to_depth": _single("SpaceToDepth", (1, 2, 4, 6), blocksize=2),
    "resize_nearest": _single(
        "Resize",
        _IMAGE,
        extra=[None, _F([1, 1, 2, 2])],
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "resize_corners": _single(
        "Resize",
        _IMAGE,
        extra=[None, None, _ints(1, 3, 11, 15)],
        mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "global_max": _single("GlobalMaxPool", _IMAGE),
    "max_pool_ceil": _single("MaxPool", _IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "max_pool_1d": _single("MaxPool", (1, 4, 9), kernel_shape=[3], strides=[2], pads=[1, 1]),
    "average_pool_padded": _single(
        "AveragePool",
        _IMAGE,
        kernel_shape=[3, 3],
        strides=[1, 1],
        pads=[1, 1, 1, 1],
        count_include_pad=1,
    ),
    "average_pool_same": _single(
        "AveragePool", _IMAGE, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]
    ),
    "conv_auto_pad": _single(
        "Conv", _IMAGE, extra=[np.ones((4, 3, 3, 3), _F)], auto_pad="SAME_LOWER", strides=[2, 2]
    ),
    "conv_dilated": _single(
        "Conv", _IMAGE, extra=[np.ones((4, 3, 2, 2), _F)], dilations=[2, 3], pads=[1, 0, 1, 2]
    ),
    "conv_transpose_cropped": _single(
        "ConvTranspose",
        _IMAGE,
        extra=[np.arange(3 * 2 * 9, dtype=_F).reshape(3, 2, 3, 3) / 50],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        output_padding=[1, 1],
    ),
    "conv_transpose_1d": _single(
        "ConvTranspose", (1, 3, 5), extra=[np.ones((3, 2, 4), _F)], strides=[2], pads=[1, 1]
    ),
    "gemm": _single(
        "Gemm", (2, 3), extra=[np.ones((3, 4), _F), np.ones((4,), _F)], alpha=0.5, beta=2.0
    ),
    "matmul": _single("MatMul", (2, 3, 4), (2, 4, 5)),
    "where": _single("Where", extra=[np.array([True, False, True]), *[np.ones(3, _F)] * 2]),
    "prelu": _single("PRelu", _IMAGE, (3, 1, 1)),
    "lstm": _recurrent("LSTM", 4),
    "lstm_one_step": _recurrent("LSTM", 1, states=True),
    "lstm_states": _recurrent("LSTM", 3, "reverse", states=True),
    "lstm_bidirectional": _recurrent("LSTM", 3, "bidirectional"),
    "lstm_long": _recurrent("LSTM", 19),
    "lstm_long_bidirectional": _recurrent("LSTM", 17, "bidirectional"),
    "gru": _recurrent("GRU", 4),
    "gru_before_reset": _recurrent("GRU", 3, "bidirectional", True, linear_before_reset=1),
    "gru_states": _recurrent("GRU", 2, "reverse", True),
    "rnn": _recurrent("RNN", 4, "bidirectional"),
    "gru_long": _recurrent("GRU", 40),
    "gru_long_bidirectional": _recurrent("GRU", 17, "bidirectional", True, linear_before_reset=1),
    "rnn_long": _recurrent("RNN", 19, "reverse"),
    "lstm_long_states": _recurrent("LSTM", 18, "bidirectional", states=True),
    "conv_scaled": _scaled_conv,
    "if_true": lambda: _branches(True),
    "if_false": lambda: _branches(False),
    "loop": lambda: _turns(5),
    "loop_once": lambda: _turns(1, opset=12),
    "hard_swish_divided": lambda: _hard_swish_parts(False),
    "hard_swish_multiplied": lambda: _hard_swish_parts(True),
}


def test_single_operators() -> None:
    wrong = {}
    for name, build in SINGLE.items():
        model = build()
        made = import_model(model)
        for got, expected, _ in both(model, made, 1):
            size = max(float(np.abs(expected).max()), 1.0)
            if got.shape != expected.shape or np.abs(got - expected).max() > 2e-6 * size:
                wrong[name] = (got.shape, expected.shape)
    assert wrong == {}


def test_parts_become_one() -> None:
    for name, wanted in (
        ("conv_scaled", ["CONV_2D"]),
        ("hard_swish_divided", ["HARD_SWISH"]),
        ("hard_swish_multiplied", ["HARD_SWISH"]),
        ("gru_long", ["WHILE"]),
        ("lstm_long", ["UNIDIRECTIONAL_SEQUENCE_LSTM"]),
    ):
        made = import_model(SINGLE[name]())
        nodes = [n.operator for n in tvmtiny.load(made.content).graph.nodes]
        assert [n for n in nodes if n not in ("RESHAPE", "SLICE")] == wanted, name
    assert "reset the model before each sequence" in made.notes[0]


def test_everything_that_is_not_supported_is_said_at_once() -> None:
    b = OnnxBuilder()
    x = b.input(1, 3, 8, 8)
    y = b.op("LRN", b.op("Erf", b.op("Relu", x)), size=3)
    weights = b.op("Add", b.random(4, 3, 3, 3), b.input(4, 3, 3, 3, name="w"))
    model = b.build(b.op("Conv", b.op("Abs", y), weights))
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(model)
    problems = {p.tensor: p.reason for p in caught.value.problems}
    assert problems == {
        "/net/erf_2": "the operator is not supported",
        "/net/lrn_3": "the operator is not supported",
        "/net/conv_7": "weights that are computed when the model runs",
    }
    assert "node '/net/lrn_3'" in str(caught.value)
    assert "docs/from-onnx.md" in str(caught.value)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: _branches(None), "a condition that is computed when the model runs"),
        (lambda: _turns(None), "a number of turns that is computed"),
        (lambda: _turns(3, ends=True), "a number of turns that is computed"),
        (lambda: _turns(300), "or too large a body; allowed: .* with at most 1,000 operators"),
    ],
)
def test_bodies_that_stay(build: Any, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=reason) as caught:
        import_model(build())
    assert "\n" not in str(caught.value)


def test_weights_with_a_zero_point() -> None:
    b = OnnxBuilder()
    scale, zero = b.constant(_F(0.1)), b.constant(np.uint8(130))
    x = b.op("DequantizeLinear", b.op("QuantizeLinear", b.input(1, 4), scale, zero), scale, zero)
    weights = b.constant(np.ones((4, 3), np.uint8))
    y = b.op("MatMul", x, b.op("DequantizeLinear", weights, scale, zero))
    y = b.op("DequantizeLinear", b.op("QuantizeLinear", y, scale, zero), scale, zero)
    with pytest.raises(UnsupportedModelError, match="'WeightSymmetric': True"):
        import_model(b.build(y))


def test_shapes_that_are_not_fixed() -> None:
    b = OnnxBuilder()
    model = b.build(b.op("Relu", b.input("batch", 3, "height", 8)))
    with pytest.raises(DynamicShapeError, match=r"1x3x\?x8"):
        import_model(model)


def test_files(tmp_path: Path) -> None:
    onnx.save(FLOAT["sound"](), tmp_path / "sound net.onnx")
    model = tvmtiny.load(tmp_path / "sound net.onnx")
    assert model.name == "sound_net"
    assert "channels last: 1x40x6 here, 1x6x40 in ONNX" in model.notes[0]
    assert model.graph.input_labels == ("features",)
    (tmp_path / "broken.onnx").write_bytes(b"no model at all")
    for name, reason in (("broken.onnx", "ONNX"), ("missing.onnx", "no such file")):
        with pytest.raises(ModelFormatError, match=reason):
            tvmtiny.load(tmp_path / name)
    with pytest.raises(InputError, match=r"known files: \.onnx"):
        import_model(tmp_path / "model.h6")
    with pytest.raises(InputError, match="nothing imports a dict"):
        tvmtiny.load({})


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ToolMissingError, match=r"pip install 'tvmtiny\[onnx\]'"):
        tvmtiny.load(tmp_path / "model.onnx")
