"""Weights of 4 bits on the tile kernels: flash and instructions compared with 8 bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.three_ways import Case, SideBySide
from tests.tools import on_qemu
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Oracle
from tvmtiny.schedule import Goal, implement
from tvmtiny.targets import resolve

BOARD = "mps2-an386"

_NARROW = Conv((9, 10), 64, 32, (1, 1), weight_range=(-8, 7), output_scale=0.05)
_WIDE = replace(_NARROW, weight_range=(-8, 8))


def _format(case: Conv, goal: Goal = Goal.BALANCED) -> str:
    (node,) = optimized_nodes(tvmtiny.load(case.model(), name="nibbles"))
    found = implement(node, resolve(BOARD).cpu, Oracle.LITERT, goal)
    assert found is not None
    return str(found.decisions["weights"])


def test_weights_that_fit_4_bits_take_them() -> None:
    assert _format(_NARROW) == _format(_NARROW, Goal.SIZE) == "w4"
    assert _format(_WIDE) == "w8"
    # Halfwords with the weights of two channels take the fewest cycles.
    assert _format(_NARROW, Goal.SPEED) == "p8"


def test_long_sums_keep_8_bits() -> None:
    """4096 times the sum must fit 32 bits."""
    assert _format(Conv((2, 2), 2000, 4, (1, 1), weight_range=(-8, 7))) == "w8"


def test_few_channels_keep_8_bits() -> None:
    """Patches are expanded for few filters, which takes longer for weights of 4 bits."""
    few = replace(_NARROW, size=(12, 12), channels=16, filters=16, kernel=(3, 3))
    assert _format(few) == "w8" and _format(few, Goal.SIZE) == "w4"


_RELU = Depthwise(
    (9, 10), 8, activation="RELU", zero_points=(-128, -128), weight_range=(-8, 7), output_scale=0.05
)
_SHIFTED = replace(_RELU, zero_points=(37, -128))
DEPTHWISE: dict[str, Case] = {
    "whole": _RELU,
    "strips": replace(_SHIFTED, size=(48, 48)),
    "stride_2": replace(_SHIFTED, stride=(2, 2)),
    "stride_2_even": replace(_RELU, size=(12, 12), stride=(2, 2)),
    "valid": replace(_SHIFTED, padding="VALID"),
    "one_row": replace(_SHIFTED, size=(1, 7), channels=9),
    "clamped": replace(_RELU, activation="RELU6"),
}
LAYERS = SideBySide("depthwise_nibbles", DEPTHWISE, 0.0, external=True)


def test_depthwise_weights_take_a_third_of_the_flash(tmp_path: Path) -> None:
    words = {layer.constants_bytes // layer.shape[3] for layer in LAYERS.compile(BOARD).layers}
    assert words == {12}
    LAYERS.check_host(BOARD, tmp_path)


@on_qemu
def test_depthwise_on_board() -> None:
    LAYERS.check_board(BOARD)


@on_qemu
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_flash_and_instructions(kernel: tuple[int, int]) -> None:
    flash, instructions = [], []
    for case in (_NARROW, _WIDE):
        model = tvmtiny.load(replace(case, kernel=kernel).model(), name="nibbles")
        artifact = tvmtiny.compile(model, BOARD)
        result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
        flash.append(artifact.layers[0].constants_bytes)
        instructions.append(result.instructions)
    assert flash[0] <= 0.6 * flash[1]
    assert instructions[0] < 1.12 * instructions[1]
