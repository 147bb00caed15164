"""Layers without exact constants on the tile kernels: rounding in double, and instructions."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import tvmtiny
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu
from tvmtiny.ops import fully_connected

BOARD = "mps2-an386"


def test_rounding_in_double(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fully_connected, "exact_multiplier", lambda *_: None)
    # Otherwise, outputs would be clamped after kernels with the usual constants.
    module = import_module("tvmtiny.schedule.implement")
    monkeypatch.setattr(module, "clamped_later", lambda _: None)
    cases = {
        "one_scale": Dense((4, 24), 24, 6, activation="RELU6"),
        "four_channels": Dense((8, 24), 24, 4, activation="RELU6"),
        "own_scales": Dense((3, 24), 24, 5, activation="RELU6", per_channel=True),
    }
    layers = SideBySide("doubles", cases, 0.0)
    for layer in layers.compile("cortex-m4").layers:
        assert layer.schedule.endswith("rounded in double")
    layers.check_host("cortex-m4", tmp_path)


@on_qemu
@pytest.mark.parametrize(
    ("case", "most"),
    [
        (Dense((1, 4000), 4000, 4, output_scale=3.0), 1.2),
        (Dense((1, 640), 640, 32, output_scale=2.0, weight_zero_point=5), 1.1),
    ],
    ids=["long", "zero_point"],
)
def test_instructions(case: Dense, most: float) -> None:
    artifact = tvmtiny.compile(tvmtiny.load(case.model(), name="dense"), BOARD)
    (layer,) = artifact.layers
    assert ", sums in " in layer.schedule
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert result.instructions < most * layer.macs
