"""3x3 convolutions by Winograd transforms: algebra, C twins on the host, assembly on a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families import dsp
from tvmtiny.schedule.families.dsp.convolution import implement_convolution
from tvmtiny.schedule.families.dsp.winograd import pack_winograd, transform_filters
from tvmtiny.schedule.implementation import Goal, Implementation
from tvmtiny.schedule.scaling import Scaling

BOARD = "mps2-an386"

_INPUTS = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_OUTPUTS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
_DECISIONS = {"sketch": "winograd"}

#: A layer that is clamped at its zero point, so its rounding needs no sign.
_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.5)

#: The layers of ic with stride 1, and the limit of instructions per multiply-accumulate.
REFERENCE = {
    "ic_32x32x16": (replace(_RELU, size=(32, 32), channels=16, filters=16), 0.496),
    "ic_16x16x32": (replace(_RELU, size=(16, 16), channels=32, filters=32), 0.400),
    "ic_8x8x64": (replace(_RELU, size=(8, 8), channels=64, filters=64), 0.360),
}


def test_transforms_are_four_times_the_convolution() -> None:
    """Both sides are linear in inputs and in weights, so unit vectors prove the identity."""
    for taps, pixels in product(np.eye(9, dtype=np.int8), np.eye(16, dtype=np.int64)):
        factors = transform_filters(taps[None])[0, :, 0].reshape(4, 4).T
        products = factors * (_INPUTS @ pixels.reshape(4, 4) @ _INPUTS.T)
        windows = np.lib.stride_tricks.sliding_window_view(pixels.reshape(4, 4), (3, 3))
        expected = 4 * np.einsum("abyx,yx->ab", windows, taps.reshape(3, 3).astype(np.int64))
        np.testing.assert_array_equal(_OUTPUTS @ products @ _OUTPUTS.T, expected)


def test_all_extreme_inputs_fit_16_bits() -> None:
    bits = np.arange(2**16)[:, None] >> np.arange(16) & 1
    corners = (255 * bits - 128).reshape(-1, 4, 4)
    transformed = _INPUTS @ corners @ _INPUTS.T
    assert (transformed.min(), transformed.max()) == (-512, 510)


@pytest.mark.parametrize("largest", [1, 28, 56, 57, 113, 114, 127, 128])
def test_all_extreme_weights_fit_16_bits(largest: int) -> None:
    """A transform is linear, so it is largest where every weight is largest."""
    corners = np.array(list(product((-largest, min(largest, 127)), repeat=9)), np.int8)
    weights = np.repeat(corners, 4, axis=1)
    assert np.abs(transform_filters(weights)).max() == 9 * largest
    nothing = np.zeros(len(weights), np.int32)
    stream, left = pack_winograd(weights, Scaling(nothing, nothing, 12))
    words = stream.reshape(len(weights) // 2, -1)[:, :-4]
    lanes = np.stack([words.astype(np.int16), (words >> 16).astype(np.int16)])
    assert np.abs(lanes.astype(np.int64)).max() == 9 * largest << 6 - left < 2**15
    assert left == max(0, int(np.ceil(np.log2(9 * largest * 64 / (2**15 - 1)))))


def _random_cases(count: int, seed: int) -> dict[str, Conv]:
    """Layers of any size with weights of all ranges."""
    rng = np.random.default_rng(seed)
    cases: dict[str, Conv] = {}
    while len(cases) < count:
        largest = int(rng.choice([30, 57, 100, 127]))
        case = replace(
            _RELU if rng.random() < 0.5 else Conv(),
            size=(int(rng.integers(2, 12)), int(rng.integers(2, 12))),
            channels=int(rng.choice([4, 8, 12, 20, 64, 128], p=(0.3, 0.3, 0.2, 0.1, 0.05, 0.05))),
            filters=2 * int(rng.integers(1, 5)),
            padding=str(rng.choice(["SAME", "VALID"])),
            batch=int(rng.integers(1, 3)),
            weight_range=(-largest - 1, largest if rng.random() < 0.8 else 9 - largest),
            per_channel=bool(rng.random() < 0.8),
        )
        if min(case.output_shape()) > 1 and _implement(case) is not None:
            cases[f"random_{len(cases)}"] = case
    return cases


def _node(case: Conv) -> Node:
    return read_graph(case.model(), "case").nodes[0]


def _implement(case: Conv) -> Implementation | None:
    return implement_convolution(_node(case), Oracle.LITERT, Goal.SPEED, _DECISIONS)


@pytest.fixture(scope="module")
def layers() -> SideBySide:
    """All layers use transforms, whether or not that is the fastest way."""
    with pytest.MonkeyPatch.context() as patch:

        def implement(
            node: Node, oracle: Oracle, goal: Goal, decisions: Mapping[str, int | str] | None = None
        ) -> Implementation | None:
            return implement_convolution(node, oracle, goal, decisions or _DECISIONS)

        patch.setitem(dsp._IMPLEMENT, "CONV_2D", implement)
        patch.setitem(dsp._SMALLER, "CONV_2D", lambda node, decisions: iter(()))
        made = SideBySide("winograd_layers", _random_cases(40, 2), 0.0)
        schedules = [layer.schedule for layer in made.compile(BOARD).layers]
    assert all("winograd" in schedule for schedule in schedules)
    assert sum("by sign" in schedule for schedule in schedules) >= 5
    return made


def test_random_layers_on_host(layers: SideBySide, tmp_path: Path) -> None:
    kernels = layers.compile(BOARD).files["winograd_layers_kernels.c"]
    steps = [line.split(", ") for line in str(kernels).split("\n") if "WINOGRAD_TILES(" in line]
    assert {int(step[6]) for step in steps} == {0, 1, 2}
    layers.check_host(BOARD, tmp_path)


@on_qemu
def test_random_layers_on_board(layers: SideBySide) -> None:
    layers.check_board(BOARD)


@on_qemu
@pytest.mark.parametrize("name", REFERENCE)
def test_reference_layer(name: str) -> None:
    """Exact on the board, within the measured instructions; chosen only for the goal speed."""
    case, limit = REFERENCE[name]
    model = tvmtiny.load(case.model(), name=name)
    artifact = tvmtiny.compile(model, BOARD, optimize="speed")
    (layer,) = artifact.layers
    assert "winograd" in layer.schedule
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    assert result.instructions <= limit * layer.macs


def test_transformed_weights_are_paid_for_by_the_flash_budget() -> None:
    case, _ = REFERENCE["ic_32x32x16"]
    model = tvmtiny.load(case.model(), name="budget")

    def schedule(goal: str, budget: int | None = None) -> str:
        artifact = tvmtiny.compile(model, BOARD, optimize=goal, flash_budget=budget)
        return artifact.layers[0].schedule

    assert "winograd" not in schedule("balanced")
    assert "winograd" in schedule("speed") and "winograd" in schedule("speed", 9000)
    assert "winograd" not in schedule("speed", 8000)


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": (2, 2)},
        {"dilation": (2, 1)},
        {"kernel": (3, 1)},
        {"channels": 6},
        {"channels": 132},
        {"filters": 5},
        {"groups": 2},
        {"size": (2, 3)},
    ],
    ids=str,
)
def test_other_layers_are_refused(changes: dict[str, object]) -> None:
    case = replace(_RELU, size=(5, 6), channels=8, filters=6)
    assert _implement(case) is not None
    assert _implement(replace(case, **changes)) is None  # type: ignore[arg-type]
