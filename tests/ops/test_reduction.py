"""Reductions, and the indices of extremes, against LiteRT's reference kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Node, Quantization, Tensor

FAMILY = "reduction"
FLOAT_TOLERANCE = 1e-5

_IMAGE = (2, 3, 4, 5)


def _layer(
    operator: str,
    shape: tuple[int, ...],
    axes: Any,
    keep_dims: bool = True,
    dtype: str = "int8",
    scales: tuple[float, float] = (0.05, 0.05),
    zero_points: tuple[int, int] = (-5, -5),
    **fields: Any,
) -> Layer:
    reduced = {axis % len(shape) for axis in np.array(axes, int).reshape(-1).tolist()}
    kept = [1 if i in reduced else d for i, d in enumerate(shape) if keep_dims or i not in reduced]
    x = Operand(shape, dtype, scales[0], zero_points[0], **fields)
    y = Operand(tuple(kept), dtype, scales[1], zero_points[1])
    version = 1 if dtype == "bool" else 2
    return Layer(operator, (x, numbers(axes)), y, {"keep_dims": keep_dims}, version)


def _index(
    operator: str, shape: tuple[int, ...], axis: int, dtype: str = "int8", result: str = "int32"
) -> Layer:
    at = axis % len(shape)
    y = Operand((*shape[:at], *shape[at + 1 :]), result)
    options = {"output_type": {"int32": 2, "int64": 4}[result]}
    return Layer(operator, (Operand(shape, dtype), numbers(axis)), y, options, 1)


def _reductions(operator: str, *dtypes: str) -> dict[str, Layer]:
    return {
        "image": _layer(operator, _IMAGE, [1, 2], dtype=dtypes[0]),
        "without_dims": _layer(operator, _IMAGE, [-1, 0], keep_dims=False, dtype=dtypes[0]),
        "everything": _layer(operator, (3, 4), [0, 1], keep_dims=False, dtype=dtypes[0]),
        **{dtype: _layer(operator, (2, 3, 4), [1], dtype=dtype) for dtype in dtypes[1:]},
    }


def _indices(operator: str) -> dict[str, Layer]:
    return {
        "channels": _index(operator, _IMAGE, -1),
        "rows": _index(operator, _IMAGE, 1, result="int64"),
        "to_scalar": _index(operator, (7,), 0),
        "float": _index(operator, (2, 5), 1, "float32"),
        "int32": _index(operator, (3, 4), 0, "int32"),
    }


TABLES = {
    "SUM": {
        "int8": _layer("SUM", _IMAGE, [1, 2], scales=(0.05, 0.3)),
        "channels": _layer("SUM", _IMAGE, [3], False, scales=(0.05, 0.11), zero_points=(-128, 3)),
        "same_scale": _layer("SUM", _IMAGE, [1], scales=(0.05, 0.05)),
        "int8_everything": _layer(
            "SUM", (3, 4), [0, 1], False, scales=(0.1, 0.7), zero_points=(9, 1)
        ),
        "large": _layer("SUM", (64, 50, 2), [0, 1], scales=(0.1, 21.7), zero_points=(9, 1)),
        "halves": _layer("SUM", (2, 40), [0], scales=(0.25, 0.5), zero_points=(0, 0)),
        "image": _layer("SUM", _IMAGE, [1, 2], dtype="float32"),
        "everything": _layer("SUM", (3, 4), [0, 1], keep_dims=False, dtype="float32"),
        "int16": _layer("SUM", _IMAGE, [1, 2], True, "int16", (3e-4, 1e-3), (0, 0)),
        "int16_saturates": _layer("SUM", (2, 9), [1], False, "int16", (3e-4, 3e-4), (0, 0)),
        "int32": _layer("SUM", (2, 3, 4), [1], dtype="int32"),
        "int64": _layer("SUM", (2, 3, 4), [0, 2], keep_dims=False, dtype="int64"),
    },
    "REDUCE_MAX": _reductions("REDUCE_MAX", "int8", "float32", "int32", "int64"),
    "REDUCE_MIN": _reductions("REDUCE_MIN", "int8", "float32", "int32", "int64"),
    "REDUCE_PROD": {
        "float": _layer("REDUCE_PROD", (2, 5, 3), [1], dtype="float32", limits=(-3, 3)),
        "int32": _layer("REDUCE_PROD", (2, 5, 3), [1, 2], dtype="int32", limits=(-3, 3)),
        "int8": _layer("REDUCE_PROD", (2, 4, 3), [1], scales=(0.02, 0.03)),
        "int8_apart": _layer("REDUCE_PROD", (3, 2, 2, 2), [3, 1], False, scales=(0.03, 0.05)),
        "int8_everything": _layer("REDUCE_PROD", (3, 2), [0, 1], scales=(0.01, 0.01)),
        "int16": _layer("REDUCE_PROD", (4, 5), [1], True, "int16", (4e-5, 1e-4), (0, 0)),
    },
    "REDUCE_ANY": _reductions("REDUCE_ANY", "bool"),
    "REDUCE_ALL": _reductions("REDUCE_ALL", "bool"),
    "ARG_MAX": _indices("ARG_MAX"),
    "ARG_MIN": _indices("ARG_MIN"),
}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


def _check(layer: Layer) -> None:
    exact = layer.operator not in ("SUM", "REDUCE_PROD") or layer.output.dtype != "float32"
    cases.assert_is_litert(layer, 0.0 if exact else 1e-5)


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    _check(layer)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    operator=st.sampled_from(["REDUCE_MAX", "REDUCE_MIN"]),
    shape=cases.shape,
    chosen=st.sets(st.integers(0, 3), min_size=1),
    keep_dims=st.booleans(),
)
def test_any_extreme(
    operator: str, shape: tuple[int, ...], chosen: set[int], keep_dims: bool
) -> None:
    axes = sorted({axis % len(shape) for axis in chosen})
    _check(_layer(operator, shape, axes, keep_dims))


_X = Tensor(0, "x", (4, 3), "int8", Quantization((0.5,), (0,)))


def _node(
    operator: str,
    axes: Any,
    shape: Sequence[int],
    x: Tensor = _X,
    dtype: str = "int8",
    **options: Any,
) -> Node:
    data = None if axes is None else np.array(axes, np.int32)
    constant = Tensor(5, "axes", np.shape(axes) if axes is not None else (1,), "int32", data=data)
    y = replace(x, index=10, shape=tuple(shape), dtype=dtype)
    return Node(0, operator, 1, (x, constant), (y,), options)


_OTHER = replace(_X, quantization=Quantization((0.25,), (0,)))
_REFUSED = [
    (_node("SUM", None, (4,)), "run time"),
    (_node("SUM", [2], (4,)), "axis 2"),
    (_node("SUM", [1], (4,), dtype="int32"), "int8 and int32"),
    (_node("SUM", [1], (4,), keep_dims=True), "the output is"),
    (_node("SUM", [1], (4,), replace(_X, quantization=None)), "without a scale"),
    (_node("REDUCE_MAX", [1], (3,)), "the output is"),
    (_node("ARG_MAX", None, (4,)), "run time"),
    (_node("ARG_MAX", [0, 1], (4,)), "2 numbers as axis"),
    (_node("ARG_MAX", [1], (3,), dtype="int32"), "the output is"),
    (_node("ARG_MIN", [1], (4,)), "int8 output"),
    (_node("ARG_MIN", [1], (4,), replace(_X, dtype="int16"), dtype="int32"), "int16 input"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(node.operator, node, reason)


def test_extremes_are_not_rescaled() -> None:
    node = _node("REDUCE_MAX", [1], (4,))
    node = replace(node, inputs=(_OTHER, node.inputs[1]))
    cases.assert_refused("REDUCE_MAX", node, "quantized differently")
