"""Functions by a table, SOFTMAX, MEAN and SVDF for Helium: C twins on the host, code on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers

import tvmtiny
from tests.ops.test_copies import _CASES as COPIES
from tests.ops.test_mean import CASES as MEANS
from tests.ops.test_mean import _layer as _mean
from tests.ops.test_quantize import CASES as QUANTIZATIONS
from tests.ops.test_rearranging import TABLES as REARRANGED
from tests.ops.test_reduction import _layer as _reduction
from tests.ops.test_resizing import TABLES as RESIZED
from tests.ops.test_resizing import _layer as _resize
from tests.ops.test_rows import TABLES as ROWS
from tests.ops.test_rows import _layer as _rows
from tests.ops.test_softmax import CASES as SOFTMAX
from tests.ops.test_softmax import _layer as _softmax
from tests.ops.test_svdf import Filter
from tests.ops.test_unary import TABLES
from tests.ops.three_ways import Case, SideBySide, check_host_together
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_svdf import CASES as FILTERS
from tests.tools import on_qemu

BOARD = "mps3-an547"
KINDS = ("functions", "wide_functions", "softmax", "means", "movements", "filters")


def _is_int8(layer: Layer) -> bool:
    return {layer.inputs[0].dtype, layer.output.dtype} == {"int8"}


def _functions() -> dict[str, Case]:
    """A case for each operator, of every value, and all of QUANTIZE."""
    found: dict[str, Case] = {}
    for operator, table in TABLES.items():
        layer = next((layer for layer in table.values() if _is_int8(layer)), None)
        if layer is not None:
            shape = (3, 89)
            x, out = replace(layer.inputs[0], shape=shape), replace(layer.output, shape=shape)
            found[operator.lower()] = replace(layer, inputs=(x, *layer.inputs[1:]), output=out)
    named = {name: layer for name, layer in QUANTIZATIONS.items() if _is_int8(layer)}
    return found | {f"quantize_{name}": layer for name, layer in named.items()}


def _wide_functions() -> dict[str, Case]:
    """The operators' int16 cases, and changes of scale from and to int16."""
    tables = {operator.lower(): table for operator, table in TABLES.items()}
    tables["quantize"] = QUANTIZATIONS
    return {
        f"{operator}_{name}": layer
        for operator, table in tables.items()
        for name, layer in table.items()
        if "int16" in (layer.inputs[0].dtype, layer.output.dtype)
        and {layer.inputs[0].dtype, layer.output.dtype} <= {"int8", "int16"}
    } | {
        f"{operator.lower()}_int32": next(
            layer for layer in TABLES[operator].values() if layer.output.dtype == "int32"
        )
        for operator in ("ABS", "NEG")
    }


def _movements() -> dict[str, Case]:
    """Short and long runs of bytes, and elements far from each other, in both widths."""
    names = ("channels", "short", "around", "channels_too", "rank_1")
    found: dict[str, Case] = {name: COPIES[name] for name in names}
    for dtype in ("int8", "int16"):
        x = Operand((2, 9, 11, 3), dtype, 0.05, 0)
        for name, order in (("channels", [0, 3, 1, 2]), ("rows", [0, 2, 1, 3])):
            out = replace(x, shape=tuple(x.shape[i] for i in order))
            found[f"{name}_{dtype}"] = Layer("TRANSPOSE", (x, numbers(order)), out, None)
    found["nearest"] = next(iter(RESIZED["RESIZE_NEAREST_NEIGHBOR"].values()))
    bilinear = {n: layer for n, layer in RESIZED["RESIZE_BILINEAR"].items() if _is_int8(layer)}
    found |= {f"bilinear_{name}": layer for name, layer in list(bilinear.items())[:3]}
    for name, size in (("more", (5, 9)), ("fewer", (2, 3))):
        wide = _resize("RESIZE_BILINEAR", (4, 5), size, "int16", 7, "half_pixel_centers")
        found[f"bilinear_int16_{name}"] = wide
    found["reversed"] = next(iter(REARRANGED["REVERSE_V2"].values()))
    return found


def _kinds() -> dict[str, dict[str, Case]]:
    softmax: dict[str, Case] = {n: layer for n, layer in SOFTMAX.items() if _is_int8(layer)}
    norms = {n: layer for n, layer in ROWS["L2_NORMALIZATION"].items() if _is_int8(layer)}
    softmax |= {f"norm_{name}": layer for name, layer in norms.items()}
    softmax["norm_long"] = _rows("L2_NORMALIZATION", (3, 261), zero=97)
    means: dict[str, Case] = {
        f"mean_{channels}": _mean((2, 5, 4, channels), [1, 2]) for channels in (8, 16, 21)
    }
    means |= {f"table_{name}": layer for name, layer in MEANS.items() if _is_int8(layer)}
    means["clamped"] = _mean((1, 16, 16, 9), [1, 2], scales=(0.05, 0.01))
    means |= {"mean_rows": _mean((5, 37), [1]), "mean_few": _mean((2, 9, 3), [1])}
    for operator, dtype in (("SUM", "int8"), ("REDUCE_MAX", "int8"), ("REDUCE_MIN", "int16")):
        for name, shape, axis in (("rows", (7, 19), 1), ("lanes", (2, 5, 21), 1)):
            scales = (0.05, 0.3 if operator == "SUM" else 0.05)
            zeros = (0, 0) if dtype == "int16" else (-5, -5)
            found = _reduction(operator, shape, [axis], True, dtype, scales, zeros)
            means[f"{operator.lower()}_{name}"] = found
    return {
        "functions": _functions(),
        "softmax": softmax | {"rows": _softmax((5, 37)), "long": _softmax((2, 500), scale=0.5)},
        "means": means,
        "movements": _movements(),
        "wide_functions": _wide_functions(),
        "filters": {**FILTERS, "groups": Filter(inputs=50, units=9, rank=2, memory=17)},
    }


@cache
def layers(kind: str) -> SideBySide:
    return SideBySide(f"mve_{kind}", _kinds()[kind], 0.0, external=True)


@pytest.mark.parametrize("kind", KINDS)
def test_on_host(kind: str, tmp_path: Path) -> None:
    check_host_together(layers(kind), [layers(each) for each in KINDS], BOARD, tmp_path)


@on_qemu
@pytest.mark.parametrize("kind", KINDS)
def test_on_board(kind: str) -> None:
    layers(kind).check_board(BOARD)


def test_layers_have_vector_code() -> None:
    least = {
        "functions": 12,
        "softmax": 13,
        "means": 12,
        "movements": 11,
        "filters": len(_kinds()["filters"]),
    }
    for kind, count in least.items():
        schedules = [layer.schedule for layer in layers(kind).compile(BOARD).layers]
        assert sum(schedule.startswith("mve") for schedule in schedules) >= count, schedules


@on_qemu
def test_decisions_of_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"groups": Filter(inputs=70, units=9, rank=2, memory=9)}
    candidates = Candidates("mve_svdf_candidates", named, BOARD, scalar=False)
    assert sum(d["sketch"] == "mve_svdf" for d in candidates.decisions) == 4
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARD)


@on_qemu
@pytest.mark.parametrize(
    ("layer", "most"),
    [
        (replace(_softmax((8, 64))), 12.0),
        (Layer("TANH", (Operand((1024,)),), Operand((1024,), "int8", 1 / 128), None), 0.3),
        (_mean((1, 8, 8, 16), [1, 2]), 30.0),
        (_reduction("REDUCE_MAX", (64, 64), [1]), 30.0),
    ],
    ids=["softmax", "tanh", "mean", "largest"],
)
def test_instructions_an_output(layer: Layer, most: float) -> None:
    artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="layer"), BOARD)
    assert artifact.layers[0].schedule.startswith("mve")
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert result.instructions < most * np.prod(layer.output.shape)
