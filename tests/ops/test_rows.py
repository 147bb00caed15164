"""L2_NORMALIZATION and LOG_SOFTMAX against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import layer_cases as cases
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand

from tvmtiny.ops import Node, Quantization, Tensor

FAMILY = "rows"
FLOAT_TOLERANCE = 2e-6
_OUTPUTS = {"L2_NORMALIZATION": (1 / 128, 0), "LOG_SOFTMAX": (1 / 16, 127)}


def _layer(
    operator: str, shape: tuple[int, ...], dtype: str = "int8", scale: float = 0.1, zero: int = -3
) -> Layer:
    options = {"fused_activation_function": "NONE"} if operator == "L2_NORMALIZATION" else {}
    # Far from zero, float32 exponentials vanish in another order.
    limits = (-8.0, 8.0) if dtype == "float32" else None
    x = Operand(shape, dtype, scale, zero, limits=limits)
    return Layer(operator, (x,), Operand(shape, dtype, *_OUTPUTS[operator]), options, 1)


TABLES = {
    operator: {
        "rows": _layer(operator, (2, 3, 7)),
        "one_row": _layer(operator, (20,), scale=0.5, zero=127),
        "one_number": _layer(operator, (3, 1)),
        "small_scale": _layer(operator, (2, 9), scale=0.004, zero=-128),
        "float": _layer(operator, (3, 8), "float32"),
    }
    for operator in _OUTPUTS
}
_EVERY = {f"{name}-{key}": layer for name, table in TABLES.items() for key, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer, FLOAT_TOLERANCE if layer.output.dtype == "float32" else 0.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    operator=st.sampled_from(sorted(_OUTPUTS)),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 300)),
    scale=cases.scale,
    zero=cases.zero_point,
)
def test_any_int8(operator: str, shape: tuple[int, int], scale: float, zero: int) -> None:
    cases.assert_is_litert(_layer(operator, shape, "int8", scale, zero))


_X = Tensor(0, "x", (2, 3), "int8", Quantization((0.1,), (0,)))


@pytest.mark.parametrize("operator", _OUTPUTS)
def test_problems(operator: str) -> None:
    scale, zero = _OUTPUTS[operator]
    y = Tensor(1, "y", (2, 3), "int8", Quantization((scale,), (zero,)))
    for node, reason in (
        (Node(0, operator, 1, (_X, _X), (y,)), "2 inputs"),
        (Node(0, operator, 1, (_X,), (replace(y, shape=(6,)),)), "the output is"),
        (Node(0, operator, 1, (_X,), (replace(y, quantization=_X.quantization),)), "output scale"),
        (Node(0, operator, 1, (replace(_X, shape=()),), (replace(y, shape=()),)), "a scalar"),
    ):
        cases.assert_refused(operator, node, reason)
