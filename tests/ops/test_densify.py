"""DENSIFY, and sparse constants, against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import layer_cases as cases
import numpy as np
import pytest
from layer_cases import random_values
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.errors import ModelFormatError
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Tensor
from tvmtiny.oracle import run_litert

OPERATOR = "DENSIFY"
FAMILY = "numbers"


def _values(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    values = rng.integers(-9, 9, shape) * (rng.random(shape) < 0.3)
    return values.astype(dtype)


@dataclass(frozen=True, eq=False)
class _Sparse:
    value: np.ndarray
    order: tuple[int, ...]
    compressed: tuple[int, ...]
    blocks: tuple[tuple[int, int], ...] = ()

    def builder(self) -> tuple[ModelBuilder, int]:
        b = ModelBuilder()
        fields: dict[str, Any] = {"scale": 0.5} if self.value.dtype == np.int8 else {}
        x = b.sparse_constant(
            "x", self.value, self.order, self.compressed, dict(self.blocks), **fields
        )
        return b, x

    def model(self) -> bytes:
        b, x = self.builder()
        fields: dict[str, Any] = {"scale": 0.5} if self.value.dtype == np.int8 else {}
        y = b.tensor("y", self.value.shape, self.value.dtype.name, **fields)
        b.op("DENSIFY", [x], [y], {})
        return b.build([y])


CASES = {
    "rows": _Sparse(_values((5, 7)), (0, 1), (1,)),
    "int8": _Sparse(_values((5, 7), "int8"), (0, 1), (1,)),
    "columns": _Sparse(_values((5, 7)), (1, 0), (0,)),
    "both": _Sparse(_values((6, 4)), (0, 1), (0, 1)),
    "blocks": _Sparse(_values((6, 8)), (0, 1, 2), (1,), ((1, 4),)),
    "two_blocks": _Sparse(_values((6, 8)), (0, 1, 2, 3), (1,), ((0, 2), (1, 4))),
    "rank_4": _Sparse(_values((2, 3, 3, 4)), (0, 1, 2, 3), (3,)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values(case: _Sparse) -> None:
    np.testing.assert_array_equal(read_graph(case.model(), "m").tensors[0].data, case.value)


def test_halves_that_are_sparse() -> None:
    """A DENSIFY and a DEQUANTIZE before a dense layer generate no code of their own."""
    b, stored = replace(CASES["rows"], value=_values((5, 7), "float16")).builder()
    halves, weights = b.tensor("halves", (5, 7), "float16"), b.tensor("w", (5, 7), "float32")
    b.op("DENSIFY", [stored], [halves], {})
    b.op("DEQUANTIZE", [halves], [weights])
    x, y = b.input("x", (2, 7), "float32"), b.tensor("y", (2, 5), "float32")
    b.op("FULLY_CONNECTED", [x, weights, None], [y], {})
    model = tvmtiny.load(b.build([y]))
    assert [node.operator for node in model.graph.nodes] == ["FULLY_CONNECTED"]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_sparse_weights_of_a_dense_layer(dtype: str) -> None:
    case = _Sparse(_values((6, 32), dtype), (0, 1, 2), (1,), ((1, 16),))
    b, weights = case.builder()
    scaled = (lambda scale: {"scale": scale}) if dtype == "int8" else lambda _: {}
    x = b.input("x", (2, 32), dtype, **scaled(0.1))
    y = b.tensor("y", (2, 6), dtype, **scaled(7.0))
    bias = b.constant("bias", np.zeros(6, "int32" if dtype == "int8" else dtype))
    b.op("FULLY_CONNECTED", [x, weights, bias], [y], {}, 8)
    content = b.build([y])
    inputs = [random_values((2, 32), dtype, np.random.default_rng(3))]
    wanted = run_litert(content, inputs)[y]
    got = tvmtiny.load(content).reference(inputs)[y]
    np.testing.assert_allclose(got, wanted, 0, 1e-4 if dtype == "float32" else 0)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("traversalOrder", [0, 0], "do not match its dimensions"),
        ("dimMetadata", None, "do not match its dimensions"),
        ("blockMap", [9], "do not match its dimensions"),
        ("denseSize", 4, "does not fit the shape"),
        ("format", 7, "neither dense"),
        ("arrayIndices", None, "no indices"),
        ("values", 99, "beyond its dimension"),
        ("segments", 99, "do not fit its indices"),
    ],
)
def test_damaged_ones_are_refused(field: str, value: Any, reason: str) -> None:
    b, x = CASES["rows"].builder()
    sparsity = b._tensors[x].sparsity
    if hasattr(sparsity, field):
        setattr(sparsity, field, value)
    elif field == "denseSize":
        sparsity.dimMetadata[0].denseSize = value
    elif field == "values":
        sparsity.dimMetadata[1].arrayIndices.values[0] = value
    elif field == "segments":
        sparsity.dimMetadata[1].arraySegments.values[1] = value
    else:
        setattr(sparsity.dimMetadata[1], field, value)
        sparsity.dimMetadata[1].arrayIndicesType *= field != "arrayIndices"
    with pytest.raises(ModelFormatError, match=reason):
        read_graph(b.build([x]), "m")


def test_run_time_inputs_are_refused() -> None:
    x, y = Tensor(0, "x", (1, 4), "float32"), Tensor(1, "y", (1, 4), "float32")
    cases.assert_refused(OPERATOR, Node(0, OPERATOR, 1, (x,), (y,)), "at run time")
