"""uint8 models, whose values become int8 values, against LiteRT's kernels for uint8."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers, random_constant
from tflite_builder import ModelBuilder

import tvmtiny
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu
from tvmtiny.cli.settings import Settings
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.frontend.legacy import NOTE
from tvmtiny.oracle import run_litert

_IMAGE = (1, 5, 4, 3)
_SLIDING = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
_POOL = {**_SLIDING, "filter_height": 2, "filter_width": 3}


def _x(shape: tuple[int, ...], scale: float = 0.05, zero_point: int = 128) -> Operand:
    return Operand(shape, "uint8", scale, zero_point)


def _product(
    operator: str, weights: tuple[int, ...], zero_point: int = 120, activation: str = "NONE"
) -> Layer:
    """A layer whose weights have a zero point; with 128, they fit int8 without a zero point."""
    w = random_constant(weights, "uint8", scale=0.00637, zero_point=zero_point)
    bias = numbers(np.arange(3) * 700 - 500)
    options: dict[str, Any] = {"fused_activation_function": activation}
    if operator == "FULLY_CONNECTED":
        return Layer(operator, (_x((2, 7)), w, bias), _x((2, 3), 0.4, 100), options, 1)
    y = _x(_IMAGE, 0.4, 100)
    if operator == "TRANSPOSE_CONV":
        return Layer(operator, (numbers(_IMAGE), w, _x(_IMAGE), bias), y, _SLIDING, 3)
    return Layer(operator, (_x(_IMAGE), w, bias), y, _SLIDING | options, 1)


def _binary(operator: str, activation: str = "NONE") -> Layer:
    operands = (_x((2, 3, 4), 0.05, 3), _x((1, 4), 0.03, 200))
    options = {"fused_activation_function": activation}
    return Layer(operator, operands, _x((2, 3, 4), 0.06, 130), options, 1)


def _unary(operator: str, y: Operand, options: Any = None, x: float = 0.05) -> Layer:
    return Layer(operator, (_x(y.shape, x, 99),), y, options, 1)


def _reduced(operator: str, scale: float = 0.07) -> Layer:
    x, y = _x(_IMAGE, 0.05, 77), _x((1, 3), scale, 131)
    return Layer(operator, (x, numbers([1, 2])), y, {"keep_dims": False}, 1)


def _joined(*scales: float) -> Layer:
    parts = tuple(_x((2, 3), scale, 10 * i) for i, scale in enumerate(scales))
    return Layer("CONCATENATION", parts, _x((2, 3 * len(scales)), 0.1, 120), {"axis": 1}, 1)


def _resized(size: tuple[int, int], **options: bool) -> Layer:
    y = _x((1, *size, 3))
    return Layer("RESIZE_BILINEAR", (_x(_IMAGE), numbers(size)), y, options, 3)


_ROW = (3, 10)
#: The table covers several operators, so `case_groups` must not find it by its name.
LAYERS = {
    "conv": _product("CONV_2D", (3, 3, 3, 3)),
    "conv_symmetric": _product("CONV_2D", (3, 3, 3, 3), 128, "RELU6"),
    "depthwise": _product("DEPTHWISE_CONV_2D", (1, 3, 3, 3), 250),
    "transposed": _product("TRANSPOSE_CONV", (3, 3, 3, 3), 0),
    "dense": _product("FULLY_CONNECTED", (3, 7), 111),
    "dense_symmetric": _product("FULLY_CONNECTED", (3, 7), 128, "RELU"),
    "add": _binary("ADD"),
    "sub": _binary("SUB", "RELU"),
    "mul": _binary("MUL"),
    # No divisor equals its zero point.
    "div": Layer(
        "DIV",
        (_x((2, 3, 4), 0.5, 3), Operand((1, 4), "uint8", 0.01, 100, limits=(120, 255))),
        _x((2, 3, 4), 0.9, 90),
        {"fused_activation_function": "NONE"},
        1,
    ),
    "average": Layer("AVERAGE_POOL_2D", (_x(_IMAGE),), _x(_IMAGE), _POOL, 1),
    "average_valid": Layer(
        "AVERAGE_POOL_2D", (_x(_IMAGE),), _x((1, 4, 2, 3)), _POOL | {"padding": "VALID"}, 1
    ),
    "maximum": Layer("MAX_POOL_2D", (_x(_IMAGE),), _x(_IMAGE), _POOL, 1),
    "softmax": _unary("SOFTMAX", _x(_ROW, 1 / 256, 0), {"beta": 1.0}),
    "log_softmax": _unary("LOG_SOFTMAX", _x(_ROW, 1 / 16, 255), {}),
    "logistic": _unary("LOGISTIC", _x(_ROW, 1 / 256, 0)),
    "tanh": _unary("TANH", _x(_ROW, 1 / 128, 128)),
    "relu": _unary("RELU", _x(_ROW, 0.03, 7)),
    "relu6": _unary("RELU6", _x(_ROW, 0.03, 7)),
    "relu_n1_to_1": _unary("RELU_N1_TO_1", _x(_ROW, 0.03, 70)),
    "relu_0_to_1": _unary("RELU_0_TO_1", _x(_ROW, 0.03, 7)),
    "leaky": _unary("LEAKY_RELU", _x(_ROW, 0.03, 70), {"alpha": 0.3}),
    "hard_swish": _unary("HARD_SWISH", _x(_ROW, 0.03, 70), {}),
    "gelu": _unary("GELU", _x(_ROW, 0.03, 70), {"approximate": False}),
    "prelu": Layer(
        "PRELU",
        (_x(_IMAGE), random_constant((1, 1, 3), "uint8", scale=0.01, zero_point=40)),
        _x(_IMAGE, 0.04, 60),
        None,
        1,
    ),
    "norm": _unary("L2_NORMALIZATION", _x(_ROW, 1 / 128, 128), {}),
    "mean": _reduced("MEAN"),
    "sum": _reduced("SUM", 0.6),
    "largest": Layer(
        "REDUCE_MAX", (_x(_IMAGE), numbers([1, 2])), _x((1, 3)), {"keep_dims": False}, 1
    ),
    "joined": _joined(0.1, 0.02, 0.3),
    "doubled": _resized((10, 8)),
    "resized": _resized((7, 9), half_pixel_centers=True),
    "pad": Layer("PAD", (_x((1, 2, 3)), numbers([[0, 0], [1, 2], [0, 1]])), _x((1, 5, 4)), {}, 1),
}


#: Operators whose code differs from their int8 code.
_OWN = (
    *("conv", "depthwise", "transposed", "dense", "average", "average_valid", "norm", "sum"),
    *("joined", "resized"),
)


@cache
def _own_cases() -> SideBySide:
    return SideBySide("uint8", {name: LAYERS[name] for name in _OWN}, 0.0, external=True)


def test_numpy_reference() -> None:
    SideBySide("uint8", LAYERS, 0.0).check_reference()


def test_c_on_host(tmp_path: Path) -> None:
    _own_cases().check_host("mps2-an386", tmp_path)


@on_qemu
def test_c_on_cortex_m4() -> None:
    _own_cases().check_board("mps2-an386")


def _network() -> bytes:
    """A layer between uint8 and operators that use its values unchanged."""
    b = ModelBuilder()
    x = b.input("x", (1, 4), "uint8", scale=0.1, zero_point=3)
    y = b.tensor("y", (1, 4), "uint8", scale=0.1, zero_point=3)
    b.op("ADD", [x, x], [y], {})
    raw = b.tensor("raw", (1, 4), "int32")
    b.op("CAST", [y], [raw], {})
    small = b.tensor("small", (1, 4), "int8", scale=0.2)
    b.op("QUANTIZE", [y], [small], {})
    return b.build([raw, small, y])


def test_values_that_are_no_quantized_numbers_stay() -> None:
    content = _network()
    model = tvmtiny.load(content)
    assert model.notes == (NOTE,)
    assert [t.dtype for t in (*model.graph.inputs, *model.graph.outputs)] == [
        *("uint8", "int32", "int8", "uint8")
    ]
    data = np.array([[0, 3, 100, 255]], np.uint8)
    wanted, got = run_litert(content, [data]), model.reference([data])
    for tensor in model.graph.outputs:
        np.testing.assert_array_equal(got[tensor.index], wanted[tensor.index])


def test_the_command_line_says_so(tmp_path: Path) -> None:
    path, said = tmp_path / "old.tflite", list[str]()
    path.write_bytes(_network())
    Settings({}, {}, ()).read(str(path), said.append)
    assert said[1:] == [f"note: {NOTE}"]


def test_bytes_that_are_only_moved_are_no_uint8_model() -> None:
    model = tvmtiny.load(Layer("PAD", LAYERS["pad"].inputs, LAYERS["pad"].output, {}, 1).model())
    assert [node.operator for node in model.graph.nodes] == ["PAD"] and model.notes == ()


def test_operators_without_a_kernel_for_uint8_are_refused() -> None:
    layer = _unary("ELU", _x(_ROW))
    with pytest.raises(UnsupportedModelError, match=r"ELU.*uint8 data; allowed: int8"):
        tvmtiny.load(layer.model())
