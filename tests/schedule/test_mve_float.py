"""float32 layers for Helium with MVE-F: C twins on the host, vectors on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from layer_cases import Operand

import tvmtiny
from tests.ops.test_conv_2d import CASES as CONVOLUTIONS
from tests.ops.test_conv_2d import FLOAT_TOLERANCE, Conv
from tests.ops.test_depthwise_conv_2d import CASES as DEPTHWISE
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_dequantize import CASES as DEQUANTIZED
from tests.ops.test_fully_connected import CASES as DENSE
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide
from tests.tools import on_qemu

BOARD = "mps3-an547"

_CONV = Conv(dtype="float32")
_WIDE = Operand((2, 21), "int16", 0.000123456789)
SHAPES: dict[str, Case] = {
    "pointwise": replace(_CONV, size=(5, 5), channels=17, filters=10, kernel=(1, 1)),
    "rows": replace(_CONV, size=(6, 9), channels=8, filters=16, activation="RELU6"),
    "stride_2": replace(_CONV, size=(9, 13), channels=3, filters=7, stride=(2, 2)),
    "depthwise": Depthwise(dtype="float32", size=(7, 6), channels=11, activation="RELU"),
    "depthwise_dilated": Depthwise(dtype="float32", size=(9, 9), channels=4, dilation=(2, 3)),
    "dense": Dense((1, 50), 50, 43, dtype="float32", activation="RELU_N1_TO_1"),
    "dense_rows": Dense((6, 20), 20, 9, dtype="float32"),
    "dense_3_rows": Dense((3, 20), 20, 16, dtype="float32"),
    "dequantized": DEQUANTIZED["int8"],
    "dequantized_int16": replace(
        DEQUANTIZED["int16"], output=Operand((2, 21), "float32"), inputs=(_WIDE,)
    ),
}
TABLES = {"conv": CONVOLUTIONS, "depthwise": DEPTHWISE, "dense": DENSE}


@cache
def layers() -> SideBySide:
    named: dict[str, Case] = {
        f"{kind}_{name}": case
        for kind, table in TABLES.items()
        for name, case in table.items()
        if case.dtype == "float32"
    }
    return SideBySide("mve_float", {**SHAPES, **named}, FLOAT_TOLERANCE)


def test_on_host(tmp_path: Path) -> None:
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_board() -> None:
    layers().check_board(BOARD)


def test_all_shapes_have_vector_code() -> None:
    artifact = layers().compile(BOARD)
    schedules = [layer.schedule for layer in artifact.layers[: len(SHAPES)]]
    assert all(schedule.startswith(("mve, float32", "mve, vectors")) for schedule in schedules), (
        schedules
    )


def test_without_vectors_of_floats() -> None:
    model = tvmtiny.load(SHAPES["rows"].model(), name="rows")
    artifact = tvmtiny.compile(model, "cortex-m55+nomve.fp")
    assert not artifact.layers[0].schedule.startswith("mve")
