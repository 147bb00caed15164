"""Activations that end within the range of int8 or int16: kernels, C on the host, boards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand

from tests.ops.test_conv_2d import Conv
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_fully_connected import Dense
from tests.ops.test_transpose_conv import _layer as transposed
from tests.ops.three_ways import Case, SideBySide
from tests.schedule.test_dsp_half import conv as half_conv
from tests.tools import on_qemu_boards
from tvmtiny.schedule.requantize import solve

#: Activation, zero point and scale of the output: both ends of int8, then one or both within them.
_ENDS: dict[str, tuple[str, int, float]] = {
    "int8": ("RELU", -128, 0.5),
    "highest": ("RELU6", -128, 0.04),
    "lowest": ("RELU", -100, 0.5),
    "both": ("RELU6", -100, 0.05),
    "below_zero": ("RELU_N1_TO_1", 5, 0.01),
}

Make = Callable[[str, tuple[int, int], float], Case]


def _of(kind: type[Conv] | type[Depthwise] | type[Dense], *sizes: object, **more: object) -> Make:
    def make(activation: str, zero_points: tuple[int, int], scale: float) -> Case:
        ends = {"activation": activation, "zero_points": zero_points, "output_scale": scale}
        made: Case = kind(*sizes, **more, **ends)  # type: ignore[arg-type]
        return made

    return make


def _transposed(activation: str, zero_points: tuple[int, int], scale: float) -> Case:
    made = partial(transposed, (3, 4), (4, 4), depth=8, channels=6)
    return made(activation=activation, zero_points=zero_points, output_scale=scale)


def _binary(operator: str) -> Make:
    def make(activation: str, zero_points: tuple[int, int], scale: float) -> Case:
        x, y = Operand((1, 3, 16), "int8", 0.05, 3), Operand((1, 3, 16), "int8", 0.04, -5)
        output = Operand((1, 3, 16), "int8", max(scale, 0.05), zero_points[1])
        return Layer(operator, (x, y), output, {"fused_activation_function": activation})

    return make


def _pool(operator: str) -> Make:
    def make(activation: str, zero_points: tuple[int, int], scale: float) -> Case:
        x, output = (Operand((1, n, n, 16), "int8", scale, zero_points[1]) for n in (4, 2))
        options = {"filter_width": 2, "filter_height": 2, "stride_w": 2, "stride_h": 2}
        named = {"padding": "VALID", "fused_activation_function": activation}
        return Layer(operator, (x,), output, options | named)

    return make


_CLASSES: dict[str, Make] = {
    "pixels": _of(Conv, (4, 5), 16, 16, (1, 1)),
    "patches": _of(Conv, (5, 5), 8, 8),
    "groups": _of(Conv, (4, 4), 16, 16, groups=4),
    "nibbles": _of(Conv, (4, 4), 16, 8, weight_range=(-7, 7)),
    "dense": _of(Dense, (1, 64), 64, 9),
    "depthwise": _of(Depthwise, (6, 6), 8),
    "depthwise_stride_2": _of(Depthwise, (7, 7), 8, stride=(2, 2)),
    "depthwise_5x5": _of(Depthwise, (6, 6), 8, kernel=(5, 5)),
    "depthwise_dilated": _of(Depthwise, (8, 8), 8, dilation=(2, 2)),
    "depthwise_twice": _of(Depthwise, (6, 6), 8, 2),
    "depthwise_one": _of(Depthwise, (6, 6), 1, 8),
    "depthwise_column": _of(Depthwise, (10, 1), 8, kernel=(5, 1), padding="VALID"),
    "transposed": _transposed,
    "multiplied": _binary("MUL"),
    "average": _pool("AVERAGE_POOL_2D"),
    "largest": _pool("MAX_POOL_2D"),
}


def _half() -> Layer:
    layer = half_conv((3, 4), 8, 6, y=0.0004)
    assert layer.options is not None
    return replace(layer, options={**layer.options, "fused_activation_function": "RELU6"})


def _cases() -> dict[str, Case]:
    made = {
        f"{name}-{end}": make(activation, (-3, zero_point), scale)
        for name, make in _CLASSES.items()
        for end, (activation, zero_point, scale) in _ENDS.items()
    }
    return {**made, "half-highest": _half()}


LAYERS = SideBySide("clamped", _cases(), 0.0, external=True)
_CPUS = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55", "rv32imc", "rv32imcv")
_BOARDS = ("mps2-an385", "mps2-an386", "mps3-an547", "riscv-virt", "riscv-virt-v")


def _schedules(target: str) -> dict[str, str]:
    return {layer.name.split("/")[0]: layer.schedule for layer in LAYERS.compile(target).layers}


@pytest.mark.parametrize("cpu", _CPUS)
def test_any_activation_has_the_kernel_of_its_family(cpu: str) -> None:
    schedules = _schedules(cpu)
    for name in _CLASSES:
        families = {end: schedules[f"{name}-{end}"].split(",")[0] for end in _ENDS}
        assert set(families.values()) == {families["int8"]}, (name, families)
    if cpu in ("cortex-m4", "cortex-m55"):
        assert not schedules["half-highest"].startswith("scalar")


def test_outputs_above_zero_are_not_rounded_by_sign() -> None:
    schedules = _schedules("cortex-m4")
    for name in _CLASSES:
        plain = schedules[f"{name}-int8"]
        for end in ("highest", "lowest", "both"):
            clamped = schedules[f"{name}-{end}"].removesuffix(", clamped")
            assert clamped == plain or name == "multiplied", (name, end)


@pytest.mark.parametrize("cpu", ["cortex-m3", "cortex-m4"])
def test_on_host(cpu: str, tmp_path: Path) -> None:
    LAYERS.check_host(cpu, tmp_path)


@pytest.mark.parametrize("cpu", ["cortex-m55", "rv32imcv"])
@pytest.mark.qemu
def test_other_families_on_host(cpu: str, tmp_path: Path) -> None:
    LAYERS.check_host(cpu, tmp_path)


@on_qemu_boards(*_BOARDS)
def test_on_board(board: str) -> None:
    LAYERS.check_board(board)


def test_outputs_beyond_the_limits_are_free() -> None:
    """Steps below the limits may be anywhere: only the others bound the constants."""

    def halves(acc: np.ndarray) -> np.ndarray:
        return np.clip(np.where(acc < 0, -((1 - acc) >> 1), (acc + 1) >> 1), -3, 40)

    scales, reach = np.array([0.5]), (np.array([-5000]), np.array([5000]))
    assert solve(halves, scales, reach, np.array([0])) is None
    found = solve(halves, scales, reach, np.array([0]), limits=(-3, 40))
    assert found is not None
    acc = np.arange(-5000, 5001)
    sums = int(found.initial[0]) + 256 * acc
    value = (sums * int(found.multiplier[0])) >> 32
    if found.offset is not None and found.step is not None:
        value += int(found.offset[0]) + np.where(sums < 0, int(found.step[0]), 0)
    value = np.clip(np.clip(value >> found.shift, -128, 127), -3, 40)
    np.testing.assert_array_equal(value, halves(acc[None])[0])
    assert solve(halves, scales, reach, np.array([0]), limits=(7, 7)) is None


def test_a_range_of_one_value_keeps_accumulators_in_tiles(tmp_path: Path) -> None:
    """An output that TVM folds would leave accumulators of the whole layer behind."""
    ends = {"activation": "RELU6", "zero_points": (3, 112), "output_scale": 14.0}
    layers = SideBySide("one_value", {"layer": Conv((6, 7), 32, 16, (1, 1), **ends)}, 0.0)
    artifact = layers.compile("cortex-m0")
    (layer,) = artifact.layers
    assert layer.schedule.startswith("scalar, tile")
    assert artifact.arena_bytes == 6 * 7 * (32 + 16)
    layers.check_host("cortex-m0", tmp_path)
