"""RESHAPE against LiteRT's reference kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import layer_cases as cases
import pytest
from hypothesis import given, settings
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Alias, Node, Oracle, Quantization, Tensor, find_operator

OPERATOR = "RESHAPE"
FAMILY = "movement"


def _layer(
    inputs: tuple[Operand, ...], output: Operand, options: Mapping[str, Any] | None = None
) -> Layer:
    return Layer(OPERATOR, inputs, output, options, version=1)


_X = Operand((1, 4, 3, 2))
_Y = Operand((4, 6))
_FLOAT = replace(_X, dtype="float32"), replace(_Y, dtype="float32")
CASES = {
    "options": _layer((_X,), _Y, {"new_shape": [4, 6]}),
    "inferred_by_options": _layer((_X,), _Y, {"new_shape": [-1, 6]}),
    "shape_tensor": _layer((_X, numbers([4, 6])), _Y),
    "inferred_by_shape_tensor": _layer((_X, numbers([4, -1])), _Y),
    "both": _layer((_X, numbers([4, -1])), _Y, {"new_shape": [4, 6]}),
    "to_scalar": _layer(
        (Operand((1, 1)),),
        Operand(()),
        {"new_shape": []},
    ),
    "same_shape": _layer((_X, numbers([1, 4, 3, 2])), _X),
    "float": _layer((_FLOAT[0], numbers([4, 6])), _FLOAT[1]),
}


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(shape=cases.shape)
def test_any_layer(shape: tuple[int, ...]) -> None:
    x = Operand(shape)
    y = replace(x, shape=(x.shape[0], -1 if len(shape) > 1 else 1))
    count = 1
    for extent in shape[1:]:
        count *= extent
    layer = _layer((x, numbers(y.shape)), replace(x, shape=(shape[0], count)))
    cases.assert_is_litert(layer)


def test_is_an_alias() -> None:
    operator, node = find_operator(OPERATOR), CASES["options"].node()
    assert operator is not None
    assert operator.compute(node, Oracle.LITERT) == Alias(node.input(0))


_Q = Quantization((0.5,), (0,))
_INPUT = Tensor(0, "x", (2, 3), "int8", _Q)
_OUTPUT = Tensor(1, "y", (6,), "int8", _Q)
_REFUSED = [
    (Node(0, OPERATOR, 1, (), (_OUTPUT,)), "0 inputs"),
    (Node(0, OPERATOR, 1, (_INPUT,), ()), "0 outputs"),
    (Node(0, OPERATOR, 1, (_INPUT,), (replace(_OUTPUT, shape=(5,)),)), "5"),
    (Node(0, OPERATOR, 1, (_INPUT,), (replace(_OUTPUT, dtype="uint8"),)), "uint8 output"),
    (_layer((_X,), _Y, {"new_shape": [6, 4]}).node(), "but the new shape [6, 4]"),
    (_layer((_X,), _Y, {"new_shape": [24]}).node(), "but the new shape [24]"),
    (_layer((_X, numbers([6, -1])), _Y, {"new_shape": [4, 6]}).node(), "new shape [6, -1]"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
