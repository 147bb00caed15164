"""SUB against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import binary_cases
import layer_cases as cases
import numpy as np
import pytest
from hypothesis import assume, given, settings
from layer_cases import Layer, Operand

from tvmtiny.ops import Node, Oracle

OPERATOR = "SUB"
CASES = binary_cases.table(OPERATOR, scale=0.06)

_POWERS = Operand((9,), "int16", 2.0**-12)
CASES["int16_powers_of_two"] = Layer(
    OPERATOR,
    (replace(_POWERS, scale=2.0**-15), _POWERS),
    _POWERS,
    {"pot_scale_int16": True},
)


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(fields=binary_cases.fields)
def test_any_layer(fields: dict[str, Any]) -> None:
    layer = binary_cases.drawn_layer(OPERATOR, fields)
    assume(not any("output scale" in reason for reason in cases.problems(layer)))
    cases.assert_is_litert(layer)


def test_tflm_is_litert() -> None:
    layer = CASES["relu_n1_to_1"]
    for inputs in cases.input_sets(layer):
        litert, tflm = (cases.reference(layer, inputs, oracle) for oracle in Oracle)
        np.testing.assert_array_equal(litert, tflm)


@pytest.mark.parametrize(("node", "reason"), binary_cases.REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
