"""A core without boards and kernels of its own: plain C gives the same results there."""

from __future__ import annotations

from pathlib import Path

import avr
import pytest
import xtensa

import tvmtiny
from tvmtiny import models


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["cortex-m0", "rv32imc", "rv32imcv"])
def test_digits(target: str, tmp_path: Path) -> None:
    """Kernels for other cores fall back on their portable twins."""
    xtensa.skip_without()
    model = tvmtiny.load(models.path("digits"))
    artifact = tvmtiny.compile(model, target)
    samples = [tvmtiny.make_inputs(kind, artifact.inputs) for kind in ("ramp", "random:1")]
    printed = avr.run_artifact(artifact, samples, tmp_path, xtensa.RUNTIME, xtensa.run_main)
    for outputs, inputs in zip(printed, samples, strict=True):
        tensors = model.reference(inputs)
        assert outputs == b"".join(tensors[t.index].tobytes() for t in model.graph.outputs)
