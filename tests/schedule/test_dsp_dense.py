"""Dense layers of one pixel by inner products: exact results, and the choice of kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tflite_builder import ModelBuilder

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import SideBySide
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Oracle
from tvmtiny.report.profile import profile
from tvmtiny.schedule import Goal, Implementation, implement, space
from tvmtiny.schedule.families.dsp.convolution import smaller_convolution
from tvmtiny.schedule.families.dsp.dense import pack_dense
from tvmtiny.schedule.scaling import Scaling
from tvmtiny.targets import resolve

BOARD = "mps2-an386"

#: A layer whose rounding needs no sign.
_RELU = Dense((1, 128), 128, 24, activation="RELU", zero_points=(-128, -128), per_channel=True)


@dataclass(frozen=True)
class Extreme:
    """A layer whose weights are the least and the largest in the format, for all inputs."""

    weights: tuple[int, int]
    zero_points: tuple[int, int]

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        b = ModelBuilder()
        x = b.input("x", (1, 64), "int8", scale=0.04, zero_point=self.zero_points[0])
        weights = np.repeat(np.array([self.weights] * 5, np.int8).reshape(10, 1), 64, axis=1)
        w = b.constant("w", weights, scales=[0.02], zero_points=[0])
        y = b.tensor("y", (1, 10), "int8", scale=8.0, zero_point=self.zero_points[1])
        b.op("FULLY_CONNECTED", [x, w], [y], {"fused_activation_function": "NONE"}, version=9)
        return b.build([y])


CASES = {
    "deep": _RELU,
    "two_fours": replace(_RELU, shape=(1, 96), depth=96, channels=14),
    "iterations": replace(_RELU, shape=(1, 640), depth=640, channels=10, output_scale=1.5),
    "far": Conv((1, 1), 2056, 6, (1, 1), weight_range=(-20, 20), output_scale=0.8),
    "saturated": replace(_RELU, shape=(1, 20), depth=20, channels=16, output_scale=0.001),
    "one_group": replace(_RELU, shape=(1, 4), depth=4, channels=12),
    "part_of_a_group": replace(_RELU, shape=(1, 27), depth=27, channels=12),
    "odd": replace(_RELU, shape=(1, 12), depth=12, channels=7),
    "zero_points": replace(_RELU, zero_points=(127, -128), channels=8, output_scale=1.5),
    "linear": Dense((1, 64), 64, 12),
    "pointwise": Conv((1, 1), 32, 16, (1, 1), activation="RELU", zero_points=(-128, -128)),
    "by_sign": Conv((1, 1), 36, 10, (1, 1)),
    "least": Extreme((-128, -127), (127, 0)),
    "largest": Extreme((127, 127), (-128, 127)),
    "mixed": Extreme((-128, 127), (0, -128)),
}

#: Layers that the kernels do not compute.
OTHERS = {
    "rows": replace(_RELU, shape=(2, 128)),
    "channels": replace(_RELU, channels=3),
    "no_pairs": Conv((1, 1), 16, 8, (1, 1), weight_range=(-128, -127), output_scale=2.0),
}


@cache
def _candidates() -> Candidates:
    return Candidates("dense", CASES, BOARD, scalar=False, only={"sketch": "dense"})


def _made(case: Dense | Conv, goal: Goal, decisions: object = None) -> Implementation | None:
    (node,) = optimized_nodes(tvmtiny.load(case.model(), name="dense"))
    return implement(node, resolve(BOARD).cpu, Oracle.LITERT, goal, decisions)


def test_exact_on_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _candidates().force(monkeypatch)
    _candidates().layers.check_host(BOARD, tmp_path)
    layers = _candidates().layers.compile(BOARD).layers
    assert all("inner products" in layer.schedule for layer in layers)
    tried = {(name, value) for _, name, value in _candidates().values() if name == "tile"}
    assert tried == {("tile", t) for t in ("1x4", "1x4_direct", "1x6", "1x6_direct")}


@on_qemu
def test_exact_on_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    _candidates().force(monkeypatch)
    _candidates().layers.check_board(BOARD)


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_take_other_kernels(name: str) -> None:
    way = {"sketch": "dense", "tile": "1x4", "unroll": 2}
    assert _made(OTHERS[name], Goal.SPEED, way) is None
    found = _made(OTHERS[name], Goal.SPEED)
    assert found is None or found.decisions["sketch"] != "dense"


@pytest.mark.parametrize(("goal", "tile"), [(Goal.SPEED, "1x6"), (Goal.BALANCED, "1x4")])
def test_choice(goal: Goal, tile: str) -> None:
    (node,) = optimized_nodes(tvmtiny.load(replace(_RELU, channels=128).model(), name="dense"))
    cpu = resolve(BOARD).cpu
    made = implement(node, cpu, Oracle.LITERT, goal)
    assert made is not None
    assert made.decisions["sketch"] == "dense" and made.decisions["tile"] == tile
    assert made.decisions in space(node, cpu, Oracle.LITERT, goal)


def test_can_do_without_a_patch() -> None:
    (node,) = optimized_nodes(tvmtiny.load(CASES["iterations"].model(), name="dense"))
    smaller = list(smaller_convolution(node, {"sketch": "dense", "tile": "1x6", "unroll": 4}))
    assert [way["tile"] for way in smaller] == ["1x6_direct", "1x4_direct"]
    assert not list(smaller_convolution(node, smaller[0]))
    part = replace(_RELU, shape=(1, 27), depth=27)
    (node,) = optimized_nodes(tvmtiny.load(part.model(), name="dense"))
    assert not list(smaller_convolution(node, {"sketch": "dense", "tile": "1x6", "unroll": 1}))


def test_constants_are_sums_modulo_two_to_the_32() -> None:
    weights = np.full((4, 8), -128, np.int8)
    initial = np.array([-(2**31), 2**31 - 1, 0, 1])
    stream = pack_dense(
        weights, Scaling(initial, np.ones(4, np.int64), 1, None, None), [*range(4)], 4
    )
    excess = 4 * 2**14
    assert stream.dtype == np.int32
    assert stream[:2].tolist() == [2**31 - 1 + excess - 2**32, 1 + excess]
    assert stream[10:12].tolist() == [2**31 - 256 * excess, -256 * excess]


@on_qemu
def test_slices() -> None:
    case = replace(_RELU, shape=(1, 640), depth=640, channels=32, output_scale=1.5)
    layers = SideBySide("dense", {"layer": case}, 0.0)
    artifact = tvmtiny.compile(layers.load(), BOARD, longest_slice=8000)
    assert "tile 1x6" in artifact.layers[0].schedule
    found = tvmtiny.run(artifact, *layers.input_sets[0])
    assert tvmtiny.check(layers.load(), artifact, found, layers.input_sets[0]).exact
    assert found.pauses is not None and len(found.pauses.slices) > 2
    assert max(found.pauses.slices) <= 8000


@on_qemu
@pytest.mark.parametrize(
    ("depth", "goal", "most"),
    # A layer by itself needs the least RAM without a patch.
    [(128, "speed", 1.14), (640, "speed", 1.1), (128, "balanced", 0.9)],
)
def test_cost(depth: int, goal: str, most: float) -> None:
    case = replace(_RELU, shape=(1, depth), depth=depth, channels=128)
    layers = SideBySide("dense", {"layer": case}, 0.0)
    artifact = tvmtiny.compile(layers.load(), BOARD, optimize=goal)
    found = profile(artifact, *layers.input_sets[0])
    (layer,) = found.layers
    took = layer.estimated_cycles if goal == "speed" else layer.instructions
    assert took < most * layer.macs
