"""No layer reads a byte that another layer has overwritten, shown by running the generated C."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network

import tvmtiny
from tests.codegen.host_programs import compiled_file
from tests.codegen.shadow_memory import run_all_with_shadow, run_with_shadow
from tests.tools import MLPERF_TINY, needs_mlperf_tiny
from tvmtiny import models
from tvmtiny.codegen import requests


def assert_intact(compiled: Sequence[tuple[tvmtiny.Model, tvmtiny.Artifact]], folder: Path) -> None:
    inputs = [tvmtiny.make_inputs("random:3", artifact.inputs) for _, artifact in compiled]
    runs = [(artifact, given) for (_, artifact), given in zip(compiled, inputs, strict=True)]
    for (model, artifact), given, layers in zip(
        compiled, inputs, run_all_with_shadow(runs, folder), strict=True
    ):
        expected = model.reference(given)
        for layer, got in zip(artifact.layers, layers, strict=True):
            wanted = expected[layer.tensor]
            if layer.kept_channels is not None:
                wanted = wanted[..., list(layer.kept_channels)]
            where = f"{model.name}: layer {layer.index} {layer.operator}"
            np.testing.assert_array_equal(got, wanted, err_msg=where)


@needs_mlperf_tiny
def test_mlperf_tiny(tmp_path: Path) -> None:
    paths = [MLPERF_TINY / f"{name}_int8.tflite" for name in ("ad", "ic", "kws", "sww", "vww")]
    assert_intact([compiled_file(path, "cortex-m4") for path in paths], tmp_path)


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_shipped(cpu: str, tmp_path: Path) -> None:
    assert_intact([compiled_file(models.path(name), cpu) for name in models.names()], tmp_path)


def test_random_networks(tmp_path: Path) -> None:
    seeds = random.Random(1).sample(range(10_000), 25)
    loaded = [tvmtiny.load(random_network(seed), name=f"random{seed}") for seed in seeds]
    compiled = [(model, tvmtiny.compile(model, "cortex-m4")) for model in loaded]
    assert_intact(compiled, tmp_path)


def test_a_wrong_overlap_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stated = requests._overlaps

    def wrong(*arguments: object) -> object:
        for overlap in stated(*arguments):  # type: ignore[arg-type]
            yield replace(overlap, before=overlap.before - 64)

    monkeypatch.setattr(requests, "_overlaps", wrong)
    artifact = tvmtiny.compile(tvmtiny.load(models.path("digits")), "cortex-m4")
    assert artifact.problem.overlaps
    inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
    with pytest.raises(pytest.fail.Exception, match=r"layer \d+ reads an overwritten byte at"):
        run_with_shadow(artifact, inputs, tmp_path)
