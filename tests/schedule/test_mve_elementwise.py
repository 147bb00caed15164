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
from tests.ops.test_binary import TABLES as BINARY
from tests.ops.test_binary import _layer as _binary
from tests.ops.three_ways import SideBySide, check_host_together
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_add import PAIRS, _all_pairs, _layer
from tests.tools import on_qemu
from tvmtiny.oracle import run_litert

BOARD = "mps3-an547"
OPERATORS = ("ADD", "SUB", "MUL")
CHOICES = ("MAXIMUM", "MINIMUM", "EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER")
CHOICES += ("GREATER_EQUAL",)
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
KINDS = ("counts", "broadcasts", "choices", "differences", *POOLS)

_NO_ACTIVATION = {"fused_activation_function": "NONE"}

#: Layers that fit the board together.
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
    assert all(layer.schedule.startswith("mve") for layer in artifact.layers)
    expected = run_litert(model.content, inputs)
    result = tvmtiny.run(artifact, *inputs)
    for layer, got in zip(artifact.layers, result.layers, strict=True):
        np.testing.assert_array_equal(got, expected[layer.tensor], layer.name)


def _counts() -> dict[str, Layer]:
    """Counts of elements around those of a loop iteration and of a vector."""
    found = {}
    for count in (1, 3, 4, 15, 16, 17, 33, 64):
        for operator in OPERATORS:
            layer = _layer((1, count), PAIRS["linear"])
            found[f"{operator.lower()}_{count}"] = replace(layer, operator=operator)
    return found


def _broadcasts() -> dict[str, Layer]:
    """Operands that advance together, or stay constant for a run, in both widths."""
    shapes = {
        "runs": ((2, 3, 37), (3, 37)),
        "second_once": ((2, 3, 9), (2, 3, 1)),
        "first_once": ((3, 1), (3, 21)),
        "both": ((4, 1, 6), (1, 5, 6)),
        "scalar": ((3, 11), (1,)),
        "scalar_first": ((), (4, 7)),
        "outer": ((2, 1, 5, 1), (1, 3, 1, 6)),
    }
    found = {}
    for name, (left, right) in shapes.items():
        out = np.broadcast_shapes(left, right)
        sums = (Operand(left, "int8", 0.05, 3), Operand(right, "int8", 0.07, -2))
        found[name] = Layer("ADD", sums, Operand(out, "int8", 0.1, 1), _NO_ACTIVATION)
        wide = (Operand(left, "int16", 0.001), Operand(right, "int16", 0.0007))
        found[f"{name}_int16"] = Layer("ADD", wide, Operand(out, "int16", 0.0009), _NO_ACTIVATION)
    relu = {"fused_activation_function": "RELU6"}
    found["clamped"] = replace(found["runs"], options=relu)
    found["clamped_int16"] = replace(found["runs_int16"], options=relu)
    return {
        f"{operator.lower()}_{name}": replace(layer, operator=operator)
        for name, layer in found.items()
        for operator in OPERATORS
    } | {"runs": found["runs"]}


def _choices() -> dict[str, Layer]:
    """Relations in every dtype, scaled or not, and both orders of an operand that is constant."""
    x, y = (Operand((3, 37), "int8", s, 0, limits=(-9, 9)) for s in (0.05, 0.04))
    found, once = {}, replace(y, shape=(3, 1), scale=0.05)
    for number, operator in enumerate(CHOICES):
        pairs = {
            "int8": (x, y),
            "first_once" if number % 2 else "once": (x, once)[:: -1 if number % 2 else 1],
        }
        if number % 3 == 0:
            scaled = replace(once, scale=0.3)
            pairs |= {"scaled_once": (x, scaled), "scaled_first_once": (scaled, x)}
        dtype = ("int16", "int32")[number // 2 % 2]
        pairs[dtype] = tuple(replace(o, dtype=dtype) for o in ((x, once) if number % 2 else (x, x)))
        for name, pair in pairs.items():
            out = pair[0] if operator in CHOICES[:2] else replace(x, dtype="bool")
            out = replace(out, shape=(3, 37))
            found[f"{operator.lower()}_{name}"] = Layer(operator, pair, out, None)
    return found | {"large_scales": BINARY["LESS"]["large_scales"]}


def _differences_and_slopes() -> dict[str, Layer]:
    """Both operators in loop iterations and rests, with operands that are constant."""
    found = {}
    shapes = {
        "same": ((3, 37), (3, 37)),
        "channels": ((2, 5, 17), (17,)),
        "once": ((3, 21), (3, 1)),
        "scalar": ((33,), (1,)),
    }
    for operator in ("PRELU", "SQUARED_DIFFERENCE"):
        for name, pair in shapes.items():
            scales = (0.05, 0.03, 0.002) if name == "once" else (0.05, 0.03, 0.06)
            found[f"{operator.lower()}_{name}"] = _binary(operator, "int8", pair, scales)
    found["squared_difference_first_once"] = _binary(
        "SQUARED_DIFFERENCE", "int8", ((3, 1), (3, 21))
    )
    for name in ("same", "channels", "scalar"):
        found[f"prelu_int16_{name}"] = _binary("PRELU", "int16", shapes[name])
    return found


def _small(operator: str) -> dict[str, Pool]:
    """The operator's own cases, with channels in whole vectors, in overlapping ones, or too few."""
    table = {
        f"{name}_{channels}": replace(pool, channels=channels)
        for name, pool in cases(operator).items()
        if pool.dtype == "int8"
        for channels in (3, 8, 13, 16, 21)
    }
    halves = {
        f"int16_{name}": replace(pool, dtype="int16", channels=channels, activation=activation)
        for name, pool, channels, activation in (
            ("valid", cases(operator)["valid"], 5, "NONE"),
            ("same", cases(operator)["same_with_stride"], 13, "RELU6"),
        )
    }
    return table | halves | {"largest": Pool(operator, (16, 16), 8, (16, 16), (16, 16))}


@cache
def layers(kind: str) -> SideBySide:
    tables = {"counts": _counts, "broadcasts": _broadcasts, "choices": _choices}
    tables["differences"] = _differences_and_slopes
    named = tables[kind]() if kind in tables else _small(kind)
    return SideBySide(f"mve_{kind.lower()}", named, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_on_host(kind: str, tmp_path: Path) -> None:
    check_host_together(layers(kind), [layers(each) for each in KINDS], BOARD, tmp_path)


@on_qemu
@pytest.mark.parametrize("kind", KINDS)
def test_on_board(kind: str) -> None:
    layers(kind).check_board(BOARD)


def test_all_differences_and_slopes_have_vector_code() -> None:
    schedules = [layer.schedule for layer in layers("differences").compile(BOARD).layers]
    assert all(schedule.startswith("mve") for schedule in schedules)


def test_all_broadcasts_have_vector_code() -> None:
    schedules = [layer.schedule for layer in layers("broadcasts").compile(BOARD).layers]
    assert all(schedule.startswith("mve") for schedule in schedules)
    words = ("scaled precisely", "rounding by sign", "runs")
    assert all(any(word in schedule for schedule in schedules) for word in words)


@pytest.mark.parametrize(("kind", "least"), [(POOLS[0], 20), (POOLS[1], 20), ("choices", 28)])
def test_layers_have_vector_code(kind: str, least: int) -> None:
    found = {
        layer.name: layer.schedule.startswith("mve") for layer in layers(kind).compile(BOARD).layers
    }
    assert sum(found.values()) >= least
    assert all(fast for name, fast in found.items() if name.startswith("int16"))


def test_dtypes_without_a_kernel_fall_back() -> None:
    wide = Operand((1, 4, 8), "int32", None)
    layer = Layer("MUL", (wide, wide), wide, {})
    artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="wide"), BOARD)
    assert not artifact.layers[0].schedule.startswith("mve")


@on_qemu
@pytest.mark.parametrize("operator", OPERATORS)
def test_decisions(operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = replace(_broadcasts()["runs"], operator=operator)
    candidates = Candidates(f"mve_{operator.lower()}_candidates", {"runs": layer}, BOARD, False)
    assert sum(d["sketch"] == "mve_vectors" for d in candidates.decisions) == 3
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARD)
