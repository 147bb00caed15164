"""ADD against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.ops import layer_cases as cases
from tests.ops.layer_cases import Layer, Operand, random_constant
from tvmtiny.ops import Node, Oracle, Quantization, Tensor

OPERATOR = "ADD"
_SHAPE = (1, 4, 5, 6)
_A = Operand(_SHAPE, scale=0.05, zero_point=-3)
_B = Operand(_SHAPE, scale=0.02, zero_point=7)
_Y = Operand(_SHAPE, scale=0.06, zero_point=-11)


def _layer(a: Operand = _A, b: Operand = _B, y: Operand = _Y, activation: str = "NONE") -> Layer:
    return Layer(OPERATOR, (a, b), y, {"fused_activation_function": activation})


def _float(layer: Layer) -> Layer:
    a, b = (replace(operand, dtype="float32") for operand in layer.inputs)
    return replace(layer, inputs=(a, b), output=replace(layer.output, dtype="float32"))


_INT8 = {
    "same_shape": _layer(),
    "relu": _layer(activation="RELU"),
    "relu6": _layer(activation="RELU6", y=replace(_Y, zero_point=-128)),
    "relu_n1_to_1": _layer(activation="RELU_N1_TO_1"),
    "one_channel_vector": _layer(b=replace(_B, shape=(6,))),
    "both_sides_broadcast": _layer(replace(_A, shape=(4, 1, 6)), replace(_B, shape=(1, 1, 5, 1))),
    "scalar": _layer(b=replace(_B, shape=())),
    "two_scalars": _layer(*(replace(o, shape=()) for o in (_A, _B, _Y))),
    "one_element": _layer(b=replace(_B, shape=(1, 1, 1, 1))),
    "constant_right": _layer(b=random_constant((6,), scale=0.03)),
    "constant_left": _layer(a=random_constant(_SHAPE, scale=0.03, zero_point=5)),
    "constant_scalar": _layer(b=random_constant((), scale=0.03)),
    "rank_1": _layer(*(replace(o, shape=(9,)) for o in (_A, _B, _Y))),
    "rank_5": _layer(*(replace(o, shape=(2, 1, 2, 3, 2)) for o in (_A, _B, _Y))),
    "equal_scales": _layer(replace(_A, scale=0.06), replace(_B, scale=0.06)),
    "far_scales": _layer(replace(_A, scale=1e-6), replace(_B, scale=0.5)),
    "power_of_two_scales": _layer(replace(_A, scale=0.25), replace(_B, scale=0.03125)),
    "zero_points_at_ends": _layer(replace(_A, zero_point=-128), replace(_B, zero_point=127)),
}
CASES = _INT8 | {
    f"float_{name}": _float(_INT8[name])
    for name in ("same_shape", "relu6", "relu_n1_to_1", "both_sides_broadcast", "constant_left")
}


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


broadcast = st.lists(
    st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), min_size=1, max_size=5
)
fields = st.fixed_dictionaries(
    {
        "dimensions": broadcast,
        "scales": st.tuples(cases.scale, cases.scale, cases.scale),
        "zero_points": st.tuples(cases.zero_point, cases.zero_point, cases.zero_point),
        "activation": cases.activation,
    }
)


def drawn_layer(operator: str, fields: dict[str, Any]) -> Layer:
    """Build an int8 layer of two operands from `fields`; either may be 1 in any dimension."""
    dimensions = fields["dimensions"]
    a = tuple(1 if left else d for d, left, _ in dimensions)
    b = tuple(1 if right else d for d, _, right in dimensions)
    shapes = a, b, np.broadcast_shapes(a, b)
    operands = [
        Operand(shape, "int8", scale, zero)
        for shape, scale, zero in zip(shapes, fields["scales"], fields["zero_points"], strict=True)
    ]
    options = {"fused_activation_function": fields["activation"]}
    return Layer(operator, tuple(operands[:2]), operands[2], options)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(fields=fields)
def test_any_layer(fields: dict[str, Any]) -> None:
    layer = drawn_layer(OPERATOR, fields)
    assume(not any("output scale" in reason for reason in cases.problems(layer)))
    cases.assert_is_litert(layer)


def test_tflm_is_litert() -> None:
    layer = CASES["relu_n1_to_1"]
    for inputs in cases.input_sets(layer):
        litert, tflm = (cases.reference(layer, inputs, oracle) for oracle in Oracle)
        np.testing.assert_array_equal(litert, tflm)


_Q = Quantization((0.5,), (0,))
X = Tensor(0, "x", (1, 4, 4, 2), "int8", _Q)
Y = Tensor(1, "y", (1, 4, 4, 2), "int8", _Q)


def _node(x: Tensor | None = X, other: Tensor | None = X, y: Tensor = Y, **options: Any) -> Node:
    return Node(0, OPERATOR, 1, (x, other), (y,), options)


REFUSED = [
    (Node(0, OPERATOR, 1, (), (Y,)), "0 inputs"),
    (Node(0, OPERATOR, 1, (X, X), ()), "0 outputs"),
    (Node(0, OPERATOR, 1, (X, X, X), (Y,)), "3 inputs"),
    (_node(other=None), "1 inputs"),
    (_node(replace(X, dtype="float32")), "float32 and int8"),
    (_node(replace(X, quantization=None)), "without a scale"),
    (_node(replace(X, quantization=Quantization((0.0,), (0,)))), "not positive"),
    (_node(replace(X, quantization=Quantization((0.1, 0.2), (0, 0), 3))), "per channel"),
    (_node(replace(X, shape=(3, 2))), "do not broadcast"),
    (_node(y=replace(Y, shape=(1, 4, 4, 1))), "the output is"),
    (_node(fused_activation_function="TANH"), "TANH"),
]
_TINY = replace(Y, quantization=Quantization((1e-7,), (0,)))


@pytest.mark.parametrize(("node", "reason"), [*REFUSED, (_node(y=_TINY), "output scale")])
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
