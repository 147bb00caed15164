"""The functions of the runtime's headers for floats against float64, compiled for the host."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib.resources import files
from math import erfc
from pathlib import Path

import numpy as np
import pytest
from host_runner import WARNINGS, compiler_or_skip, run_command
from hypothesis import given, settings
from hypothesis import strategies as st

_EXACT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "trunc": np.trunc,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
}
#: The function in float64, the tested range, and the largest error in units in the last place.
_ACCURACY: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, float, float]] = {
    "sqrt": (np.sqrt, 0, 3e38, 0.5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1e-38, 3e38, 1.5),
    "log": (np.log, 1e-44, 3e38, 1.0),
    "expm1": (np.expm1, -30, 88, 2.0),
    "tanh": (np.tanh, -20, 20, 2.0),
    "sin": (np.sin, -1e5, 1e5, 2.5),
    "cos": (np.cos, -1e5, 1e5, 2.5),
}
_NAMES = (*_EXACT, *_ACCURACY, "erfc", "gelu")
_SOURCE = '#include "tvmtiny_math.h"\n' + "".join(
    f"void {name}(int32_t count, const float *x, float *y);\n"
    f"void {name}(int32_t count, const float *x, float *y)\n"
    f"{{ for (int32_t i = 0; i < count; ++i) {{ y[i] = tvmtiny_{name}(x[i]); }} }}\n"
    for name in _NAMES
)
#: Functions of two numbers in float64, and the largest error in units in the last place.
_OF_TWO: dict[str, tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], float]] = {
    "atan2": (np.arctan2, 2.0),
    "pow_float32": (np.power, 1.0),
    "fmod": (np.fmod, 0.0),
    "floor_div_float32": (lambda x, y: np.floor(x / y), 0.5),
}
_SOURCE += '#include "tvmtiny_division.h"\n#include "tvmtiny_double_math.h"\n' + "".join(
    f"void {name}(int32_t count, const float *x, const float *y, float *z);\n"
    f"void {name}(int32_t count, const float *x, const float *y, float *z)\n"
    f"{{ for (int32_t i = 0; i < count; ++i) {{ z[i] = tvmtiny_{name}(x[i], y[i]); }} }}\n"
    for name in _OF_TWO
)
_FLAGS = [*WARNINGS, "-O1", "-ffreestanding", "-shared", "-fPIC"]
_SANITIZE = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    directory: Path = tmp_path_factory.mktemp("math")
    (directory / "math.c").write_text(_SOURCE)
    include = f"-I{files('tvmtiny') / 'runtime' / 'core'}"
    command = [compiler_or_skip("gcc"), *_FLAGS, *_SANITIZE, include, "math.c", "-o", "math.so"]
    run_command(command, directory)
    return ctypes.CDLL(str(directory / "math.so"))


def _call(library: ctypes.CDLL, name: str, *x: np.ndarray) -> np.ndarray:
    values = [np.ascontiguousarray(array, np.float32) for array in x]
    out = np.empty_like(values[0])
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (*values, out))
    getattr(library, name)(out.size, *pointers)
    return out


def _units(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Errors in units in the last place of the result."""
    with np.errstate(over="ignore"):
        spacing = np.spacing(np.maximum(np.abs(exact), 1.2e-38).astype(np.float32))
    return np.abs(got - exact) / spacing


def _every_magnitude(low: float, high: float, count: int = 100_000) -> np.ndarray:
    """Numbers between `low` and `high`, and numbers of all magnitudes among them."""
    rng = np.random.default_rng(0)
    plain = rng.uniform(low, high, count)
    powers = np.exp2(rng.uniform(-140, 127, count)) * rng.choice([-1, 1], count)
    values = np.concatenate([plain, powers]).astype(np.float32)
    return values[(values >= low) & (values <= high)]


@pytest.mark.parametrize("name", _ACCURACY)
def test_accuracy(library: ctypes.CDLL, name: str) -> None:
    function, low, high, limit = _ACCURACY[name]
    values = _every_magnitude(low, high)
    units = _units(_call(library, name, values), function(values.astype(np.float64)))
    assert units.max() <= limit, values[units.argmax()]


@pytest.mark.parametrize("name", _OF_TWO)
def test_accuracy_of_two(library: ctypes.CDLL, name: str) -> None:
    function, limit = _OF_TWO[name]
    x = _every_magnitude(-3e38, 3e38)
    y = np.random.default_rng(1).permutation(x)
    if name == "pow_float32":
        # Powers of all magnitudes, including those below the least normal and above the largest
        # number.
        x = np.abs(x)
        with np.errstate(all="ignore"):
            y = (np.random.default_rng(2).uniform(-110, 95, len(x)) / np.log(x)).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.float64), y.astype(np.float64))
        got = _call(library, name, x, y)
        inside = np.abs(exact) < 3.4e38
        assert _units(got[inside], exact[inside]).max() <= limit
        np.testing.assert_array_equal(got[~inside], exact[~inside].astype(np.float32))


def test_special_values_of_two(library: ctypes.CDLL) -> None:
    special = [0, -0.0, 1, -1, 2, -3, 0.5, np.inf, -np.inf, np.nan, 1e-40, -3e38, 2.0**25]
    x, y = (a.ravel() for a in np.meshgrid(*[np.array(special, np.float32)] * 2))
    for name, (function, _) in _OF_TWO.items():
        with np.errstate(all="ignore"):
            exact = function(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
        got = _call(library, name, x, y)
        np.testing.assert_allclose(got, exact, rtol=3e-7, atol=2e-45, err_msg=name)
        known = ~np.isnan(exact)
        np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(exact[known]), name)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=st.floats(-(2.0**126), 2.0**126, width=32))
def test_angles_of_any_size(library: ctypes.CDLL, value: float) -> None:
    angle = np.array([value], np.float32)
    for name, function in (("sin", np.sin), ("cos", np.cos)):
        units = _units(_call(library, name, angle), function(angle.astype(np.float64)))
        assert units.max() <= 2.5


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=st.floats(width=32, allow_nan=False))
def test_rounding_of_any_number(library: ctypes.CDLL, value: float) -> None:
    values = np.array([value], np.float32)
    for name, function in _EXACT.items():
        np.testing.assert_array_equal(_call(library, name, values), function(values))


def test_halves_are_rounded_to_even(library: ctypes.CDLL) -> None:
    halves = np.arange(-20, 20, dtype=np.float32) / 2
    np.testing.assert_array_equal(_call(library, "round", halves), np.rint(halves))


def test_error_function(library: ctypes.CDLL) -> None:
    values = _every_magnitude(-6, 9, 20_000)
    exact = np.array([erfc(float(value)) for value in values])
    got = _call(library, "erfc", values)
    np.testing.assert_allclose(got, exact, rtol=1e-5)
    np.testing.assert_allclose(got, exact, rtol=0, atol=5e-7)
    gelu = np.array([0.5 * float(v) * erfc(-float(v) * 0.5**0.5) for v in values])
    np.testing.assert_allclose(_call(library, "gelu", values), gelu, rtol=1e-5, atol=1e-44)


def test_special_values(library: ctypes.CDLL) -> None:
    values = np.array([0, -0.0, np.inf, -np.inf, np.nan, -1], np.float32)
    nan, inf = np.nan, np.inf
    for name, expected in {
        "sqrt": [0, 0, inf, nan, nan, nan],
        "log": [-inf, -inf, inf, nan, nan, nan],
        "tanh": [0, 0, 1, -1, nan, np.tanh(np.float32(-1))],
        "expm1": [0, 0, inf, -1, nan, np.expm1(np.float32(-1))],
        "floor": [0, 0, inf, -inf, nan, -1],
        "ceil": [0, 0, inf, -inf, nan, -1],
        "round": [0, 0, inf, -inf, nan, -1],
        "sin": [0, 0, nan, nan, nan, np.sin(np.float32(-1))],
        "cos": [1, 1, nan, nan, nan, np.cos(np.float32(-1))],
    }.items():
        np.testing.assert_allclose(_call(library, name, values), np.float32(expected), rtol=2e-7)
