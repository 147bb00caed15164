"""L2_POOL_2D against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from litert_check import assert_reference_is_litert
from pooling_cases import Pool, any_pool

from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Oracle, find_operator

OPERATOR = "L2_POOL_2D"
FLOAT_TOLERANCE = 1e-5

_PLAIN = Pool(OPERATOR, dtype="float32", version=1)
CASES = {
    "valid": _PLAIN,
    "small": replace(_PLAIN, size=(4, 4), channels=2),
    "same": replace(_PLAIN, padding="SAME", kernel=(3, 3), stride=(1, 1)),
    "gaps": replace(_PLAIN, kernel=(1, 2), stride=(3, 3)),
    "relu6": replace(_PLAIN, activation="RELU6"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reference_is_litert(case: Pool) -> None:
    assert_reference_is_litert(case.model())


@settings(max_examples=15, deadline=None, derandomize=True)
@given(fields=any_pool)
def test_any_layer(fields: dict[str, Any]) -> None:
    case = replace(_PLAIN, **{**fields, "dtype": "float32"})
    assume(min(case.output_shape()) > 0)
    assert_reference_is_litert(case.model())


def test_a_constant_is_its_own_mean() -> None:
    operator = find_operator(OPERATOR)
    assert operator is not None
    node = read_graph(_PLAIN.model(), "test").nodes[0]
    x = np.full(node.input(0).shape, -3, np.float32)
    np.testing.assert_allclose(operator.reference(node, [x], Oracle.LITERT)[0], 3)
