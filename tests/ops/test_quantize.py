"""QUANTIZE against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import layer_cases as cases
import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand

import tvmtiny
from tvmtiny.ops import Node, Oracle, Quantization, Tensor
from tvmtiny.oracle import run_litert

OPERATOR = "QUANTIZE"
FAMILY = "conversion"
_SHAPE = (1, 3, 4, 5)
_FLOAT = Operand(_SHAPE, "float32")
_PER_CHANNEL = Operand((2, 3, 4), scales=(0.1, 0.03, 0.4), zero_points=(0, -20, 127), axis=1)


def _layer(x: Operand, y: Operand) -> Layer:
    return Layer(OPERATOR, (x,), y, {})


CASES = {
    "float_to_int8": _layer(_FLOAT, Operand(_SHAPE, "int8", 0.1, -5)),
    "float_to_uint8": _layer(_FLOAT, Operand(_SHAPE, "uint8", 0.1, 130)),
    "float_scalar": _layer(Operand((), "float32"), Operand((), "int8", 0.1, -5)),
    "float_scale_half": _layer(_FLOAT, Operand(_SHAPE, "int8", 0.5, 3)),
    "int8_to_int8": _layer(Operand(_SHAPE, "int8", 0.05, 7), Operand(_SHAPE, "int8", 0.07, -3)),
    "int8_same_scale": _layer(Operand(_SHAPE, "int8", 0.05, 7), Operand(_SHAPE, "int8", 0.05, -3)),
    "int8_to_smaller_scale": _layer(Operand(_SHAPE, "int8", 0.5), Operand(_SHAPE, "int8", 0.01)),
    "int8_to_uint8": _layer(Operand(_SHAPE, "int8", 0.05, 0), Operand(_SHAPE, "uint8", 0.05, 128)),
    "int8_to_uint8_scaled": _layer(
        Operand(_SHAPE, "int8", 0.05, 3), Operand(_SHAPE, "uint8", 0.03, 100)
    ),
    "float_to_int16": _layer(_FLOAT, Operand(_SHAPE, "int16", 0.001, 0)),
    "int16_to_int8": _layer(Operand(_SHAPE, "int16", 0.0005), Operand(_SHAPE, "int8", 0.1, -3)),
    "int8_to_int16": _layer(Operand(_SHAPE, "int8", 0.05, 7), Operand(_SHAPE, "int16", 0.0004)),
    "int16_to_int16": _layer(Operand(_SHAPE, "int16", 0.002), Operand(_SHAPE, "int16", 0.003)),
    "int16_to_int32": _layer(
        Operand(_SHAPE, "int16", 0.001), Operand(_SHAPE, "int32", scales=(0.0001,))
    ),
    "int32_to_int8": _layer(
        Operand(_SHAPE, "int32", scales=(1e-9,)), Operand(_SHAPE, "int8", 0.02, 7)
    ),
    "int32_to_int16": _layer(
        Operand(_SHAPE, "int32", scales=(1e-9,)), Operand(_SHAPE, "int16", 0.0001)
    ),
    "uint8_to_int8": _layer(Operand(_SHAPE, "uint8", 0.05, 128), Operand(_SHAPE, "int8", 0.05, 0)),
    "uint8_to_int8_scaled": _layer(
        Operand(_SHAPE, "uint8", 0.05, 120), Operand(_SHAPE, "int8", 0.02, 9)
    ),
}


#: A type that activations do not have, but LiteRT's kernel takes.
_PER_CHANNEL_CASES = {
    "per_channel": _layer(Operand((2, 3, 4), "float32"), _PER_CHANNEL),
}
_ALL = CASES | _PER_CHANNEL_CASES


@pytest.mark.parametrize("layer", _ALL.values(), ids=_ALL)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    source=st.sampled_from(["float32", "int8", "uint8", "int16"]),
    scales=st.tuples(cases.scale, cases.scale),
    zero_points=st.tuples(cases.zero_point, cases.zero_point),
)
def test_any_layer(source: str, scales: tuple[float, float], zero_points: tuple[int, int]) -> None:
    zero = zero_points[0] + (128 if source == "uint8" else 0)
    x = Operand((300,), source, scales[0], zero)
    cases.assert_is_litert(_layer(x, Operand((300,), "int8", scales[1], zero_points[1])))


def test_halves_round_away_from_zero() -> None:
    halves = (np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)) * np.float32(0.25)
    layer = _layer(Operand(halves.shape, "float32"), Operand(halves.shape, "int8", 0.25, 1))
    expected = run_litert(layer.model(), [halves])[layer.node().output.index]
    for oracle in Oracle:
        np.testing.assert_array_equal(cases.reference(layer, [halves], oracle), expected)


def test_floats_that_no_integer_can_hold_saturate(tmp_path: Path) -> None:
    """LiteRT converts these values to int32, which is undefined."""
    x = np.array([3e38, -3e38, np.inf, -np.inf, np.nan, 1e12, -1e12, 0], np.float32)
    runs, wanted = {}, {}
    for dtype, zero in ("int8", 3), ("uint8", 3), ("int16", 0):
        layer = _layer(Operand(x.shape, "float32"), Operand(x.shape, dtype, 0.17, zero))
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        wanted[dtype] = [high, low, high, low, low, high, low, zero]
        for oracle in Oracle:
            np.testing.assert_array_equal(cases.reference(layer, [x], oracle), wanted[dtype])
        model = tvmtiny.load(layer.model(), name=f"saturates_{dtype}")
        runs[dtype] = HostRun(tvmtiny.compile(model, "cortex-m4"), [[x]])
    for dtype, (result,) in run_each_on_host(runs, tmp_path).items():
        np.testing.assert_array_equal(result.outputs[0].data, wanted[dtype], dtype)


_LONG = Tensor(2, "z", (1, 4), "int32", Quantization((0.5,), (3,)))
_X = Tensor(0, "x", (1, 4), "float32")
_Y = Tensor(1, "y", (1, 4), "int8", Quantization((0.5,), (0,)))
_PER_AXIS = Quantization((0.5, 0.1), (0, 0), 1)
_REFUSED = [
    (Node(0, OPERATOR, 1, (_X,), (_LONG,)), "float32 input and int32 output"),
    (Node(0, OPERATOR, 1, (_LONG,), (_Y,)), "zero points 3 and 0"),
    (Node(0, OPERATOR, 1, (), (_Y,)), "0 inputs"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, dtype="float32"),)), "float32 output"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, shape=(4,)),)), "the output is"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, quantization=None),)), "without a scale"),
    (Node(0, OPERATOR, 1, (_X,), (replace(_Y, quantization=_PER_AXIS),)), "2 scales"),
    (Node(0, OPERATOR, 1, (_Y,), (replace(_Y, quantization=_PER_AXIS),)), "per channel"),
    (Node(0, OPERATOR, 1, (replace(_Y, quantization=None),), (_Y,)), "without a scale"),
    (
        Node(0, OPERATOR, 1, (_Y,), (replace(_Y, quantization=Quantization((1e-12,), (0,))),)),
        "output scale",
    ),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
