"""Models that are refused before import, and unusual models that are accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from host_main import HostRun
from host_runner import HostResult, run_each_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.errors import (
    DynamicRangeModelError,
    DynamicShapeError,
    InputError,
    ModelFormatError,
    UnsupportedModelError,
)
from tvmtiny.oracle import run_litert

PROBABILITY = {"scale": 1 / 256, "zero_point": -128}


def logistic(names: tuple[str, str] = ("x", "y"), **output: Any) -> ModelBuilder:
    """Input 0, output 1."""
    b = ModelBuilder()
    b.input(names[0], (1, 4), scale=0.05)
    b.tensor(names[1], (1, 4), **(output or PROBABILITY))
    b.op("LOGISTIC", [0], [1])
    return b


def _bounded_sum(scale: float, activation: str) -> bytes:
    b = ModelBuilder()
    operands = [b.input(name, (1, 8), scale=scale) for name in "ab"]
    y = b.tensor("y", (1, 8), scale=scale)
    b.op("ADD", operands, [y], {"fused_activation_function": activation}, 2)
    return b.build([y])


@pytest.mark.parametrize(("activation", "bound"), [("RELU6", 6), ("RELU_N1_TO_1", 1)])
def test_bounds_of_activations_fit_32_bits(activation: str, bound: int) -> None:
    """LiteRT refuses bounds above 2^31; it accepts 2^31 itself, of which its C++ makes -2^31."""
    inputs = [np.arange(-40, 40, 10, np.int8).reshape(1, 8)] * 2
    for scale in (bound * 2.0**-31, bound * 2.0**-33):
        with pytest.raises(UnsupportedModelError, match=f"an output scale of .* with {activation}"):
            tvmtiny.load(_bounded_sum(scale, activation))
    fitting = _bounded_sum(bound * 2.0**-30, activation)
    model = tvmtiny.load(fitting)
    (y,) = model.graph.outputs
    expected = run_litert(fitting, inputs)[y.index]
    assert np.unique(expected).size > 2
    np.testing.assert_array_equal(model.reference(inputs)[y.index], expected)
    assert model.graph.nodes[0].activation == activation
    tvmtiny.load(_bounded_sum(bound * 2.0**-31, "RELU"))


def _open_batch() -> Iterator[bytes]:
    b = logistic()
    for tensor in b._tensors:
        tensor.shapeSignature = [-1, 4]
    yield b.build([1])


@pytest.mark.parametrize(
    ("shape", "signature", "text"),
    [
        ((1, 4), (1, -1), "1x?"),
        ((1, 4), (-1, -1), "?x?"),
        ((-1, 4), None, "?x4"),
        ((1, 0), None, "1x0"),
    ],
)
def test_dynamic_shapes(shape: tuple[int, ...], signature: tuple[int, ...], text: str) -> None:
    b = logistic()
    b._tensors[0].shape = list(shape)
    b._tensors[0].shapeSignature = signature
    with pytest.raises(DynamicShapeError) as raised:
        tvmtiny.load(b.build([1]))
    assert raised.value.tensor == "x"
    assert text in str(raised.value)


def test_an_operator_that_gives_no_elements_is_named() -> None:
    b = ModelBuilder()
    x, y = b.input("x", (1, 5), scale=0.1), b.tensor("y", (1, 0), scale=0.1)
    ends = [b.constant(name, np.int32(value)) for name, value in (("b", [0, 3]), ("e", [1, 3]))]
    b.op("STRIDED_SLICE", [x, *ends, b.constant("s", np.int32([1, 1]))], [y], {})
    with pytest.raises(
        DynamicShapeError, match=r"STRIDED_SLICE #0 \(y\) gives a tensor of shape 1x0, "
    ):
        tvmtiny.load(b.build([y]))


def test_an_axis_in_many_dimensions_is_what_litert_takes() -> None:
    b = ModelBuilder()
    x, y = b.input("x", (3, 4), "float32"), b.tensor("y", (3,), "int32")
    axis = b.constant("axis", np.int32([1]))
    b._tensors[axis].shape = [1] * 2000
    b.op("ARG_MAX", [x, axis], [y], {"output_type": schema.TensorType.INT32})
    content = b.build([y])
    data = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    wanted = run_litert(content, [data])[y]
    assert np.array_equal(tvmtiny.load(content).reference([data])[y], wanted)
    b._tensors[axis].shape = [2, *[1] * 8]
    with pytest.raises(ModelFormatError, match="needs 8 bytes"):
        tvmtiny.load(b.build([y]))


def test_constants_without_elements_are_constants() -> None:
    b = logistic()
    scalar = b.tensor("scalar", (), scale=1 / 256, zero_point=-128)
    x = b.input("y", (1,), scale=1 / 256, zero_point=-128)
    b.op("RESHAPE", [x, b.constant("shape", np.zeros(0, np.int32))], [scalar], {"new_shape": []})
    model = tvmtiny.load(b.build([1, scalar]))
    assert model.graph.outputs[1].shape == ()


def test_an_input_is_no_constant() -> None:
    b = logistic()
    b._inputs.append(b.constant("c", np.zeros((1, 4), np.int8), scale=0.1))
    with pytest.raises(ModelFormatError, match="the input c holds a constant"):
        tvmtiny.load(b.build([1]))


def test_all_problems_are_listed_in_order() -> None:
    b = logistic(scale=0.1)
    fft = b.tensor("fft", (1, 4), scale=1 / 128)
    b.op("RFFT2D", [1], [fft])
    b.op("CUSTOM", [fft], [b.tensor("custom", (1, 4), scale=1.0)])
    b._codes[-1].customCode = "Mine"
    with pytest.raises(UnsupportedModelError) as raised:
        tvmtiny.load(b.build([fft + 1]))
    problems = raised.value.problems
    assert [(p.index, p.operator, p.tensor) for p in problems] == [
        (0, "LOGISTIC", "y"),
        (1, "RFFT2D", "fft"),
        (2, "CUSTOM:Mine", "custom"),
    ]
    assert "256" in str(problems[0])


@pytest.mark.parametrize(
    "quantization",
    [
        {"scale": 0.0},
        {"scale": -1.0},
        {"scale": float("inf")},
        {"scale": float("nan")},
        {"scales": [1.0, 2.0, 3.0, 4.0], "axis": 1},
        {"scale": None},
    ],
    ids=str,
)
def test_unusable_quantization_of_an_activation(quantization: dict[str, Any]) -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), **quantization)
    y = b.tensor("y", (1, 4), **PROBABILITY)
    b.op("LOGISTIC", [x], [y])
    with pytest.raises(UnsupportedModelError, match="int8 tensor x has no usable scale"):
        tvmtiny.load(b.build([y]))


def test_other_dtypes() -> None:
    b = ModelBuilder()
    x, y = b.input("x", (1, 4), "int16", scale=0.1), b.tensor("y", (1, 4), "int16", scale=0.1)
    b.op("HARD_SWISH", [x], [y])
    with pytest.raises(UnsupportedModelError, match="int16 data; allowed: int8 or float32"):
        tvmtiny.load(b.build([y]))


def _custom(name: str) -> ModelBuilder:
    b = ModelBuilder()
    x, y = b.input("x", (1, 4), scale=0.1), b.tensor("y", (1, -1), "float64")
    b.op("CUSTOM", [x], [y])
    b._codes[-1].customCode = name
    return b


def _halves() -> ModelBuilder:
    """Two layers that compute in float16."""
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float16")
    for name in ("first", "second"):
        weights = b.constant(f"{name} weights", np.ones((4, 4), np.float16))
        y = b.tensor(name, (1, 4), "float16")
        b.op("FULLY_CONNECTED", [x, weights, None], [y], {})
        x = y
    return b


def _blocks() -> ModelBuilder:
    """Weights of 4 bits, 32 of which share a scale."""
    b = ModelBuilder()
    x, y = b.input("x", (1, 64), "float32"), b.tensor("y", (1, 4), "float32")
    weights = b.int4_constant("w", np.ones((4, 64), np.int8))
    scales = b.constant("scales", np.ones((4, 2), np.float16))
    details = schema.BlockwiseQuantizationT()
    details.scales, details.blockSize = scales, 32
    quantization = schema.QuantizationParametersT()
    quantization.detailsType = schema.QuantizationDetails.BlockwiseQuantization
    quantization.details = details
    b._tensors[weights].quantization = quantization
    real = b.tensor("real", (4, 64), "float32")
    b.op("DEQUANTIZE", [weights], [real])
    b.op("FULLY_CONNECTED", [x, real, None], [y], {})
    return b


@pytest.mark.parametrize(
    ("builder", "kind", "remedy"),
    [
        (_custom("ethos-u"), r"NPU binary \(compiled for Ethos-U by Vela\)", "Vela's input"),
        (_custom("edgetpu-custom-op"), "binary for the Edge TPU", "input of edgetpu_compiler"),
        (_custom("FlexErf"), "operators of TensorFlow itself", "TFLITE_BUILTINS alone"),
        (_halves(), "this model computes in float16", "tvmtiny quantize"),
        (_blocks(), r"a scale for each block of elements \(blockwise\)", "a scale per channel"),
    ],
    ids=("ethos-u", "edge-tpu", "flex", "float16", "blockwise"),
)
def test_kinds_of_models(builder: ModelBuilder, kind: str, remedy: str) -> None:
    content = builder.build([len(builder._tensors) - 1])
    with pytest.raises(UnsupportedModelError, match=f"^this.*{remedy}") as raised:
        tvmtiny.load(content)
    assert re.search(kind, str(raised.value))
    assert len(str(raised.value).splitlines()) == 1 and "operator 0" not in str(raised.value)
    assert raised.value.problems


def test_what_else_is_wrong_is_told_after_the_kind() -> None:
    b = _halves()
    x = b.input("other", (1, 4), "float32")
    b.op("RFFT2D", [x], [b.tensor("fft", (1, 4), "float32")])
    with pytest.raises(UnsupportedModelError) as raised:
        tvmtiny.load(b.build([len(b._tensors) - 1]))
    text = str(raised.value)
    assert text.startswith("this model computes in float16")
    assert "Besides, the model has 1 unsupported operator: operator 2 RFFT2D" in text


def test_an_operator_on_uint8_is_one_problem() -> None:
    b = logistic()
    x = b.input("bytes", (1, 4), "uint8", scale=0.1)
    b.op("CUMSUM", [x], [b.tensor("z", (1, 4), "uint8", scale=0.1)], {})
    with pytest.raises(UnsupportedModelError, match="1 unsupported operator: operator 1 CUMSUM"):
        tvmtiny.load(b.build([len(b._tensors) - 1]))


def test_causes_come_first_and_equal_problems_once() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    made = b.tensor("made", (2, 2), "int32")
    b.op("RFFT2D", [b.constant("c", np.ones((4, 4), np.float32))], [made])
    for name in ("y", "z"):
        y = b.tensor(name, (1, 4), "float32")
        b.op("PAD", [x, made], [y])
        x = y
    for name in ("u", "v"):
        y = b.tensor(name, (1, 4), "float32")
        b.op("UNIQUE", [x], [y], {})
        x = y
    with pytest.raises(UnsupportedModelError) as raised:
        tvmtiny.load(b.build([x]))
    head, *lines = str(raised.value).splitlines()
    assert "5 unsupported operators" in head
    assert [line.split(":")[0] for line in lines] == [
        "  operator 0 RFFT2D (tensor 'made')",
        "  operator 3, 4 UNIQUE (tensor 'u' and others)",
        "  operator 1, 2 PAD",
    ]


def test_dynamic_range_comes_before_its_consequences() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 8), "float32")
    w = b.constant("w", np.ones((4, 8), np.int8), scale=0.5)
    y, z = b.tensor("y", (1, 4), "float32"), b.tensor("z", (1, 4), "float32")
    b.op("FULLY_CONNECTED", [x, w, None], [y], {}, version=3)
    b.op("TANH", [y], [z])
    with pytest.raises(DynamicRangeModelError) as raised:
        tvmtiny.load(b.build([z]))
    assert (raised.value.operator, raised.value.tensor) == ("FULLY_CONNECTED", "w")


def conv(change: Callable[[Any], None]) -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 2), scale=0.1)
    w = b.constant("w", np.ones((3, 1, 1, 2), np.int8), scale=0.1)
    bias = b.constant("bias", np.zeros(3, np.int32))
    y = b.tensor("y", (1, 4, 4, 3), scale=0.1)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    b.op("CONV_2D", [x, w, bias], [y], options, version=3)
    change(b)
    return b.build([y])


def set_field(kind: str, index: int, name: str, value: Any) -> Callable[[Any], None]:
    return lambda b: setattr(getattr(b, f"_{kind}")[index], name, value)


ODD_NODES = {
    "no inputs": set_field("operators", 0, "inputs", []),
    "no weights": set_field("operators", 0, "inputs", [0]),
    "absent weights": set_field("operators", 0, "inputs", [0, -1, -1]),
    "absent input": set_field("operators", 0, "inputs", [-1, 1, 2]),
    "no options": set_field("operators", 0, "builtinOptions", None),
    "scalar input": set_field("tensors", 0, "shape", []),
    "flat output": set_field("tensors", 3, "shape", [48]),
    "other output": set_field("tensors", 3, "shape", [1, 4, 4, 5]),
    "other batch": set_field("tensors", 3, "shape", [2, 4, 4, 3]),
    "flat weights": set_field("tensors", 1, "shape", [3, 2]),
}


@pytest.mark.parametrize("change", ODD_NODES.values(), ids=ODD_NODES.keys())
def test_odd_nodes_are_refused(change: Callable[[Any], None]) -> None:
    with pytest.raises(InputError):
        tvmtiny.load(conv(change))


@pytest.mark.parametrize("written", ["x", "y", "c"])
def test_a_tensor_that_has_a_value_is_not_written(written: str) -> None:
    b = logistic()
    places = {"x": 0, "y": 1, "c": b.constant("c", np.zeros((1, 4), np.int8), **PROBABILITY)}
    b.op("RELU", [0], [places[written]])
    with pytest.raises(ModelFormatError, match=f"writes tensor {written}, which has a value"):
        tvmtiny.load(b.build([1]))


def test_a_tensor_that_is_read_before_it_is_written() -> None:
    b = logistic()
    hidden = b.tensor("hidden", (1, 4), scale=1.0)
    b.op("LOGISTIC", [hidden], [b.tensor("z", (1, 4), **PROBABILITY)])
    with pytest.raises(ModelFormatError, match="reads tensor hidden before anything writes it"):
        tvmtiny.load(b.build([1]))


def test_an_output_that_nothing_writes() -> None:
    b = logistic()
    b.tensor("nothing", (1, 4), scale=1.0)
    with pytest.raises(ModelFormatError, match="nothing writes the output nothing"):
        tvmtiny.load(b.build([2]))


def sum_of_inputs() -> ModelBuilder:
    """Inputs 0 and 1, output 2; one input counts twice as much as the other."""
    b = ModelBuilder()
    b.input("x", (1, 4), scale=0.1)
    b.input("y", (1, 4), scale=0.2)
    b.tensor("sum", (1, 4), scale=0.2)
    b.op("ADD", [0, 1], [2], {})
    return b


def _inputs_without_names() -> Iterator[bytes]:
    for name in None, "":
        b = sum_of_inputs()
        b._tensors[0].name = b._tensors[1].name = name
        yield b.build([2])


def _tensors_of_one_name() -> Iterator[bytes]:
    for names in ("x", "x"), ("x", "y"), ("", ""):
        for outputs in [2], [1, 2], [2, 1]:
            b = logistic(names)
            again = b.tensor(names[1], (1, 4), **PROBABILITY)
            b.op("LOGISTIC", [1], [again])
            yield b.build(outputs)


def _tensors_without_names() -> Iterator[bytes]:
    b = logistic()
    for tensor in b._tensors:
        tensor.name = None
    yield b.build([1])


def _tensors_that_nothing_uses() -> Iterator[bytes]:
    b = logistic()
    b.tensor("open", (-1, 4), "string")
    b.tensor("odd", (1, 4), scale=float("nan"))
    yield b.build([1])


#: Models that are odd but right.
_ODD = {
    "open_batch": _open_batch,
    "inputs_without_names": _inputs_without_names,
    "tensors_of_one_name": _tensors_of_one_name,
    "tensors_without_names": _tensors_without_names,
    "tensors_that_nothing_uses": _tensors_that_nothing_uses,
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, HostRun, HostResult]]:
    """The content, the run and the result of each model, all of which are in one program."""
    contents = {f"{kind}{i}": c for kind, made in _ODD.items() for i, c in enumerate(made())}
    runs = {}
    for name, content in contents.items():
        artifact = tvmtiny.compile(tvmtiny.load(content, name=name), "cortex-m4")
        runs[name] = HostRun(artifact, [tvmtiny.make_inputs("random:1", artifact.inputs)])
    results = run_each_on_host(runs, tmp_path_factory.mktemp("odd"))
    return {name: (contents[name], run, results[name][0]) for name, run in runs.items()}


@pytest.mark.parametrize("kind", _ODD)
def test_odd_models(kind: str, odd: dict[str, tuple[bytes, HostRun, HostResult]]) -> None:
    chosen = {name: found for name, found in odd.items() if name.rstrip("0123456789") == kind}
    assert chosen
    for name, (content, run, result) in chosen.items():
        expected = run_litert(content, run.input_sets[0])
        for tensor, output in zip(run.artifact.graph.outputs, result.outputs, strict=True):
            np.testing.assert_array_equal(output.data, expected[tensor.index], name)


@pytest.mark.parametrize("name", ["keras", "", "LITERT "])
def test_unknown_oracle(name: str) -> None:
    with pytest.raises(InputError, match="litert, tflm"):
        tvmtiny.load(logistic().build([1]), oracle=name)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("kws_int8", "kws_int8"), ("My Model (2).v1", "my_model_2_v1"), ("1st", "m1st"), ("é", "m")],
)
def test_names_become_c_identifiers(given: str, expected: str) -> None:
    assert tvmtiny.load(logistic().build([1]), name=given).name == expected
