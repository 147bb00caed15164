"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR against LiteRT's reference kernels."""

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

FAMILY = "resizing"
FLOAT_TOLERANCE = 1e-6

_NEAREST, _BILINEAR = "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"


def _layer(
    operator: str,
    size: tuple[int, int],
    wanted: tuple[int, int],
    dtype: str = "int8",
    channels: int = 3,
    mode: str = "",
) -> Layer:
    x = Operand((2, *size, channels), dtype)
    options = {
        "align_corners": mode == "align_corners",
        "half_pixel_centers": mode == "half_pixel_centers",
    }
    y = replace(x, shape=(2, *wanted, channels))
    return Layer(operator, (x, numbers(wanted)), y, options, 3)


def _table(operator: str) -> dict[str, Layer]:
    return {
        "twice": _layer(operator, (3, 2), (6, 4)),
        "half": _layer(operator, (4, 6), (2, 3)),
        "odd": _layer(operator, (3, 4), (5, 7)),
        "corners": _layer(operator, (3, 4), (5, 7), mode="align_corners"),
        "centers": _layer(operator, (3, 4), (7, 3), mode="half_pixel_centers"),
        "one_pixel": _layer(operator, (3, 4), (1, 1), mode="align_corners"),
        "same": _layer(operator, (2, 3), (2, 3)),
        "many_channels": _layer(operator, (2, 2), (4, 4), channels=9),
        "int16": _layer(operator, (3, 2), (4, 5), "int16"),
        "float": _layer(operator, (3, 2), (6, 5), "float32"),
        "float_centers": _layer(operator, (3, 2), (6, 5), "float32", mode="half_pixel_centers"),
    }


TABLES = {name: _table(name) for name in (_NEAREST, _BILINEAR)}
_EVERY = {f"{o}/{name}": layer for o, table in TABLES.items() for name, layer in table.items()}


def _check(layer: Layer) -> None:
    exact = layer.output.dtype != "float32" or layer.operator == _NEAREST
    cases.assert_is_litert(layer, 0.0 if exact else 1e-5)


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    _check(layer)


_size = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    operator=st.sampled_from([_NEAREST, _BILINEAR]),
    size=_size,
    wanted=_size,
    dtype=st.sampled_from(["int8", "float32"]),
    mode=st.sampled_from(["", "align_corners", "half_pixel_centers"]),
)
def test_any_layer(**fields: Any) -> None:
    _check(_layer(**fields))


_X = Tensor(0, "x", (1, 2, 2, 3), "int8", Quantization((0.5,), (0,)))
_Y = replace(_X, index=1, shape=(1, 4, 4, 3))
_SIZE = Tensor(2, "size", (2,), "int32", data=np.array([4, 4], np.int32))


def _node(x: Tensor = _X, size: Tensor | None = _SIZE, y: Tensor = _Y, **options: bool) -> Node:
    return Node(0, _BILINEAR, 1, (x, size), (y,), options)


_REFUSED = [
    (_node(size=None), "1 inputs"),
    (_node(size=replace(_SIZE, data=None)), "run time"),
    (_node(replace(_X, shape=(2, 2, 3))), "resized to"),
    (_node(size=replace(_SIZE, data=np.array([0, 4], np.int32))), "resized to"),
    (_node(y=_X), "the output is"),
    (_node(align_corners=True, half_pixel_centers=True), "align_corners with"),
]


@pytest.mark.parametrize("operator", [_NEAREST, _BILINEAR])
@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(operator: str, node: Node, reason: str) -> None:
    cases.assert_refused(operator, replace(node, operator=operator), reason)
