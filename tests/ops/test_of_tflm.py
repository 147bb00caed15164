"""Operators in dtypes that TFLM has kernels for, and LiteRT has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from layer_cases import Layer, Operand, numbers

import tvmtiny
from tests.ops.three_ways import SideBySide
from tvmtiny.errors import UnsupportedModelError

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


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
def test_name_the_option(case: Layer) -> None:
    with pytest.raises(UnsupportedModelError, match="or --oracle tflm, which has one"):
        tvmtiny.load(case.model())


def test_sums_that_overflow_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="sums of 16 values of int8"):
        tvmtiny.load(_sum(16, (2,)).model(), oracle="tflm")
