"""Dense layers of one pixel with inputs on the stack: exact results, and the choice for speed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import SideBySide
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Oracle
from tvmtiny.report.profile import profile
from tvmtiny.schedule import Goal, implement, space
from tvmtiny.schedule.families.dsp.convolution import smaller_convolution
from tvmtiny.targets import resolve

BOARD = "mps2-an386"

#: A layer whose rounding needs no sign.
_RELU = Dense((1, 128), 128, 24, activation="RELU", zero_points=(-128, -128), per_channel=True)

CASES = {
    "deep": _RELU,
    "two_parts": replace(_RELU, shape=(1, 192), depth=192, channels=16),
    "five_parts": replace(_RELU, shape=(1, 640), depth=640, channels=8, output_scale=1.5),
    "short": replace(_RELU, shape=(1, 16), depth=16, channels=8),
    "saturated": replace(_RELU, shape=(1, 48), depth=48, channels=16, output_scale=0.001),
    "zero_points": replace(_RELU, zero_points=(127, -128), channels=8, output_scale=1.5),
    "linear": Dense((1, 64), 64, 8),
    "pointwise": Conv((1, 1), 32, 16, (1, 1), activation="RELU", zero_points=(-128, -128)),
}

#: Layers that the kernel does not compute.
OTHERS = {
    "rows": replace(_RELU, shape=(2, 128)),
    "depth": replace(_RELU, shape=(1, 24), depth=24),
    "no_equal_parts": replace(_RELU, shape=(1, 144), depth=144),
    "channels": replace(_RELU, channels=20),
    "by_sign": Conv((1, 1), 16, 8, (1, 1)),
    "no_pairs": Conv((1, 1), 16, 8, (1, 1), weight_range=(-128, -127), output_scale=2.0),
}

_CHOSEN = {"sketch": "dense"}


@cache
def _candidates() -> Candidates:
    return Candidates("dense", CASES, BOARD, scalar=False, only=_CHOSEN)


def test_exact_on_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _candidates().force(monkeypatch)
    _candidates().layers.check_host(BOARD, tmp_path)
    layers = _candidates().layers.compile(BOARD).layers
    assert len(layers) == len(CASES)
    assert all("inputs on the stack" in layer.schedule for layer in layers)


@on_qemu
def test_exact_on_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    _candidates().force(monkeypatch)
    _candidates().layers.check_board(BOARD)


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_take_other_kernels(name: str) -> None:
    (node,) = optimized_nodes(tvmtiny.load(OTHERS[name].model(), name=name))
    assert implement(node, resolve(BOARD).cpu, Oracle.LITERT, Goal.SPEED, _CHOSEN) is None


def test_is_the_choice_for_speed_only() -> None:
    (node,) = optimized_nodes(tvmtiny.load(_RELU.model(), name="dense"))
    cpu = resolve(BOARD).cpu
    for goal in Goal:
        found = space(node, cpu, Oracle.LITERT, goal)
        assert _CHOSEN in found
        assert (found.default == _CHOSEN) == (goal is Goal.SPEED)


def test_parts_can_do_without_sums() -> None:
    (node,) = optimized_nodes(tvmtiny.load(CASES["two_parts"].model(), name="dense"))
    cpu = resolve(BOARD).cpu
    (smaller,) = smaller_convolution(node, _CHOSEN)
    made = implement(node, cpu, Oracle.LITERT, Goal.SPEED, smaller)
    assert made is not None and smaller["sketch"] == "direct"


@on_qemu
@pytest.mark.parametrize("depth", [128, 640])
def test_cycles(depth: int) -> None:
    case = replace(_RELU, shape=(1, depth), depth=depth, channels=128)
    layers = SideBySide("dense", {"layer": case}, 0.0)
    artifact = tvmtiny.compile(layers.load(), BOARD, optimize="speed")
    found = profile(artifact, *layers.input_sets[0])
    (layer,) = found.layers
    assert layer.estimated_cycles < 1.205 * layer.macs
