"""Layers with int16 activations on the tile kernels: every decision, and instructions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers, random_constant

import tvmtiny
from tests.ops.test_int16 import _conv, _dense
from tests.ops.three_ways import SideBySide
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Oracle
from tvmtiny.schedule import Goal, implement, space
from tvmtiny.schedule.half_factors import factors
from tvmtiny.targets import resolve

BOARD = "mps2-an386"


def conv(
    size: tuple[int, int] = (5, 6),
    channels: int = 3,
    filters: int = 5,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    y: float = 0.02,
) -> Layer:
    """A CONV_2D with a bias of 64 bits."""
    scales = tuple(0.002 * (1 + i % 3) for i in range(filters))
    shape = (filters, *kernel, channels)
    weights = random_constant(shape, "int8", scales=scales)
    x = Operand((1, *size, channels), "int16", 0.001)
    output = Operand((1, -(-size[0] // stride), -(-size[1] // stride), filters), "int16", y)
    options: dict[str, Any] = {"padding": "SAME", "stride_h": stride, "stride_w": stride}
    options |= {"quantized_bias_type": "int64", "fused_activation_function": "RELU"}
    bias = numbers(np.arange(filters) * 30_001 - 70_000, "int64")
    return Layer("CONV_2D", (x, weights, bias), output, options, 4)


def dense(
    rows: int,
    depth: int,
    channels: int,
    y: float = 0.01,
    per_channel: bool = False,
    least: int = -127,
    lowest: int = -128,
) -> Layer:
    """A FULLY_CONNECTED with a bias of 64 bits, and weights from `least` upwards.

    Weights up to `lowest` become -128 before.
    """
    scales = tuple(0.002 * (1 + i % 3) for i in range(channels if per_channel else 1))
    weights = random_constant((channels, depth), "int8", scales=scales)
    bytes_ = np.where(weights.value <= lowest, np.int8(-128), weights.value)
    weights = replace(weights, value=np.maximum(bytes_, least))
    x = Operand((rows, depth), "int16", 0.001)
    bias = numbers(np.arange(channels) * 301 - 700, "int64")
    options = {"quantized_bias_type": "int64", "fused_activation_function": "NONE"}
    output = Operand((rows, channels), "int16", y)
    return Layer("FULLY_CONNECTED", (x, weights, bias), output, options, 12)


CASES = {
    "conv": _conv(),
    "conv_bias_of_32_bits": _conv("int32"),
    "conv_odd_channels": conv(stride=2),
    "conv_pointwise": conv((3, 5), 10, 7, (1, 1)),
    "conv_long": conv((2, 3), 48, 6, (5, 5), y=0.9),
    "dense_rows": _dense(),
    "dense_one": dense(1, 24, 6),
    "dense_rest": dense(4, 21, 7, per_channel=True),
    "dense_long": dense(1, 1500, 5, y=0.1),
    "dense_bytes": dense(1, 28, 5, least=-128, lowest=-60),
    "dense_corrected": dense(2, 90, 15, least=-128, lowest=-125),
    "dense_corrected_chunks": dense(1, 1500, 5, y=0.1, least=-128),
}


@cache
def candidates() -> Candidates:
    return Candidates("halves", CASES, BOARD, scalar=False)


def test_every_decision_on_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    candidates().force(monkeypatch)
    candidates().layers.check_host(BOARD, tmp_path)
    values = set(candidates().values())
    tiles = {("half", "tile", tile) for tile in ("3x2", "2x2", "1x4")}
    assert tiles | {("half", "weights", weights) for weights in ("h8", "h16")} <= values
    kernels = candidates().layers.compile(BOARD).files["halves_kernels.c"]
    assert all(f"1X4, {kind}," in kernels for kind in ("H8", "P8", "H16"))
    assert kernels.count("tvmtiny_half_correct(") >= 2
    kinds = {
        layer.schedule.rpartition(" ")[2] for layer in candidates().layers.compile(BOARD).layers
    }
    assert kinds == {"high", "wide", "twice", "precisely", "double"}


@on_qemu
def test_every_decision_on_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates().force(monkeypatch)
    candidates().layers.check_board(BOARD)


@pytest.mark.parametrize("name", CASES)
def test_default_is_in_the_space(name: str) -> None:
    (node,) = optimized_nodes(tvmtiny.load(CASES[name].model(), name=name))
    cpu = resolve("cortex-m4").cpu
    for goal in Goal:
        found = space(node, cpu, Oracle.LITERT, goal)
        assert found.default in found
        assert implement(node, cpu, Oracle.LITERT, goal, found.default) is not None


def test_scales_that_are_not_proven_stay_in_double() -> None:
    for y in (0.000003, 1e7):
        node = dense(1, 24, 6, y=y).node()
        assert factors(node, Oracle.LITERT, False).kind == "double"


@on_qemu
@pytest.mark.parametrize(
    ("layer", "goal", "most"),
    [
        (conv((12, 12), 16, 16), "balanced", 0.98),
        (dense(1, 256, 64), "balanced", 1.0),
        (dense(1, 640, 128, least=-128), "balanced", 1.0),
        (dense(1, 256, 64, least=-128), "balanced", 1.1),
        (dense(1, 640, 128), "speed", 0.8),
    ],
    ids=["conv", "dense", "dense_bytes", "dense_short_bytes", "dense_speed"],
)
def test_instructions(layer: Layer, goal: str, most: float) -> None:
    layers = SideBySide("half", {"layer": layer}, 0.0)
    artifact = tvmtiny.compile(layers.load(), BOARD, optimize=goal)
    result = tvmtiny.run(artifact, *layers.input_sets[0])
    (done,) = artifact.layers
    assert result.instructions < most * done.macs
