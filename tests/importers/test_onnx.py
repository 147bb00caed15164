"""ONNX models: exact in every converted layer, and close to onnxruntime from end to end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
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
from onnx_operators import SINGLE, branches, repeated  # noqa: E402

#: Models that are also tried quantized, and the method of quantization.
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
    # Run the model as written, without fused operators that round differently.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Other threads would spin while they wait.
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options)


def quantized(model: Any, way: str, folder: Path) -> Any:
    """The model after onnxruntime's static quantization."""
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
    """Real outputs of onnxruntime and LiteRT, and the size of a quantization step."""
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
    """onnxruntime scales with floats and rounds halves to even, so layers differ by a step."""
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
    # Attention transposes its heads, and shuffled channels are moved.
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
        (lambda: branches(None), "a condition that is computed when the model runs"),
        (lambda: repeated(None), "a number of turns that is computed"),
        (lambda: repeated(3, ends=True), "a number of turns that is computed"),
        (lambda: repeated(300), "or too large a body; allowed: .* with at most 1,000 operators"),
    ],
)
def test_bodies_that_stay(build: Any, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=reason) as caught:
        import_model(build())
    assert "\n" not in str(caught.value)


def test_weights_with_a_zero_point() -> None:
    b = OnnxBuilder()
    scale, zero = b.constant(np.float32(0.1)), b.constant(np.uint8(130))
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
