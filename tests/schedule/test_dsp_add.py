"""ADD around the micro-kernels of the DSP extension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host
from layer_cases import Layer, Operand
from merge_models import merge_models

import tvmtiny
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu
from tvmtiny.ops import Oracle
from tvmtiny.oracle import run_litert
from tvmtiny.schedule.families.dsp.add import implement_add
from tvmtiny.schedule.implementation import Goal

#: Scale and zero point of both operands and the output, and the activation.
_Quantized = tuple[tuple[float, int], tuple[float, int], tuple[float, int], str]
PAIRS: Mapping[str, _Quantized] = {
    # The three sums of MLPerf Tiny's image classification model.
    "ic_1": ((0.039393551647663116, -128), (0.10419496148824692, 4), (0.0509456731, -128), "RELU"),
    "ic_2": ((0.044761426746845245, -17), (0.11311884224414825, 4), (0.0532362163, -128), "RELU"),
    "ic_3": ((0.08385830372571945, 38), (0.21724364161491394, -2), (0.1270691454, -128), "RELU"),
    "linear": ((0.0838583, 38), (0.2172436, -2), (0.1270691, 5), "NONE"),
    "relu6": ((0.0231, -128), (0.0377, 11), (0.0411, -40), "RELU6"),
    "clamped_on_both_sides": ((0.0123, 7), (0.0171, -3), (0.0139, 2), "RELU_N1_TO_1"),
    "equal": ((0.05, 3), (0.05, -4), (0.05, 7), "NONE"),
    "ties_everywhere": ((0.05, 3), (0.05, -4), (0.1, 7), "NONE"),
    "thirds": ((0.05, 3), (0.05, -4), (0.15, 7), "NONE"),
    "small_and_large": ((0.00137, 0), (0.9041, 0), (0.8713, 0), "NONE"),
    "saturating": ((0.7, 100), (0.9, -100), (0.21, 0), "NONE"),
}
#: Eighths of both operands: ties whose rounding depends on the rounding of the operands.
NOT_FOUND: _Quantized = ((0.03, 3), (0.07, -4), (0.08, 7), "NONE")


def _layer(shape: tuple[int, ...], quantized: _Quantized) -> Layer:
    (*operands, output), activation = quantized[:3], quantized[3]
    tensors = [Operand(shape, "int8", *q) for q in (*operands, output)]
    options = {"fused_activation_function": activation}
    return Layer("ADD", (tensors[0], tensors[1]), tensors[2], options)


def _all_pairs() -> list[np.ndarray]:
    x, y = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")
    return [x.astype(np.int8), y.astype(np.int8)]


def _pairs_model() -> tvmtiny.Model:
    models = {name: _layer((256, 256), q).model() for name, q in PAIRS.items()}
    return tvmtiny.load(merge_models(models), name="pairs")


def test_all_pairs_on_host(tmp_path: Path) -> None:
    """The portable twin gives LiteRT's result for each of the 65,536 pairs."""
    model = _pairs_model()
    inputs = _all_pairs() * len(PAIRS)
    artifact = tvmtiny.compile(model, "cortex-m4")
    assert all(layer.schedule.startswith("dsp") for layer in artifact.layers)
    expected = run_litert(model.content, inputs)
    (result,) = run_on_host(artifact, [inputs], tmp_path, flags=("-O2",))
    for layer, got in zip(artifact.layers, result.layers, strict=True):
        np.testing.assert_array_equal(got, expected[layer.tensor], layer.name)


@on_qemu
@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an505"])
@pytest.mark.parametrize("name", ["ic_1", "clamped_on_both_sides"])
def test_all_pairs_on_board(name: str, board: str) -> None:
    """The instructions give the same results, at 6 per element or fewer."""
    model = tvmtiny.load(_layer((256, 256), PAIRS[name]).model(), name="pairs")
    artifact = tvmtiny.compile(model, board)
    result = tvmtiny.run(artifact, *_all_pairs())
    expected = run_litert(model.content, _all_pairs())[model.graph.outputs[0].index]
    np.testing.assert_array_equal(result.outputs[0].data, expected)
    assert result.instructions <= (6 if name == "ic_1" else 7.5) * 65536


_COUNTS = SideBySide(
    "add_counts",
    {
        f"{count}_{name}": _layer((count,), PAIRS[name])
        for count in (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 20, 147)
        for name in ("linear", "relu6")
    }
    | {"not_found": _layer((3, 8), NOT_FOUND)},
    0.0,
)


def test_counts_on_host(tmp_path: Path) -> None:
    _COUNTS.check_host("cortex-m4", tmp_path)


@on_qemu
@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an500"])
def test_counts_on_board(board: str) -> None:
    _COUNTS.check_board(board)


def test_words_are_a_decision() -> None:
    node = _layer((2, 8), PAIRS["linear"]).node()
    chosen = implement_add(node, Oracle.LITERT, Goal.BALANCED)
    assert chosen is not None and chosen.decisions["words"] == 2
    small = implement_add(node, Oracle.LITERT, Goal.SIZE)
    assert small is not None and small.decisions["words"] == 1
    asked = implement_add(node, Oracle.LITERT, Goal.BALANCED, {"words": 0})
    assert asked is not None and asked.decisions["words"] == 0


def test_what_falls_back() -> None:
    same = _layer((2, 8), PAIRS["linear"])
    broadcast = replace(same, inputs=(same.inputs[0], replace(same.inputs[1], shape=(8,))))
    for layer in (broadcast, _layer((2, 8), NOT_FOUND)):
        assert implement_add(layer.node(), Oracle.LITERT, Goal.BALANCED) is None
    odd = _layer((3, 4), PAIRS["linear"]).node()
    assert implement_add(odd, Oracle.LITERT, Goal.BALANCED, {"words": 2}) is None
