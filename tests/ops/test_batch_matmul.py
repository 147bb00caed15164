"""BATCH_MATMUL against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, random_constant

OPERATOR = "BATCH_MATMUL"
FLOAT_TOLERANCE = 3e-6


def _layer(
    rows: int = 3,
    depth: int = 5,
    columns: int = 4,
    batches: tuple[tuple[int, ...], tuple[int, ...]] = ((2,), (2,)),
    adjoint: tuple[bool, bool] = (False, False),
    dtype: str = "int8",
    zero_points: tuple[int, int, int] = (-3, 4, 5),
    scales: tuple[float, float, float] = (0.05, 0.03, 1.5),
    constant: bool = False,
    right_dtype: str = "",
) -> Layer:
    if dtype == "int16":
        zero_points = (0, 0, 0)
    right_dtype = right_dtype or dtype
    left = (depth, rows) if adjoint[0] else (rows, depth)
    right = (columns, depth) if adjoint[1] else (depth, columns)
    a = Operand((*batches[0], *left), dtype, scales[0], zero_points[0])
    b = Operand((*batches[1], *right), right_dtype, scales[1], zero_points[1])
    if constant:
        b = random_constant(b.shape, right_dtype, scale=scales[1], zero_point=zero_points[1])
    shape = (*np.broadcast_shapes(*batches), rows, columns)
    y = Operand(shape, dtype, scales[2], zero_points[2])
    options = {"adj_x": adjoint[0], "adj_y": adjoint[1]}
    version = {"int8": 2, "int16": 3}.get(dtype, 1)
    return Layer(OPERATOR, (a, b), y, options, version)


CASES = {
    "batches": _layer(),
    "matrices": _layer(batches=((), ())),
    "left_transposed": _layer(adjoint=(True, False)),
    "right_transposed": _layer(adjoint=(False, True)),
    "both_transposed": _layer(adjoint=(True, True), batches=((), ())),
    "left_broadcasts": _layer(batches=((1, 2), (3, 1))),
    "right_broadcasts": _layer(batches=((2, 2), ())),
    "constant": _layer(constant=True, batches=((2,), (1,))),
    "one_row": _layer(rows=1, depth=17),
    "saturates": _layer(scales=(0.05, 0.03, 0.01)),
    "zero_points": _layer(zero_points=(-128, 127, -128)),
    "int16": _layer(dtype="int16", scales=(1e-4, 2e-4, 1e-3)),
    "int16_transposed": _layer(
        dtype="int16", adjoint=(True, True), scales=(1e-4, 2e-4, 1e-5), depth=20
    ),
    "int16_by_int8": _layer(
        dtype="int16", right_dtype="int8", scales=(1e-4, 0.02, 1e-3), constant=True, depth=600
    ),
    "float": _layer(dtype="float32"),
    "float_transposed": _layer(dtype="float32", adjoint=(True, True)),
}


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer, 1e-4 if layer.output.dtype == "float32" else 0.0)


_small = st.integers(1, 6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rows=_small,
    depth=_small,
    columns=_small,
    batches=st.sampled_from([((), ()), ((2,), (1,)), ((1, 2), (3, 2)), ((2,), ())]),
    adjoint=st.tuples(st.booleans(), st.booleans()),
    zero_points=st.tuples(cases.zero_point, cases.zero_point, cases.zero_point),
    scales=st.tuples(cases.scale, cases.scale, cases.scale),
)
def test_any_layer(**fields: object) -> None:
    cases.assert_is_litert(_layer(**fields))  # type: ignore[arg-type]


def test_odd_nodes_are_refused() -> None:
    node = _layer().node()
    a, b = node.inputs
    assert a is not None and b is not None
    flat = replace(b, shape=(40,))
    cases.assert_refused(OPERATOR, replace(node, inputs=(a, flat)), "operands of")
    short = replace(b, shape=(2, 4, 4))
    cases.assert_refused(OPERATOR, replace(node, inputs=(a, short)), "have no product")
    many = replace(b, shape=(3, 5, 4))
    cases.assert_refused(OPERATOR, replace(node, inputs=(a, many)), "have no product")
    mixed = replace(b, dtype="float32")
    cases.assert_refused(OPERATOR, replace(node, inputs=(a, mixed)), "tensors of int8 and float32")
    bare = replace(b, quantization=None)
    cases.assert_refused(OPERATOR, replace(node, inputs=(a, bare)), "without a scale")
