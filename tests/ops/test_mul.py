"""MUL against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.ops import layer_cases as cases
from tests.ops import test_add
from tests.ops.layer_cases import Layer
from tvmtiny.ops import Node, Oracle, Quantization

OPERATOR = "MUL"
CASES = {
    name: replace(layer, operator=OPERATOR, output=replace(layer.output, scale=0.1))
    for name, layer in test_add.CASES.items()
}
CASES["output_saturates"] = replace(
    CASES["same_shape"], output=replace(CASES["same_shape"].output, scale=1e-5)
)


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(fields=test_add.fields)
def test_any_layer(fields: dict[str, Any]) -> None:
    cases.assert_is_litert(test_add.drawn_layer(OPERATOR, fields))


def test_tflm_multiplies_scales_in_float64() -> None:
    rng = np.random.default_rng(0)
    shape = (256, 256)
    left = np.arange(-128, 128, dtype=np.int8)[:, None].repeat(256, axis=1)
    differing = 0
    for _ in range(20):
        scales = rng.uniform(0.01, 0.1, 3)
        a, b, y = (
            replace(o, shape=shape, scale=float(s))
            for o, s in zip(
                (*CASES["same_shape"].inputs, CASES["same_shape"].output), scales, strict=True
            )
        )
        layer = replace(CASES["same_shape"], inputs=(a, b), output=y)
        litert, tflm = (cases.reference(layer, [left, left.T], oracle) for oracle in Oracle)
        differing += int((litert != tflm).sum())
        assert np.abs(litert.astype(int) - tflm).max() <= 1
    assert differing > 0


_TINY = replace(test_add.Y, quantization=Quantization((1e-11,), (0,)))
_REFUSED = [
    *test_add.REFUSED,
    (Node(0, OPERATOR, 1, (test_add.X, test_add.X), (_TINY,)), "output scale"),
]


@pytest.mark.parametrize(("node", "reason"), _REFUSED)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(OPERATOR, node, reason)
