"""Whole models on the host, under sanitizers: every layer against LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from host_main import HostRun
from host_runner import HostResult, run_each_on_host, run_on_host

import tvmtiny
from tests.codegen.host_programs import compiled_file
from tests.tools import MLPERF_TINY, needs_mlperf_tiny
from tvmtiny import models
from tvmtiny.results import RunResult


def _run_of(path: Path, cpu: str) -> HostRun:
    artifact = compiled_file(path, cpu)[1]
    kinds = ("ramp", "random:1")
    return HostRun(artifact, [tvmtiny.make_inputs(kind, artifact.inputs) for kind in kinds])


def _assert_exact(path: Path, cpu: str, run: HostRun, results: Sequence[HostResult]) -> None:
    model, artifact = compiled_file(path, cpu)
    for inputs, result in zip(run.input_sets, results, strict=True):
        like: RunResult = result  # type: ignore[assignment]
        compared = tvmtiny.check(model, artifact, like, inputs)
        assert compared.exact, compared.first_mismatch
        assert compared.layers_compared > 0


def _assert_exact_alone(path: Path, cpu: str, folder: Path) -> None:
    run = _run_of(path, cpu)
    _assert_exact(path, cpu, run, run_on_host(run.artifact, run.input_sets, folder))


_Shipped = tuple[str, dict[str, tuple[HostRun, list[HostResult]]]]


@pytest.fixture(scope="module", params=["cortex-m0", "cortex-m4"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Shipped:
    """A CPU, and the run and the results of each shipped model, all in one program."""
    runs = {name: _run_of(models.path(name), request.param) for name in models.names()}
    results = run_each_on_host(runs, tmp_path_factory.mktemp("shipped"))
    return request.param, {name: (run, results[name]) for name, run in runs.items()}


@pytest.mark.parametrize("name", models.names())
def test_shipped(name: str, shipped: _Shipped) -> None:
    cpu, found = shipped
    _assert_exact(models.path(name), cpu, *found[name])


@needs_mlperf_tiny
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "sww", "vww"])
def test_mlperf_tiny(name: str, tmp_path: Path) -> None:
    _assert_exact_alone(MLPERF_TINY / f"{name}_int8.tflite", "cortex-m4", tmp_path)


@needs_mlperf_tiny
@pytest.mark.parametrize("name", ["ad", "kws"])
def test_mlperf_tiny_without_dsp_extension(name: str, tmp_path: Path) -> None:
    _assert_exact_alone(MLPERF_TINY / f"{name}_int8.tflite", "cortex-m3", tmp_path)
