"""MEAN against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Node, Quantization, Tensor

OPERATOR = "MEAN"
FLOAT_TOLERANCE = 1e-5


def _layer(
    shape: tuple[int, ...],
    axes: Any,
    keep_dims: bool = True,
    dtype: str = "int8",
    scales: tuple[float, float] = (0.05, 0.03),
    zero_points: tuple[int, int] = (-5, 12),
) -> Layer:
    reduced = {axis % len(shape) for axis in np.array(axes, int).reshape(-1).tolist()}
    kept = [1 if i in reduced else d for i, d in enumerate(shape) if keep_dims or i not in reduced]
    zero_points = (0, 0) if dtype == "int16" else zero_points
    x = Operand(shape, dtype, scales[0], zero_points[0])
    y = Operand(tuple(kept), dtype, scales[1], zero_points[1])
    return Layer(OPERATOR, (x, numbers(axes)), y, {"keep_dims": keep_dims})


_IMAGE = (1, 5, 4, 6)
CASES = {
    "global": _layer(_IMAGE, [1, 2]),
    "global_without_dims": _layer(_IMAGE, [1, 2], keep_dims=False),
    "global_same_scale": _layer(_IMAGE, [1, 2], scales=(0.05, 0.05), zero_points=(3, 3)),
    "swapped": _layer(_IMAGE, [2, 1]),
    "negative_axes": _layer(_IMAGE, [-3, -2], keep_dims=False),
    "repeated_axis": _layer(_IMAGE, [2, -2, 2]),
    "channels": _layer(_IMAGE, [3], keep_dims=False),
    "scalar_axis": _layer(_IMAGE, 1),
    "everything": _layer(_IMAGE, [0, 1, 2, 3]),
    "everything_to_scalar": _layer((3, 4), [0, 1], keep_dims=False),
    "power_of_two_count": _layer((2, 8, 8, 3), [1, 2]),
    "count_of_one": _layer((2, 1, 3), [1]),
    "rank_1": _layer((7,), [0]),
    "rank_5": _layer((2, 3, 2, 2, 3), [1, 3, 4], keep_dims=False),
    "large_count": _layer((1, 64, 50, 2), [1, 2]),
    "larger_output_scale": _layer(_IMAGE, [1, 2], scales=(0.01, 1.5)),
    "much_smaller_output_scale": _layer(_IMAGE, [1, 2], scales=(0.8, 0.002)),
    "no_axes": _layer((2, 3), []),
    "int16_global": _layer(_IMAGE, [1, 2], dtype="int16", scales=(3e-4, 1e-4)),
    "int16_channels": _layer(_IMAGE, [3], False, "int16", (3e-4, 3e-4)),
    "float_global": _layer(_IMAGE, [1, 2], dtype="float32"),
    "float_without_dims": _layer(_IMAGE, [0, 3], keep_dims=False, dtype="float32"),
    "float_to_scalar": _layer((3, 4), [0, 1], keep_dims=False, dtype="float32"),
}


def _check(layer: Layer) -> None:
    cases.assert_is_litert(layer, FLOAT_TOLERANCE if layer.output.dtype == "float32" else 0.0)


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    _check(layer)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple),
    chosen=st.sets(st.integers(0, 3), min_size=1),
    keep_dims=st.booleans(),
    scales=st.tuples(cases.scale, cases.scale),
    zero_points=st.tuples(cases.zero_point, cases.zero_point),
)
def test_any_layer(shape: tuple[int, ...], chosen: set[int], **fields: Any) -> None:
    axes = sorted({axis % len(shape) for axis in chosen})
    _check(_layer(shape, axes, **fields))


_Q = Quantization((0.5,), (0,))
_X = Tensor(0, "x", (2, 3), "int8", _Q)
_Y = Tensor(1, "y", (2,), "int8", _Q)
_A = Tensor(2, "a", (1,), "int32", data=np.array([1], np.int32))


def _node(x: Tensor = _X, axes: Tensor | None = _A, y: Tensor = _Y, **options: Any) -> Node:
    return Node(0, OPERATOR, 1, (x, axes), (y,), options)


_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_Y,)), "0 inputs"),
    (_node(axes=None), "1 inputs"),
    (_node(axes=replace(_A, data=None)), "run time"),
    (_node(axes=replace(_A, dtype="float32")), "float32 axes"),
    (_node(axes=replace(_A, data=np.array([2], np.int32))), "axis 2"),
    (_node(replace(_X, shape=())), "of 0 dimensions"),
    (_node(keep_dims=True), "the output is"),
    (_node(y=replace(_Y, dtype="float32")), "int8 and float32"),
    (_node(replace(_X, quantization=None)), "without a scale"),
]


def test_sums_that_would_leave_32_bits_are_refused() -> None:
    (reason,) = cases.problems(_layer(_IMAGE, [1, 2], scales=(1.0, 1e-8)))
    assert "an output scale of 1e-08" in reason


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
