"""Sums, products and pools for Helium: C twins on the host, assembly on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand
from merge_models import merge_models
from pooling_cases import Pool, cases

import tvmtiny
from tests.ops.three_ways import SideBySide
from tests.schedule.test_dsp_add import PAIRS, _all_pairs, _layer
from tests.tools import on_qemu
from tvmtiny.oracle import run_litert

BOARD = "mps3-an547"
OPERATORS = ("ADD", "SUB", "MUL")
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")

#: As many as fit the board.
_NAMES = ("ic_1", "linear", "clamped_on_both_sides", "small_and_large")


def _pairs(operator: str) -> tvmtiny.Model:
    layers = {name: _layer((256, 256), PAIRS[name]) for name in _NAMES}
    models = {name: replace(layer, operator=operator).model() for name, layer in layers.items()}
    return tvmtiny.load(merge_models(models), name=f"pairs_{operator.lower()}")


@on_qemu
@pytest.mark.parametrize("operator", OPERATORS)
def test_all_pairs_on_board(operator: str) -> None:
    """The instructions give LiteRT's result for each of the 65,536 pairs."""
    model = _pairs(operator)
    inputs = _all_pairs() * len(_NAMES)
    artifact = tvmtiny.compile(model, BOARD, io="external")
    vector = [layer.schedule.startswith("mve") for layer in artifact.layers]
    assert all(vector) or (operator == "MUL" and sum(vector) >= 2), vector
    expected = run_litert(model.content, inputs)
    result = tvmtiny.run(artifact, *inputs)
    for layer, got in zip(artifact.layers, result.layers, strict=True):
        np.testing.assert_array_equal(got, expected[layer.tensor], layer.name)


def _counts() -> dict[str, Layer]:
    """Numbers of elements around those of a turn of the loop, and a vector."""
    found = {}
    for count in (1, 3, 4, 15, 16, 17, 33, 64):
        for operator in OPERATORS:
            layer = _layer((1, count), PAIRS["linear"])
            found[f"{operator.lower()}_{count}"] = replace(layer, operator=operator)
    return found


def _small(operator: str) -> dict[str, Pool]:
    """The operator's own cases, with channels that are whole vectors, overlapping, or too few."""
    table = {
        f"{name}_{channels}": replace(pool, channels=channels)
        for name, pool in cases(operator).items()
        if pool.dtype == "int8"
        for channels in (3, 8, 13, 16, 21)
    }
    return table | {"largest": Pool(operator, (16, 16), 8, (16, 16), (16, 16))}


@cache
def layers(kind: str) -> SideBySide:
    named = _counts() if kind == "counts" else _small(kind)
    return SideBySide(f"mve_{kind.lower()}", named, 0.0)


@pytest.mark.parametrize("kind", ["counts", *POOLS])
def test_on_host(kind: str, tmp_path: Path) -> None:
    layers(kind).check_host(BOARD, tmp_path)


@on_qemu
@pytest.mark.parametrize("kind", ["counts", *POOLS])
def test_on_board(kind: str) -> None:
    layers(kind).check_board(BOARD)


@pytest.mark.parametrize("kind", POOLS)
def test_pools_have_vector_code(kind: str) -> None:
    schedules = [layer.schedule for layer in layers(kind).compile(BOARD).layers]
    assert sum(schedule.startswith("mve") for schedule in schedules) >= 20


@pytest.mark.parametrize("operator", OPERATORS)
def test_broadcast_operands_fall_back(operator: str) -> None:
    wide, one = Operand((1, 4, 8), "int8", 0.05, 3), Operand((1, 1, 8), "int8", 0.07, -2)
    layer = Layer(operator, (wide, one), Operand((1, 4, 8), "int8", 0.1, 1), {})
    artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="broadcast"), BOARD)
    assert not artifact.layers[0].schedule.startswith("mve")
