"""Whole models on the host, under sanitizers: every layer against LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from host_main import HostRun
from host_runner import HostResult, run_each_on_host

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


_Together = tuple[str, dict[Path, tuple[HostRun, list[HostResult]]]]


def _together(cpu: str, paths: Sequence[Path], folder: Path) -> _Together:
    """A CPU, and the run and the results of each model, all in one program."""
    runs = {path: _run_of(path, cpu) for path in paths}
    results = run_each_on_host(runs, folder)
    return cpu, {path: (run, results[path]) for path, run in runs.items()}


@pytest.fixture(scope="module", params=["cortex-m0", "cortex-m4"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Together:
    paths = [models.path(name) for name in models.names()]
    return _together(request.param, paths, tmp_path_factory.mktemp("shipped"))


@pytest.mark.parametrize("name", models.names())
def test_shipped(name: str, shipped: _Together) -> None:
    cpu, found = shipped
    _assert_exact(models.path(name), cpu, *found[models.path(name)])


_NAMES = ("ad", "ic", "kws", "sww", "vww")
_WITHOUT_DSP_EXTENSION = ("ad", "kws")


def _benchmark(name: str) -> Path:
    return MLPERF_TINY / f"{name}_int8.tflite"


@pytest.fixture(scope="module")
def mlperf_tiny(tmp_path_factory: pytest.TempPathFactory) -> _Together:
    return _together("cortex-m4", [*map(_benchmark, _NAMES)], tmp_path_factory.mktemp("mlperf"))


@pytest.fixture(scope="module")
def without_dsp_extension(tmp_path_factory: pytest.TempPathFactory) -> _Together:
    paths = [*map(_benchmark, _WITHOUT_DSP_EXTENSION)]
    return _together("cortex-m3", paths, tmp_path_factory.mktemp("without"))


@needs_mlperf_tiny
@pytest.mark.parametrize("name", _NAMES)
def test_mlperf_tiny(name: str, mlperf_tiny: _Together) -> None:
    cpu, found = mlperf_tiny
    _assert_exact(_benchmark(name), cpu, *found[_benchmark(name)])


@needs_mlperf_tiny
@pytest.mark.parametrize("name", _WITHOUT_DSP_EXTENSION)
def test_mlperf_tiny_without_dsp_extension(name: str, without_dsp_extension: _Together) -> None:
    cpu, found = without_dsp_extension
    _assert_exact(_benchmark(name), cpu, *found[_benchmark(name)])
