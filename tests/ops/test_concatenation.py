"""CONCATENATION against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, random_constant

from tvmtiny.ops import Node, Quantization, Tensor

OPERATOR = "CONCATENATION"


def _layer(
    shape: tuple[int, ...],
    axis: int,
    sizes: tuple[int, ...],
    dtype: str = "int8",
    constants: tuple[int, ...] = (),
) -> Layer:
    position = axis % len(shape)

    def with_size(size: int) -> tuple[int, ...]:
        return (*shape[:position], size, *shape[position + 1 :])

    parts = [
        random_constant(with_size(size), dtype)
        if i in constants
        else Operand(with_size(size), dtype)
        for i, size in enumerate(sizes)
    ]
    options = {"axis": axis, "fused_activation_function": "NONE"}
    return Layer(OPERATOR, tuple(parts), Operand(with_size(sum(sizes)), dtype), options)


_IMAGE = (2, 3, 4, 5)
CASES = {
    "channels": _layer(_IMAGE, 3, (5, 2)),
    "last_of_three": _layer(_IMAGE, -1, (1, 2, 3)),
    "rows": _layer(_IMAGE, 1, (3, 1)),
    "columns": _layer(_IMAGE, -2, (2, 2)),
    "batch": _layer(_IMAGE, 0, (2, 1)),
    "one_input": _layer(_IMAGE, 3, (5,)),
    "many_inputs": _layer((2, 9), 1, tuple(range(1, 13))),
    "constant_first": _layer(_IMAGE, 3, (3, 5), constants=(0,)),
    "constant_last": _layer(_IMAGE, 2, (3, 5), constants=(1,)),
    "rank_1": _layer((4,), 0, (3, 4, 1)),
    "rank_5": _layer((1, 2, 2, 3, 2), 3, (2, 3)),
    "float_channels": _layer(_IMAGE, 3, (5, 2), "float32"),
    "float_constant": _layer(_IMAGE, 1, (5, 2, 1), "float32", constants=(1,)),
}


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    shape=cases.shape,
    axis=st.integers(-4, 3),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6).map(tuple),
    dtype=st.sampled_from(["int8", "float32"]),
)
def test_any_layer(shape: tuple[int, ...], axis: int, sizes: tuple[int, ...], dtype: str) -> None:
    axis = max(-len(shape), min(axis, len(shape) - 1))
    cases.assert_is_litert(_layer(shape, axis, sizes, dtype))


_Q = Quantization((0.5,), (0,))
_X = Tensor(0, "x", (2, 3), "int8", _Q)
_Y = Tensor(1, "y", (2, 6), "int8", _Q)


def _node(x: Tensor | None = _X, y: Tensor = _Y, axis: int = 1, **options: Any) -> Node:
    return Node(0, OPERATOR, 1, (_X, x), (y,), {"axis": axis, **options})


_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_Y,)), "missing"),
    (_node(None), "missing"),
    (Node(0, OPERATOR, 1, (_X, _X), ()), "missing"),
    (_node(replace(_X, dtype="float32")), "int8 and float32"),
    (_node(fused_activation_function="RELU"), "activation RELU"),
    (_node(replace(_X, quantization=Quantization((0.25,), (0,)))), "scale 0.25"),
    (_node(replace(_X, quantization=Quantization((0.5,), (1,)))), "zero point 1"),
    (_node(replace(_X, quantization=None)), "without a scale"),
    (_node(axis=2), "axis 2"),
    (_node(replace(_X, shape=(3, 3))), "inputs of"),
    (_node(replace(_X, shape=(2,))), "inputs of"),
    (_node(replace(_X, shape=())), "inputs of"),
    (_node(y=replace(_Y, shape=(2, 7))), "the output is"),
    (Node(0, OPERATOR, 1, (replace(_X, shape=()),), (_Y,)), "0 dimensions"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
