"""MAX_POOL_2D against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from litert_check import assert_reference_is_litert
from pooling_cases import (
    Pool,
    any_pool,
    assert_refused,
    cases,
    parametrize_refused,
)

from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.oracle import run_litert

OPERATOR = "MAX_POOL_2D"
CASES = cases(OPERATOR)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reference_is_litert(case: Pool) -> None:
    assert_reference_is_litert(case.model())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(fields=any_pool)
def test_any_layer(fields: dict[str, Any]) -> None:
    case = replace(Pool(OPERATOR), **fields)
    assume(min(case.output_shape()) > 0)
    assert_reference_is_litert(case.model())


@parametrize_refused
def test_problems(node: Node, reason: str) -> None:
    assert_refused(OPERATOR, node, reason)


def test_minus_infinity_gives_the_lowest_float() -> None:
    case = Pool(OPERATOR, size=(2, 2), channels=1, dtype="float32")
    model, x = case.model(), np.full((1, 2, 2, 1), -np.inf, np.float32)
    operator = find_operator(OPERATOR)
    assert operator is not None
    node = read_graph(model, "test").nodes[0]
    expected = run_litert(model, [x])[node.output.index]
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(operator.reference(node, [x], Oracle.LITERT)[0], expected)
