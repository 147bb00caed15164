"""Kernels for the vectors of RISC-V: C twins on the host, assembly on two boards."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_runner import WARNINGS, compiler_or_skip, run_command, write_files
from layer_cases import Layer
from pooling_cases import Pool, cases

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide, check_host_together
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_add import PAIRS, _all_pairs, _layer
from tests.schedule.test_dsp_depthwise import _RELU as DEPTHWISE
from tests.schedule.test_dsp_depthwise import _random_cases
from tests.schedule.test_thumb import SHAPES as CONVOLUTIONS
from tests.tools import on_qemu_boards
from tvmtiny import models
from tvmtiny.oracle import run_litert

BOARD, LONG = "riscv-virt-v", "riscv-virt-v256"

_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.0)

#: Channels around a group of registers, pixels around a loop iteration, and all ways to read.
MATRIX: dict[str, Case] = {
    **CONVOLUTIONS,
    "many_pixels": replace(_RELU, size=(6, 7), channels=9, filters=11, kernel=(1, 1)),
    "few_lanes": replace(_RELU, size=(6, 7), channels=9, filters=3, kernel=(1, 1)),
    "blocks": replace(_RELU, size=(3, 7), channels=33, filters=75, kernel=(1, 1)),
    "copied": replace(_RELU, size=(5, 5), channels=130, filters=97, kernel=(1, 1)),
    "two_lanes": replace(_RELU, size=(4, 5), channels=7, filters=2),
    "camera": replace(_RELU, size=(13, 12), channels=3, filters=8, stride=(2, 2)),
    "spectrogram": replace(
        _RELU, size=(15, 10), channels=1, filters=35, kernel=(10, 4), stride=(2, 2)
    ),
    "valid": replace(_RELU, size=(9, 8), channels=16, filters=40, padding="VALID"),
    "column": replace(_RELU, size=(19, 1), channels=12, filters=33, kernel=(3, 1), batch=2),
    "spread_column": replace(
        _RELU, size=(19, 1), channels=12, filters=33, kernel=(3, 1), dilation=(2, 1)
    ),
    "far": replace(_RELU, size=(2, 5), channels=900, filters=18, kernel=(1, 1)),
    "beyond_offsets": replace(
        _RELU, size=(2, 2), channels=2100, filters=3, kernel=(1, 1), weight_range=(-25, 25)
    ),
    "linear": Conv(size=(4, 4), channels=24, filters=40, kernel=(1, 1), output_scale=0.3),
    "linear_few": Conv(size=(5, 6), channels=5, filters=7, output_scale=0.3),
    "dense": Dense((1, 205), 205, 70, output_scale=2.0),
    "dense_rows": Dense((5, 72), 72, 10, output_scale=2.0),
}
WINDOWS: dict[str, Case] = {
    "units": replace(DEPTHWISE, size=(7, 11), channels=5),
    "stride_2": replace(DEPTHWISE, size=(10, 19), channels=9, stride=(2, 2)),
    "blocks": replace(DEPTHWISE, size=(5, 7), channels=75, batch=2),
    "dilated": replace(DEPTHWISE, size=(11, 12), channels=18, dilation=(2, 3)),
    "column": replace(DEPTHWISE, size=(30, 1), channels=40, kernel=(5, 1), padding="VALID"),
    "far": replace(DEPTHWISE, size=(3, 3), channels=2100),
    **_random_cases(12, 5),
}


def _elements() -> dict[str, Layer]:
    """Counts of elements around a loop iteration."""
    found = {}
    for operator in ("ADD", "SUB", "MUL"):
        for count in (1, 31, 33, 64):
            layer = _layer((1, count), PAIRS["linear"])
            found[f"{operator.lower()}_{count}"] = replace(layer, operator=operator)
    return found


def _pools() -> dict[str, Pool]:
    return {
        f"{operator.lower()}_{name}_{channels}": replace(pool, channels=channels)
        for operator in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
        for name, pool in cases(operator).items()
        if pool.dtype == "int8"
        for channels in (4, 37)
    }


@cache
def layers(kind: str) -> SideBySide:
    made = {"matrix": MATRIX, "windows": WINDOWS, "elements": {**_elements(), **_pools()}}
    return SideBySide(f"rvv_{kind}", made[kind], 0.0)


_KINDS = ("matrix", "windows", "elements")
KINDS = pytest.mark.parametrize("kind", _KINDS)


@KINDS
def test_on_host(kind: str, tmp_path: Path) -> None:
    check_host_together(layers(kind), [layers(each) for each in _KINDS], BOARD, tmp_path)


@on_qemu_boards(BOARD)
@KINDS
def test_on_boards(kind: str, board: str) -> None:
    for runs_on in (board, LONG):
        layers(kind).check_board(runs_on, code_of=board)


def test_code_does_not_know_the_length_of_registers() -> None:
    model = tvmtiny.load(models.path("digits"))
    assert tvmtiny.compile(model, LONG).files == tvmtiny.compile(model, BOARD).files


def test_all_shapes_have_vector_code() -> None:
    for kind in ("matrix", "windows"):
        found = layers(kind).compile(BOARD).layers
        # Layers with gaps between the filter's columns have no such kernel; a filter of one column
        # over an image of one column is treated like one of one row.
        without = {layer.name for layer in found if not layer.schedule.startswith("rvv")}
        assert without == ({"dilated/y", "spread_column/y"} if kind == "matrix" else set())
        schedules = [layer.schedule for layer in found]
        words = ["strips of", "rows of the input", "rounding by sign"]
        for word in [*words, *(["copied pixels", "7x", "14x"] if kind == "matrix" else ["6x5"])]:
            assert any(word in schedule for schedule in schedules), (word, schedules)


@on_qemu_boards(BOARD)
@pytest.mark.parametrize(
    ("operator", "pair"),
    [("ADD", "clamped_on_both_sides"), ("MUL", "linear")],
)
def test_all_pairs(operator: str, pair: str, board: str) -> None:
    """The instructions give LiteRT's result for each of the 65,536 pairs."""
    layer = replace(_layer((256, 256), PAIRS[pair]), operator=operator)
    model = tvmtiny.load(layer.model(), name=f"pairs_{operator.lower()}")
    artifact = tvmtiny.compile(model, board, io="external")
    assert artifact.layers[0].schedule.startswith("rvv")
    expected = run_litert(model.content, _all_pairs())
    result = tvmtiny.run(artifact, *_all_pairs())
    np.testing.assert_array_equal(result.layers[0], expected[artifact.layers[0].tensor])


@on_qemu_boards(BOARD)
def test_every_decision_is_exact(board: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {
        "copied": MATRIX["copied"],
        "camera": replace(_RELU, size=(16, 12), channels=3, filters=8),
        "windows": replace(DEPTHWISE, size=(8, 11), channels=10),
    }
    candidates = Candidates("rvv_candidates", named, board, scalar=False)
    candidates.force(monkeypatch)
    candidates.layers.check_board(board)
    values = set(candidates.values())
    assert {("rvv_pixels", "staged", staged) for staged in (0, 1)} <= values
    assert {("rvv_strip", "unroll", unroll) for unroll in (2, 4, 8, 16)} <= values
    for sketch in ("rvv_strip", "rvv_strip_windows"):
        assert {(sketch, "rows", rows) for rows in (1, 2, 4, 8)} <= values


@pytest.mark.parametrize(
    "command",
    [
        ("riscv64-unknown-elf-gcc", "-march=rv32imcv", "--specs=picolibc.specs"),
        ("riscv64-unknown-elf-gcc", "-march=rv32im_zve32x_zvl128b", "--specs=picolibc.specs"),
        ("clang", "--target=riscv32", "-march=rv32imcv", "-ffreestanding"),
    ],
)
def test_compilers_that_are_told_of_vectors(command: tuple[str, ...], tmp_path: Path) -> None:
    """They use the same code as a compiler without it; elsewhere the code is portable."""
    compiler = compiler_or_skip(command[0])
    write_files(layers("elements").compile("rv32imcv"), tmp_path)
    for extra, vectors in ([], True), (["-DTVMTINY_PORTABLE"], False):
        flags = [*command[1:], "-mabi=ilp32", "-O1", *WARNINGS, *extra]
        run_command([compiler, *flags, "-c", "rvv_elements_kernels.c", "-o", "code.o"], tmp_path)
        # csrwi vxrm, 2
        assert (bytes.fromhex("7350a100") in (tmp_path / "code.o").read_bytes()) == vectors
