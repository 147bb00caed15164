"""No layer reads a byte that another has overwritten, by executing the generated C."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_network

import tvmtiny
from tests.codegen.programs import compiled_file
from tests.codegen.shadow_memory import run_with_shadow
from tests.tools import MLPERF_TINY, needs_mlperf_tiny
from tvmtiny import models
from tvmtiny.codegen import requests


def assert_intact(model: tvmtiny.Model, artifact: tvmtiny.Artifact, folder: Path) -> None:
    inputs = tvmtiny.make_inputs("random:3", artifact.inputs)
    layers = run_with_shadow(artifact, inputs, folder)
    expected = model.reference(inputs)
    for layer, got in zip(artifact.layers, layers, strict=True):
        wanted = expected[layer.tensor]
        if layer.kept_channels is not None:
            wanted = wanted[..., list(layer.kept_channels)]
        np.testing.assert_array_equal(got, wanted, err_msg=f"layer {layer.index} {layer.operator}")


@needs_mlperf_tiny
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "sww", "vww"])
def test_mlperf_tiny(name: str, tmp_path: Path) -> None:
    assert_intact(*compiled_file(MLPERF_TINY / f"{name}_int8.tflite", "cortex-m4"), tmp_path)


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("name", models.names())
def test_shipped(name: str, cpu: str, tmp_path: Path) -> None:
    assert_intact(*compiled_file(models.path(name), cpu), tmp_path)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000))
def test_random_networks(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = tvmtiny.load(random_network(seed), name="random")
    artifact = tvmtiny.compile(model, "cortex-m4")
    assert_intact(model, artifact, tmp_path_factory.mktemp("random"))


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
