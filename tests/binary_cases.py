"""Layers shared by the tests of ADD, SUB and MUL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import layer_cases as cases
import numpy as np
from hypothesis import strategies as st
from layer_cases import Layer, Operand, random_constant

from tvmtiny.ops import Node, Quantization, Tensor

_SHAPE = (1, 4, 5, 6)
_A = Operand(_SHAPE, scale=0.05, zero_point=-3)
_B = Operand(_SHAPE, scale=0.02, zero_point=7)
_Y = Operand(_SHAPE, scale=0.06, zero_point=-11)


def _layer(a: Operand = _A, b: Operand = _B, y: Operand = _Y, activation: str = "NONE") -> Layer:
    return Layer("ADD", (a, b), y, {"fused_activation_function": activation})


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


def _other(layer: Layer, dtype: str) -> Layer:
    """Return `layer` on plain or symmetric integers, with its output in the middle."""
    a, b, y = (
        replace(o, dtype=dtype, zero_point=0, value=None) for o in (*layer.inputs, layer.output)
    )
    return replace(layer, inputs=(a, b), output=y)


_TABLE = (
    _INT8
    | {
        f"float_{name}": _float(_INT8[name])
        for name in ("same_shape", "relu6", "relu_n1_to_1", "both_sides_broadcast", "constant_left")
    }
    | {
        f"{dtype}_{name}": _other(_INT8[name], dtype)
        for dtype in ("int16", "int32", "int64")
        for name in ("rank_1", "one_channel_vector", "relu6")
        if (dtype, name) != ("int64", "relu6")
    }
)


_dimensions = st.lists(
    st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), min_size=1, max_size=5
)
fields = st.fixed_dictionaries(
    {
        "dimensions": _dimensions,
        "scales": st.tuples(cases.scale, cases.scale, cases.scale),
        "zero_points": st.tuples(cases.zero_point, cases.zero_point, cases.zero_point),
        "activation": cases.activation,
    }
)


def drawn_layer(operator: str, fields: dict[str, Any]) -> Layer:
    """Build an int8 layer of two operands from `fields`; either may have dimensions of 1."""
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


_Q = Quantization((0.5,), (0,))
X = Tensor(0, "x", (1, 4, 4, 2), "int8", _Q)
Y = Tensor(1, "y", (1, 4, 4, 2), "int8", _Q)


def _node(x: Tensor | None = X, other: Tensor | None = X, y: Tensor = Y, **options: Any) -> Node:
    return Node(0, "ADD", 1, (x, other), (y,), options)


REFUSED = [
    (Node(0, "ADD", 1, (), (Y,)), "0 inputs"),
    (Node(0, "ADD", 1, (X, X), ()), "0 outputs"),
    (Node(0, "ADD", 1, (X, X, X), (Y,)), "3 inputs"),
    (_node(other=None), "1 inputs"),
    (_node(replace(X, dtype="float32")), "float32 and int8"),
    (_node(replace(X, quantization=None)), "without a scale"),
    (_node(replace(X, quantization=Quantization((0.0,), (0,)))), "not positive"),
    (_node(replace(X, quantization=Quantization((0.5,), (128,)))), "zero point beyond int8"),
    (_node(replace(X, quantization=Quantization((0.1, 0.2), (0, 0), 3))), "per channel"),
    (_node(replace(X, shape=(3, 2))), "do not broadcast"),
    (_node(y=replace(Y, shape=(1, 4, 4, 1))), "the output is"),
    (_node(fused_activation_function="TANH"), "TANH"),
]


def table(operator: str, scale: float) -> dict[str, Layer]:
    """Build the case table of one of the two operators, whose output has `scale`."""
    return {
        name: replace(layer, operator=operator, output=replace(layer.output, scale=scale))
        for name, layer in _TABLE.items()
    }


def node(y: Tensor = Y) -> Node:
    """Build a node that is accepted if its output is right."""
    return _node(y=y)
