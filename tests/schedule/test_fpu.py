"""float32 layers for floating-point units: C twins on the host, VFMA on a board."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from layer_cases import Layer, Operand

import tvmtiny
from tests.ops.test_conv_2d import CASES as CONVOLUTIONS
from tests.ops.test_conv_2d import FLOAT_TOLERANCE, Conv
from tests.ops.test_depthwise_conv_2d import CASES as DEPTHWISE
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_fully_connected import CASES as DENSE
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu

BOARD = "mps2-an386"

_CONV = Conv(dtype="float32")
SHAPES: dict[str, Case] = {
    "pointwise": replace(_CONV, size=(5, 5), channels=17, filters=10, kernel=(1, 1)),
    "rows": replace(_CONV, size=(6, 9), channels=8, filters=16, activation="RELU6"),
    "stride_2": replace(_CONV, size=(9, 13), channels=3, filters=7, stride=(2, 2)),
    "dilated": replace(_CONV, size=(9, 9), channels=3, filters=5, dilation=(2, 3)),
    "one_filter": replace(_CONV, size=(6, 5), channels=2, filters=1),
    "depthwise": Depthwise(dtype="float32", size=(7, 6), channels=11, activation="RELU"),
    "depthwise_dilated": Depthwise(dtype="float32", size=(9, 9), channels=4, dilation=(2, 3)),
    "depthwise_wide": Depthwise(dtype="float32", size=(3, 9), channels=4, kernel=(2, 9)),
    "depthwise_far": Depthwise(dtype="float32", size=(3, 5), channels=402, kernel=(3, 3)),
    "one_channel": Depthwise(dtype="float32", size=(5, 6), channels=1),
    "multiplier": Depthwise(dtype="float32", size=(5, 6), channels=3, multiplier=4),
    "dense": Dense((1, 50), 50, 43, dtype="float32", activation="RELU_N1_TO_1"),
    "dense_rows": Dense((6, 20), 20, 9, dtype="float32"),
    "dense_3_rows": Dense((3, 20), 20, 16, dtype="float32"),
}


def _binary(
    operator: str, shape: tuple[int, ...], swapped: bool = False, activation: str = "NONE"
) -> Layer:
    large = Operand((2, 3, 5, 19), "float32")
    operands = (large, Operand(shape, "float32"))
    options = {"fused_activation_function": activation}
    return Layer(operator, operands[::-1] if swapped else operands, large, options, 1)


SHAPES |= {
    "add": _binary("ADD", (2, 3, 5, 19)),
    "add_channels": _binary("ADD", (19,), activation="RELU"),
    "mul_pixels": _binary("MUL", (2, 3, 5, 1), swapped=True),
    "sub_number": _binary("SUB", (1,), swapped=True),
    "sub_rows": _binary("SUB", (2, 1, 5, 19), activation="RELU"),
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
    return SideBySide("fpu_layers", {**SHAPES, **named}, FLOAT_TOLERANCE)


def test_on_host(tmp_path: Path) -> None:
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_board() -> None:
    layers().check_board(BOARD)


#: Layers of which every value of every decision is tried.
CANDIDATES: dict[str, Case] = {
    "pixels": replace(_CONV, size=(3, 3), channels=7, filters=9, kernel=(1, 1), activation="RELU"),
    "depthwise": Depthwise(dtype="float32", size=(5, 6), channels=4, stride=(1, 2)),
}


@on_qemu
def test_every_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = Candidates("fpu_candidates", CANDIDATES, "cortex-m4", False, FLOAT_TOLERANCE, True)
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARD)
    tried = {(name, value) for _, name, value in candidates.values()}
    assert {("products", "fused"), ("products", "apart"), ("columns", 3), ("rows", 1)} <= tried


def test_speed_avoids_slow_instructions() -> None:
    """On Cortex-M4, VFMA takes three cycles, VMUL and VADD two."""
    model = tvmtiny.load(SHAPES["pointwise"].model(), name="pointwise")
    for cpu, apart in (("cortex-m4", True), ("cortex-m7", False)):
        artifact = tvmtiny.compile(model, cpu, optimize="speed")
        assert ("products apart" in artifact.layers[0].schedule) == apart


def test_all_shapes_have_kernels() -> None:
    artifact = layers().compile(BOARD)
    schedules = [layer.schedule for layer in artifact.layers[: len(SHAPES)]]
    assert all(schedule.startswith("fpu") for schedule in schedules), schedules
