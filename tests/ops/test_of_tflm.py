"""Operators in dtypes for which TFLM has kernels and LiteRT has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers
from tflite_builder import ModelBuilder

import tvmtiny
from tests.ops.three_ways import SideBySide
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.oracle import oracle_tensors

_SHAPE = (2, 3, 4)


def _cumsum(axis: int, **options: bool) -> Layer:
    x, y = Operand(_SHAPE, scale=0.05, zero_point=-7), Operand(_SHAPE, scale=0.09, zero_point=5)
    return Layer("CUMSUM", (x, numbers(axis)), y, options, 1)


def _sum(count: int, shape: tuple[int, ...] = _SHAPE) -> Layer:
    x, y = Operand(shape, scale=0.04, zero_point=9), Operand(shape, scale=0.1, zero_point=-3)
    return Layer("ADD_N", (x,) * count, y, {}, 1)


def _difference(scales: tuple[float, float, float]) -> Layer:
    a, b, y = (
        Operand(shape, "int16", scale)
        for shape, scale in zip((_SHAPE, (4,), _SHAPE), scales, strict=True)
    )
    return Layer("SQUARED_DIFFERENCE", (a, b), y, None, 1)


_CASES = {
    "add_n": _sum(3),
    "add_n_many": _sum(14, (5,)),
    "cumsum": _cumsum(1),
    "cumsum_last": _cumsum(-1, exclusive=True),
    "cumsum_first": _cumsum(0, reverse=True),
    "cumsum_both": _cumsum(1, exclusive=True, reverse=True),
    "difference": _difference((3e-4, 2e-4, 6e-4)),
    "difference_one_scale": _difference((1e-4, 1e-4, 1e-4)),
    "zeros": Layer("ZEROS_LIKE", (Operand(_SHAPE),), Operand(_SHAPE), {}, 1),
}


@pytest.fixture(scope="module")
def together() -> SideBySide:
    return SideBySide("of_tflm", _CASES, 0.0, external=True)


def test_in_c(together: SideBySide, tmp_path: Path) -> None:
    together.check_host_of_tflm("mps2-an386", tmp_path)


def test_are_those_of_the_package(together: SideBySide) -> None:
    together.check_package_of_tflm()


def test_checks_take_the_others_from_litert(tmp_path: Path) -> None:
    """For a model with such an operator, LiteRT still computes all layers it has kernels for."""
    b = ModelBuilder()
    x = b.input("x", _SHAPE, "int16", scale=3e-4)
    mean = b.tensor("mean", (2, 3, 1), "int16", scale=2e-4)
    b.op("MEAN", [x, b.constant("axes", np.array([2], np.int32))], [mean], {"keep_dims": True}, 2)
    square = b.tensor("square", _SHAPE, "int16", scale=6e-4)
    b.op("SQUARED_DIFFERENCE", [x, mean], [square], None)
    y = b.tensor("y", _SHAPE, "int16", scale=1 / 32768)
    b.op("SOFTMAX", [square], [y], {"beta": 1.0})
    model = tvmtiny.load(b.build([y]), name="m")
    inputs = tvmtiny.make_inputs("random:3", tvmtiny.compile(model, "cortex-m4").inputs)
    name, values = oracle_tensors(model, inputs)
    assert name == "litert-reference and numpy"
    for index, value in model.reference(inputs).items():
        if index in values:
            np.testing.assert_array_equal(values[index], value)
    assert {square, y} <= set(values)


def test_sums_that_overflow_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="sums of 16 int8 values"):
        tvmtiny.load(_sum(16, (2,)).model(), oracle="tflm")
