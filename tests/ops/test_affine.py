"""Integer lines and planes that replace TFLite's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tvmtiny.ops.shared.affine import Affine, Image, product_image, solve, wide_image
from tvmtiny.ops.shared.quantization import quantize_multiplier, requantize, round_half_away

INT8 = (-128, 127)
VALUES = np.arange(-128, 128)


def _evaluate(
    found: Affine, operands: list[np.ndarray], limits: tuple[int, int], image: Image
) -> np.ndarray:
    """Compute as the generated code does, checking every step for overflow."""
    total = np.int64(found.offset)
    for factor, operand in zip(found.factors, operands, strict=True):
        assert -(2**31) <= factor < 2**31
        total = total + image(factor, operand.astype(np.int64))
        assert np.all(np.abs(total) < 2**31)
    return np.clip(total >> found.shift, *limits)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    scale=st.floats(0.01, 3.0),
    zero_points=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    low=st.integers(-128, 0),
    high=st.integers(1, 127),
)
def test_lines(scale: float, zero_points: tuple[int, int], low: int, high: int) -> None:
    """Requantization with two roundings: every solution that is found is right."""
    scaled = requantize(VALUES - zero_points[0], *quantize_multiplier(scale)) + zero_points[1]
    wanted = np.clip(scaled, low, high)
    assume(low < wanted.max() and wanted.min() < high)
    for image, bits in ((product_image, 0), (wide_image, 16)):
        found = solve([VALUES], wanted, [scale], (low, high), image, bits)
        if found is not None:
            got = _evaluate(found, [VALUES], (low, high), image)
            np.testing.assert_array_equal(got, wanted)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    slopes=st.tuples(st.floats(0.05, 4.0), st.floats(0.05, 4.0)), zero_point=st.integers(-99, 99)
)
def test_planes(slopes: tuple[float, float], zero_point: int) -> None:
    x, y = np.ogrid[-128:128, -128:128]
    wanted = np.clip(round_half_away(slopes[0] * x + slopes[1] * y) + zero_point, *INT8)
    for gain, image, bits, largest in ((1, product_image, 0, 23), (256, wide_image, 16, 20)):
        operands = [x * gain, y * gain]
        found = solve(
            operands, wanted, [slope / gain for slope in slopes], INT8, image, bits, largest
        )
        if found is not None:
            assert found.shift <= largest
            got = _evaluate(found, operands, INT8, image)
            np.testing.assert_array_equal(got, wanted)


def test_real_scales_are_found() -> None:
    """Scales from training, unlike round numbers, have a solution."""
    rng = np.random.default_rng(3)
    x, y = np.ogrid[-128:128, -128:128]
    for slopes in rng.uniform(0.2, 2.2, (4, 2)):
        wanted = np.clip(round_half_away(slopes[0] * x + slopes[1] * y), *INT8)
        assert solve([x, y], wanted, list(slopes), INT8) is not None
        operands = [x * 256, y * 256]
        assert solve(operands, wanted, list(slopes / 256), INT8, wide_image, 16, 20) is not None


@pytest.mark.parametrize("image", [product_image, wide_image])
def test_what_is_no_line_is_refused(image: Image) -> None:
    wanted = np.clip(VALUES + VALUES % 3, *INT8)
    assert solve([VALUES], wanted, [1.0], INT8, image) is None


def test_constant_results_are_refused() -> None:
    assert solve([VALUES], np.full(256, -128), [0.0], INT8) is None
