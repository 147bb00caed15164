"""Whole models on the host, under sanitizers: every layer against LiteRT."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_runner import run_on_host

import tvmtiny
from tests.codegen.host_programs import compiled_file
from tests.tools import MLPERF_TINY, needs_mlperf_tiny
from tvmtiny import models
from tvmtiny.results import RunResult


def _assert_exact(path: Path, cpu: str, folder: Path) -> None:
    model, artifact = compiled_file(path, cpu)
    sets = [tvmtiny.make_inputs(kind, artifact.inputs) for kind in ("ramp", "random:1")]
    for inputs, result in zip(sets, run_on_host(artifact, sets, folder), strict=True):
        like: RunResult = result  # type: ignore[assignment]
        compared = tvmtiny.check(model, artifact, like, inputs)
        assert compared.exact, compared.first_mismatch
        assert compared.layers_compared > 0


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("name", models.names())
def test_shipped(name: str, cpu: str, tmp_path: Path) -> None:
    _assert_exact(models.path(name), cpu, tmp_path)


@needs_mlperf_tiny
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "sww", "vww"])
def test_mlperf_tiny(name: str, tmp_path: Path) -> None:
    _assert_exact(MLPERF_TINY / f"{name}_int8.tflite", "cortex-m4", tmp_path)


@needs_mlperf_tiny
@pytest.mark.parametrize("name", ["ad", "kws"])
def test_mlperf_tiny_without_dsp_extension(name: str, tmp_path: Path) -> None:
    _assert_exact(MLPERF_TINY / f"{name}_int8.tflite", "cortex-m3", tmp_path)
