"""Layers of weights with int16 activations for Helium: C twins on the host, code on a board."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers, random_constant

import tvmtiny
from tests.ops.test_int16 import TABLES
from tests.ops.three_ways import SideBySide
from tests.schedule.test_dsp_half import conv, dense
from tests.tools import on_qemu

BOARD = "mps3-an547"


def _depthwise(
    size: tuple[int, int],
    channels: int,
    stride: int = 1,
    activation: str = "NONE",
    per_channel: bool = True,
) -> Layer:
    scales = tuple(0.002 * (1 + i % 3) for i in range(channels if per_channel else 1))
    weights = random_constant((1, 3, 5, channels), "int8", scales=scales, axis=3)
    x = Operand((2, *size, channels), "int16", 0.001)
    shape = (2, *(-(-n // stride) for n in size), channels)
    options = {"padding": "SAME", "stride_h": stride, "stride_w": stride, "depth_multiplier": 1}
    options["fused_activation_function"] = activation
    bias = numbers(np.arange(channels) * 3_001 - 7_000, "int64")
    return Layer("DEPTHWISE_CONV_2D", (x, weights, bias), Operand(shape, "int16", 0.01), options, 5)


CASES = {
    "odd": conv(stride=2),
    "pointwise": conv((3, 5), 10, 7, (1, 1)),
    "long": conv((2, 3), 48, 6, (5, 5), y=0.9),
    "pairs_stride_2": conv((7, 9), 8, 6, stride=2),
    "pairs_rest": conv((4, 7), 7, 9),
    "pairs_loop": conv((2, 5), 104, 4, (1, 1)),
    "pairs_too_far": conv((2, 5), 130, 4, (1, 1)),
    "runs_of_8": conv((4, 3), 8, 16),
    "depthwise": _depthwise((5, 6), 9),
    "depthwise_pairs": _depthwise((4, 9), 8),
    "depthwise_per_tensor": _depthwise((4, 5), 10, per_channel=False),
    "depthwise_pairs_stride_2": _depthwise((7, 11), 19, 2),
    "depthwise_stride_2": _depthwise((7, 6), 4, 2, "RELU6"),
    "depthwise_few": _depthwise((3, 2), 3),
    "dense": dense(1, 24, 6),
    "dense_rest": dense(4, 21, 7, per_channel=True),
    "dense_large": dense(2, 300, 9, y=0.03),
    "dense_long": dense(1, 1500, 5, y=0.1),
    "dense_few": dense(2, 9, 3),
    **{
        f"{operator.lower()}_{name}": layer
        for operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        for name, layer in TABLES[operator].items()
    },
}

#: Groups, few channels, and sums or scales beyond 32 bits are not for the kernels.
_OTHER = {"conv_2d_groups", "depthwise_few", "long", "conv_2d_saturates", "dense_long", "dense_few"}


@cache
def layers() -> SideBySide:
    return SideBySide("mve_half_layers", CASES, 0.0)


def test_on_host(tmp_path: Path) -> None:
    artifact = layers().compile(BOARD)
    plain = {layer.name for layer in artifact.layers if not layer.schedule.startswith("mve")}
    assert {name.rpartition("/")[0] for name in plain} == _OTHER
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_board() -> None:
    layers().check_board(BOARD)


@on_qemu
@pytest.mark.parametrize(
    ("layer", "most"),
    [(conv((8, 8), 32, 32), 0.35), (_depthwise((12, 12), 32), 1.45), (dense(1, 256, 64), 0.45)],
    ids=["convolution", "depthwise", "dense"],
)
def test_instructions(layer: Layer, most: float) -> None:
    artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="layer"), BOARD)
    (done,) = artifact.layers
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert result.instructions < most * done.macs
