"""The helpers of ``runtime/core`` against numpy, compiled for the host."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from host_runner import WARNINGS

from tvmtiny.ops.shared import fixed_point_q31, quantization

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

_SOURCE = """
#include "tvmtiny.h"
#include "tvmtiny_stream.h"

#define EACH(name, type, value) \\
  void name(int32_t count, const type *a, const type *b, type *out); \\
  void name(int32_t count, const type *a, const type *b, type *out) \\
  { \\
    for (int32_t i = 0; i < count; ++i) { \\
      (void)b; \\
      out[i] = value; \\
    } \\
  }

EACH(multiply_q31, int32_t, tvmtiny_multiply_q31(a[i], b[i]))
EACH(multiply_q31_by_halves, int32_t, tvmtiny_multiply_q31_by_halves(a[i], b[i]))
EACH(multiply_high, int32_t, tvmtiny_multiply_high(a[i], b[i]))
EACH(multiply_high_by_halves, int32_t, tvmtiny_multiply_high_by_halves(a[i], b[i]))
EACH(rounding_shift, int32_t, tvmtiny_rounding_shift(a[i], (uint32_t)b[i]))
EACH(exp_q31, int32_t, tvmtiny_exp_q31(a[i]))
EACH(reciprocal_q31, int32_t, tvmtiny_reciprocal_q31(a[i]))
EACH(headroom, int32_t, tvmtiny_softmax_headroom(a[i]))
EACH(requantize, int32_t, tvmtiny_requantize(a[i], 1717986918, b[i]))
EACH(requantize_once, int32_t, tvmtiny_requantize_once(a[i], 1717986918, b[i]))
EACH(float_exp, float, tvmtiny_exp(a[i]))
EACH(float_logistic, float, tvmtiny_logistic(a[i]))
EACH(quantize, float, (float)tvmtiny_quantize(a[i], b[i], 5, -128, 127))

void move_rows(uint8_t *arena, int32_t to, int32_t from, int32_t count);
void move_rows(uint8_t *arena, int32_t to, int32_t from, int32_t count)
{
  if (from < to && to < from + count) {
    tvmtiny_move_rows_up(arena + to, arena + from, count);
  } else {
    tvmtiny_move_rows(arena + to, arena + from, count);
  }
}
"""
_FLAGS = [*WARNINGS, "-O2", "-ffreestanding", "-shared", "-fPIC"]
_SANITIZE = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    directory: Path = tmp_path_factory.mktemp("helpers")
    source, shared = directory / "helpers.c", directory / "helpers.so"
    source.write_text(_SOURCE)
    include = f"-I{files('tvmtiny') / 'runtime' / 'core'}"
    command = ["gcc", *_FLAGS, *_SANITIZE, include, str(source), "-o", str(shared)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(shared))


def _call(library: ctypes.CDLL, name: str, a: np.ndarray, b: np.ndarray | int = 0) -> np.ndarray:
    dtype = np.float32 if a.dtype.kind == "f" else np.int32
    left = np.ascontiguousarray(a, dtype)
    right = np.ascontiguousarray(np.broadcast_to(b, left.shape), dtype)
    out = np.empty_like(left)
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (left, right, out))
    getattr(library, name)(left.size, *pointers)
    return out


def _integers(low: int, high: int, count: int = 200_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    near = np.arange(1000)
    ends = np.concatenate([low + near, high - near, near[low <= near], -near[low <= -near]])
    powers = np.array([s * 2**e + d for s in (-1, 1) for e in range(31) for d in (-1, 0, 1)])
    every = np.concatenate([rng.integers(low, high + 1, count), ends, powers])
    return every[(every >= low) & (every <= high)]


@pytest.mark.parametrize("name", ["multiply_high", "multiply_high_by_halves"])
def test_multiply_high(name: str, library: ctypes.CDLL) -> None:
    a = _integers(-(2**31), 2**31 - 1)
    b = np.random.default_rng(1).permutation(a)
    np.testing.assert_array_equal(_call(library, name, a, b), a * b >> 32)


@pytest.mark.parametrize("name", ["multiply_q31", "multiply_q31_by_halves"])
def test_multiply_q31(name: str, library: ctypes.CDLL) -> None:
    a = _integers(-(2**31) + 1, 2**31 - 1)
    b = np.random.default_rng(1).permutation(a)
    np.testing.assert_array_equal(_call(library, name, a, b), fixed_point_q31.multiply_q31(a, b))


@pytest.mark.parametrize("shift", range(32))
def test_rounding_shift(library: ctypes.CDLL, shift: int) -> None:
    values = _integers(-(2**31), 2**31 - 1, 5000)
    expected = fixed_point_q31.rounding_shift(values, shift)
    np.testing.assert_array_equal(_call(library, "rounding_shift", values, shift), expected)


def test_rounding_shift_takes_halves_away_from_zero() -> None:
    halves = np.array([-6, -3, -2, -1, 1, 2, 3, 6])
    np.testing.assert_array_equal(
        fixed_point_q31.rounding_shift(halves, 2), [-2, -1, -1, 0, 0, 1, 1, 2]
    )


def test_exp_q31(library: ctypes.CDLL) -> None:
    values = _integers(-(2**31), 0)
    got = _call(library, "exp_q31", values)
    np.testing.assert_array_equal(got, fixed_point_q31.exp_q31(values, 5))
    np.testing.assert_allclose(got / 2**31, np.exp(values / 2**26), atol=2e-7)


def test_reciprocal_q31(library: ctypes.CDLL) -> None:
    values = _integers(0, 2**31 - 1)
    got = _call(library, "reciprocal_q31", values)
    np.testing.assert_array_equal(got, fixed_point_q31.reciprocal_q31(values))
    np.testing.assert_allclose(got / 2**31, 1 / (1 + values / 2**31), atol=1e-8)


def test_headroom(library: ctypes.CDLL) -> None:
    values = _integers(1, 2**31 - 1)
    expected = [32 - int(value).bit_length() for value in values]
    np.testing.assert_array_equal(_call(library, "headroom", values), expected)


@pytest.mark.parametrize("shift", [-31, -20, -7, -1, 0, 1, 3])
def test_requantize(library: ctypes.CDLL, shift: int) -> None:
    limit = 2**31 - 1 >> max(shift, 0)
    values = _integers(-limit, limit, 20_000)
    expected = quantization.requantize(values, 1717986918, shift)
    np.testing.assert_array_equal(_call(library, "requantize", values, shift), expected)
    once = quantization.requantize_once(values, 1717986918, shift)
    fits = np.abs(once) < 2**31
    np.testing.assert_array_equal(
        _call(library, "requantize_once", values[fits], shift), once[fits]
    )


def _floats() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(-104, 89, 500_000), rng.uniform(-1, 1, 200_000)]).astype(
        np.float32
    )


def test_exp_is_within_one_unit_in_the_last_place(library: ctypes.CDLL) -> None:
    values = _floats()
    with np.errstate(over="ignore"):
        exact = np.exp(values.astype(np.float64))
        rounded = exact.astype(np.float32)
    got = _call(library, "float_exp", values)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(np.isinf(got), ~finite)
    units = np.abs(got[finite] - exact[finite]) / np.spacing(rounded[finite])
    assert units.max() < 1


def test_exp_of_special_values(library: ctypes.CDLL) -> None:
    values = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1000, -1000], np.float32)
    np.testing.assert_array_equal(
        _call(library, "float_exp", values), np.float32([1, 1, np.inf, 0, np.nan, np.inf, 0])
    )


def test_logistic(library: ctypes.CDLL) -> None:
    values = _floats()
    got = _call(library, "float_logistic", values)
    exact = np.where(
        values < -9, np.exp(values.astype(float)), 1 / (1 + np.exp(-values.astype(float)))
    )
    np.testing.assert_allclose(got, exact, rtol=2e-7, atol=2e-45)


def test_quantize(library: ctypes.CDLL) -> None:
    values = np.concatenate([_floats(), np.float32([0.5, -0.5, 1.5, -1.5, 1e30, -1e30, np.nan])])
    got = _call(library, "quantize", values, np.float32(1.0))
    steps = np.clip(np.nan_to_num(values, nan=-1e9), -133, 122)
    np.testing.assert_array_equal(got, quantization.round_half_away(steps) + 5)


def test_rows_move_over_themselves_in_both_directions(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        arena = rng.integers(0, 256, 200).astype(np.uint8)
        target, source = (4 * int(n) if rng.integers(2) else int(n) for n in rng.integers(0, 25, 2))
        count = int(rng.integers(1, 100))
        expected = arena.copy()
        expected[target : target + count] = arena[source : source + count]
        library.move_rows(arena.ctypes.data_as(ctypes.c_void_p), target, source, count)
        np.testing.assert_array_equal(arena, expected)
