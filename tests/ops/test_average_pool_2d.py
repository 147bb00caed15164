"""AVERAGE_POOL_2D against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from litert_check import assert_reference_is_litert
from pooling_cases import Pool, any_pool, assert_refused, cases, parametrize_refused

from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Oracle, find_operator

OPERATOR = "AVERAGE_POOL_2D"
#: Sums are computed in another order.
FLOAT_TOLERANCE = 1e-6
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


@pytest.mark.parametrize(
    ("values", "mean"),
    [((1, 2), 2), ((-1, -2), -2), ((0, 1), 1), ((0, -1), -1), ((-128, -127), -128), ((0, 0), 0)],
)
def test_halves_are_rounded_away_from_zero(values: tuple[int, int], mean: int) -> None:
    case = Pool(OPERATOR, size=(1, 2), channels=1, kernel=(1, 2), stride=(1, 1))
    operator = find_operator(OPERATOR)
    assert operator is not None
    x = np.array(values, np.int8).reshape(1, 1, 2, 1)
    node = read_graph(case.model(), "test").nodes[0]
    assert operator.reference(node, [x], Oracle.LITERT)[0].item() == mean
