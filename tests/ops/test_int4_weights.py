"""Weights of 4 bits, two in a byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host
from litert_check import assert_reference_is_litert
from merge_models import merge_models
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.errors import ModelFormatError, UnsupportedModelError
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Oracle
from tvmtiny.oracle import run_litert

_RNG = np.random.default_rng(5)


def _fully_connected() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (2, 7), scale=0.1, zero_point=3)
    w = b.int4_constant("w", _RNG.integers(-7, 8, (3, 7)), scales=[0.1, 0.2, 0.3])
    bias = b.constant("bias", np.array([10, -20, 30], np.int32))
    y = b.tensor("y", (2, 3), scale=0.5, zero_point=-4)
    b.op("FULLY_CONNECTED", [x, w, bias], [y], {}, 10)
    return b.build([y])


def _convolution(operator: str, dtype: str = "int8") -> bytes:
    b = ModelBuilder()
    half = dtype == "int16"
    x = b.input("x", (1, 5, 4, 3), dtype, scale=0.1, zero_point=0 if half else 3)
    shape, axis = ((1, 3, 3, 3), 3) if operator == "DEPTHWISE_CONV_2D" else ((3, 3, 3, 3), 0)
    values = _RNG.integers(-7, 8, shape)
    w = b.int4_constant("w", values, scales=[0.1, 0.2, 0.3], axis=axis)
    bias = b.constant("bias", np.array([10, -20, 30], np.int64 if half else np.int32))
    y = b.tensor("y", (1, 5, 4, 3), dtype, scale=0.5, zero_point=0 if half else -4)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    b.op(operator, [x, w, bias], [y], options, 6)
    return b.build([y])


MODELS = {
    "fully_connected": _fully_connected(),
    "conv_2d": _convolution("CONV_2D"),
    "depthwise_conv_2d": _convolution("DEPTHWISE_CONV_2D"),
}


@pytest.mark.parametrize("content", MODELS.values(), ids=MODELS)
def test_reference_is_litert(content: bytes) -> None:
    assert_reference_is_litert(content)


def test_c_on_host(tmp_path: Path) -> None:
    content = merge_models(MODELS)
    artifact = tvmtiny.compile(tvmtiny.load(content, name="int4"), "cortex-m4")
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    (result,) = run_on_host(artifact, [inputs], tmp_path)
    expected = run_litert(content, inputs)
    for tensor, output in zip(artifact.graph.outputs, result.outputs, strict=True):
        np.testing.assert_array_equal(output.data, expected[tensor.index])


def test_int16_convolution_is_litert() -> None:
    content = _convolution("CONV_2D", "int16")
    model = tvmtiny.load(content, name="int4")
    inputs = tvmtiny.make_inputs("random:1", model.graph.inputs)
    expected, got = run_litert(content, inputs), model.reference(inputs)
    (y,) = model.graph.outputs
    assert np.unique(expected[y.index]).size > 9
    np.testing.assert_array_equal(got[y.index], expected[y.index])


@pytest.mark.parametrize("oracle", Oracle)
def test_int16_depthwise_convolution_is_refused(oracle: Oracle) -> None:
    """LiteRT takes the bytes of pairs of weights for weights, and reads beyond their end."""
    with pytest.raises(UnsupportedModelError, match="int4 weights with int16 data; allowed: int4"):
        tvmtiny.load(_convolution("DEPTHWISE_CONV_2D", "int16"), oracle=oracle)


def _slopes() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 2, 2, 6), scale=0.1)
    slopes = b.int4_constant("slopes", _RNG.integers(-7, 8, (1, 1, 6)), scale=0.1)
    y = b.tensor("y", (1, 2, 2, 6), scale=0.1)
    b.op("PRELU", [x, slopes], [y], None, 1)
    return b.build([y])


def _factors() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (2, 6), scale=0.1)
    factors = b.int4_constant("factors", _RNG.integers(-7, 8, (2, 6)), scale=0.1)
    y = b.tensor("y", (2, 6), scale=0.1)
    b.op("MUL", [x, factors], [y], {"fused_activation_function": "NONE"}, 2)
    return b.build([y])


@pytest.mark.parametrize("content", [_slopes(), _factors()], ids=["misread", "refused_by_litert"])
def test_other_operators_are_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedModelError, match=r"the int4 constant (slopes|factors)"):
        tvmtiny.load(content)


def test_values_and_their_number() -> None:
    b = ModelBuilder()
    values = np.array([[-8, 7, -1], [0, 3, -3], [1, 2, -7]])
    b.int4_constant("w", values, scale=1.0)
    x = b.input("x", (1, 2), scale=1.0)
    tensor = read_graph(b.build([x]), "m").tensors[0]
    assert tensor.dtype == "int8"
    np.testing.assert_array_equal(tensor.data, values)
    b._tensors[0].shape = [3, 5]
    with pytest.raises(ModelFormatError, match="needs 15 bytes"):
        read_graph(b.build([x]), "m")
