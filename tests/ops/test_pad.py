"""PAD against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Node, Quantization, Tensor

OPERATOR = "PAD"


def _layer(
    shape: tuple[int, ...],
    pairs: list[tuple[int, int]],
    dtype: str = "int8",
    paddings_dtype: str = "int32",
    zero_point: int = -7,
) -> Layer:
    padded = tuple(a + d + b for d, (a, b) in zip(shape, pairs, strict=True))
    x = Operand(shape, dtype, zero_point=zero_point)
    paddings = numbers(pairs, paddings_dtype)
    return Layer(OPERATOR, (x, paddings), replace(x, shape=padded), {})


_IMAGE = (1, 4, 5, 3)
CASES = {
    "image": _layer(_IMAGE, [(0, 0), (1, 2), (3, 1), (0, 0)]),
    "image_before_only": _layer(_IMAGE, [(0, 0), (1, 0), (1, 0), (0, 0)]),
    "image_after_only": _layer(_IMAGE, [(0, 0), (0, 1), (0, 1), (0, 0)]),
    "all_dimensions": _layer(_IMAGE, [(1, 0), (2, 1), (0, 2), (1, 1)]),
    "nothing": _layer(_IMAGE, [(0, 0)] * 4),
    "rank_1": _layer((3,), [(2, 1)]),
    "rank_5": _layer((1, 2, 1, 2, 2), [(0, 0), (1, 1), (0, 1), (1, 0), (0, 2)]),
    "int64_paddings": _layer((2, 3), [(1, 1), (0, 2)], paddings_dtype="int64"),
    "zero_point_low": _layer(_IMAGE, [(0, 0), (1, 1), (1, 1), (0, 0)], zero_point=-128),
    "zero_point_high": _layer(_IMAGE, [(0, 0), (1, 1), (1, 1), (0, 0)], zero_point=127),
    "float_image": _layer(_IMAGE, [(0, 0), (1, 2), (3, 1), (0, 0)], "float32"),
    "float_rank_2": _layer((2, 3), [(1, 0), (2, 2)], "float32"),
}


for _name in ("input", "output"):
    _layer_with_scales = _layer((2, 3), [(1, 0), (2, 2)], zero_point=-7)
    _x, *_rest = _layer_with_scales.inputs
    CASES[f"{_name}_without_scale"] = replace(
        _layer_with_scales,
        inputs=(replace(_x, scale=None), *_rest) if _name == "input" else (_x, *_rest),
        output=replace(_layer_with_scales.output, scale=None if _name == "output" else 0.05),
    )


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


_pairs = st.lists(
    st.tuples(st.integers(1, 4), st.tuples(st.integers(0, 3), st.integers(0, 3))),
    min_size=1,
    max_size=5,
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(dimensions=_pairs, dtype=st.sampled_from(["int8", "float32"]), zero=cases.zero_point)
def test_any_layer(dimensions: list[tuple[int, tuple[int, int]]], dtype: str, zero: int) -> None:
    shape, pairs = tuple(d for d, _ in dimensions), [p for _, p in dimensions]
    cases.assert_is_litert(_layer(shape, pairs, dtype, zero_point=zero))


def test_border_is_the_outputs_zero_point() -> None:
    layer = _layer((2,), [(1, 1)])
    layer = replace(layer, output=replace(layer.output, zero_point=9))
    cases.assert_is_litert(layer)


_Q = Quantization((0.5,), (0,))
_X = Tensor(0, "x", (2, 2), "int8", _Q)
_Y = Tensor(1, "y", (4, 2), "int8", _Q)
_P = Tensor(2, "p", (2, 2), "int32", data=np.array([[1, 1], [0, 0]], np.int32))


def _node(x: Tensor = _X, paddings: Tensor | None = _P, y: Tensor = _Y) -> Node:
    return Node(0, OPERATOR, 1, (x, paddings), (y,))


_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_Y,)), "0 inputs"),
    (_node(paddings=None), "1 inputs"),
    (_node(paddings=replace(_P, data=None)), "run time"),
    (_node(paddings=replace(_P, dtype="float32")), "float32 paddings"),
    (_node(paddings=replace(_P, shape=(4,), data=_P.data.reshape(4))), "shape [4]"),
    (_node(paddings=replace(_P, data=-_P.data)), "negative"),
    (_node(replace(_X, shape=())), "0 dimensions"),
    (_node(replace(_X, shape=(1,) * 6)), "6 dimensions"),
    (_node(y=replace(_Y, shape=(3, 2))), "the output is"),
    (_node(y=replace(_Y, dtype="float32")), "int8 and float32"),
    (_node(y=replace(_Y, quantization=Quantization((0.5,), (300,)))), "zero point 300"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
