"""Models that run row by row give the bytes of every layer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import HostResult, run_all_on_host, run_on_host
from small_networks import Network

import tvmtiny
from tests.codegen.shadow_memory import run_all_with_shadow
from tests.streaming.row_networks import growing_network, random_segments, row_network
from tvmtiny.codegen.stream import ProgramStreamer
from tvmtiny.errors import InputError
from tvmtiny.streaming.plan import Planner

#: Number of networks; the environment may ask for any number of others.
NETWORKS = 10
SEEDS = range(int(os.environ.get("TVMTINY_ROW_SEEDS", NETWORKS)))


def in_slices(model: tvmtiny.Model, cpu: str, seed: int, **options: str) -> tvmtiny.Artifact:
    """Compile; every other model in the shortest slices that its layers allow."""
    longest = 1_000 if seed % 2 else None
    while True:
        try:
            return tvmtiny.compile(model, cpu, longest_slice=longest, **options)
        except InputError as error:
            # Another layer may be divided into fewer parts, so that its longest part is longer.
            least = re.search(r"cannot be divided further; give longest_slice (\d+)", str(error))
            if least is None or longest is None or int(least[1]) <= longest:
                raise
            longest = int(least[1])


def assert_layers(
    model: tvmtiny.Model,
    artifact: tvmtiny.Artifact,
    layers: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
    whole: Mapping[int, np.ndarray],
    number: int = 0,
) -> None:
    """Compare layers with LiteRT, and the bits of floats with those of whole layers.

    LiteRT rounds sums in another order. Among hundreds of networks there are sums of large terms
    that cancel out and differ by more than the bound, so floats of the first ones are compared.
    """
    expected = model.reference(inputs)
    for layer, got in zip(artifact.layers, layers, strict=True):
        wanted = expected[layer.tensor]
        if layer.kept_channels is not None:
            wanted = wanted[..., list(layer.kept_channels)]
        what = f"{model.name}: layer {layer.index} {layer.operator}"
        if got.dtype != np.float32:
            np.testing.assert_array_equal(got, wanted, err_msg=what)
            continue
        bits = whole[layer.tensor].view(np.uint32)
        np.testing.assert_array_equal(got.view(np.uint32), bits, err_msg=what)
        if number < NETWORKS:
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4, err_msg=what)


def whole_runs(
    models: Sequence[tvmtiny.Model], cpu: str, inputs: Sequence[Sequence[np.ndarray]]
) -> list[HostRun]:
    """Runs of the models with float32 inputs, each layer as a whole, under names of their own."""
    return [
        HostRun(tvmtiny.compile(replace(model, name=_whole(model)), cpu, stream="none"), [data])
        for model, data in zip(models, inputs, strict=True)
        if any(tensor.dtype == "float32" for tensor in model.graph.inputs)
    ]


def _whole(model: tvmtiny.Model) -> str:
    return f"{model.name}whole"


def whole_floats(
    models: Sequence[tvmtiny.Model], runs: Sequence[HostRun], results: Sequence[list[HostResult]]
) -> list[dict[int, np.ndarray]]:
    """The tensors of models by number, as the programs of `whole_runs` computed them."""
    tensors: dict[str, dict[int, np.ndarray]] = {_whole(model): {} for model in models}
    for run, (result,) in zip(runs, results, strict=True):
        layers = zip(run.artifact.layers, result.layers, strict=True)
        tensors[run.artifact.name] = {layer.tensor: data for layer, data in layers}
    return list(tensors.values())


@pytest.mark.parametrize(
    ("cpu", "network", "dtype"),
    [
        ("cortex-m4", row_network, "int8"),
        ("cortex-m0", row_network, "int8"),
        ("cortex-m33", growing_network, "int8"),
        ("cortex-m55", growing_network, "float32"),
    ],
)
def test_random_segments_inside(
    cpu: str,
    network: Callable[[int, str], bytes],
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(ProgramStreamer, "saves_memory", lambda *_: True)
    models, runs = [], []
    for seed in SEEDS:
        monkeypatch.setattr(Planner, "choose", random_segments(seed))
        models.append(tvmtiny.load(network(seed, dtype), name=f"rows{seed}"))
        artifact = in_slices(models[-1], cpu, seed, stream="inside")
        runs.append((artifact, tvmtiny.make_inputs(f"random:{seed}", artifact.inputs)))
    layers = run_all_with_shadow(runs, tmp_path)
    wholes = whole_runs(models, cpu, [inputs for _, inputs in runs])
    results = run_all_on_host(wholes, tmp_path / "whole") if wholes else []
    whole = whole_floats(models, wholes, results)
    for number, (artifact, inputs) in enumerate(runs):
        assert_layers(models[number], artifact, layers[number], inputs, whole[number], number)
    streamed = sum(artifact.stream is not None for artifact, _ in runs)
    assert streamed > len(SEEDS) * 0.7


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("network", [row_network, growing_network])
def test_random_segments_of_pushed_rows(
    network: Callable[[int, str], bytes],
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    models, runs = [], []
    for seed in SEEDS:
        monkeypatch.setattr(Planner, "choose", random_segments(seed))
        model = tvmtiny.load(network(seed, dtype), name=f"rows{seed}")
        try:
            artifact = in_slices(model, "cortex-m4", seed, stream="rows")
        except InputError:
            continue
        models.append(model)
        inputs = tvmtiny.make_inputs(f"random:{seed}", artifact.inputs)
        runs.append(HostRun(artifact, [inputs]))
    input_sets = [run.input_sets[0] for run in runs]
    wholes = whole_runs(models, "cortex-m4", input_sets)
    results = run_all_on_host([*runs, *wholes], tmp_path)
    whole = whole_floats(models, wholes, results[len(runs) :])
    streamed = results[: len(runs)]
    for number, (model, run, (result,)) in enumerate(zip(models, runs, streamed, strict=True)):
        inputs = input_sets[number]
        assert_layers(model, run.artifact, result.layers, inputs, whole[number], number)
        layers = {
            layer.tensor: data
            for layer, data in zip(run.artifact.layers, result.layers, strict=True)
        }
        for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
            np.testing.assert_array_equal(output.data, layers[tensor.index], model.name)
    assert len(runs) > len(SEEDS) * 0.4


def test_a_kernel_reads_no_constant_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are numbered among tensors, constants included: this network had a clash."""
    monkeypatch.setattr(Planner, "choose", random_segments(271))
    model = tvmtiny.load(row_network(271), name="rows")
    assert tvmtiny.compile(model, "cortex-m4", stream="rows").stream is not None


def test_last_rows_that_nothing_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The steps of an inference end with the last row, whether that row makes work or not."""
    monkeypatch.setattr(Planner, "choose", random_segments(304))
    model = tvmtiny.load(row_network(304), name="rows")
    artifact = tvmtiny.compile(model, "cortex-m4", stream="rows")
    inputs = tvmtiny.make_inputs("random:4", artifact.inputs)
    (result,) = run_on_host(artifact, [inputs], tmp_path)
    assert_layers(model, artifact, result.layers, inputs, {})


@pytest.mark.parametrize("rows", [(3, 0), (0, 3)])
def test_windows_outside_of_the_input(
    rows: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A padding that is part of a layer with a single row of weights makes rows from nothing."""
    network = Network(8, "float32")
    x = network.pad(network.input(1, 6, 6, 3), (0, 0), rows, (1, 0), (0, 0))
    x = network.conv(network.conv(x, 5, (1, 1)), 4, (3, 3))
    model = tvmtiny.load(network.build(x), name="rows")
    monkeypatch.setattr(ProgramStreamer, "saves_memory", lambda *_: True)
    monkeypatch.setattr(Planner, "choose", random_segments(3))
    artifact = tvmtiny.compile(model, "cortex-m4", stream="inside")
    assert artifact.stream is not None
    inputs = tvmtiny.make_inputs("random:5", artifact.inputs)
    wholes = whole_runs([model], "cortex-m4", [inputs])
    runs = [HostRun(artifact, [inputs]), *wholes]
    (result,), *results = run_all_on_host(runs, tmp_path, separately=True)
    (whole,) = whole_floats([model], wholes, results)
    assert_layers(model, artifact, result.layers, inputs, whole)


def test_rows_that_nothing_computes() -> None:
    """A row of an image that only grows in height is unchanged, so the layer runs as a whole."""
    network = Network(6)
    x = network.conv(network.input(1, 8, 6, 3), 4, (3, 3))
    x = network.pad(x, (0, 0), (1, 2), (0, 0), (0, 0))
    x = network.resize(x, 2 * x.shape[1], x.shape[2], "RESIZE_NEAREST_NEIGHBOR")
    model = tvmtiny.load(network.build(network.depthwise(x)), name="rows")
    artifact = tvmtiny.compile(model, "cortex-m4", stream="rows")
    assert artifact.stream is not None
    first = artifact.stream.segments[0]
    assert (first.first, first.last) == (0, 0)


def test_a_single_column_that_nothing_computes() -> None:
    """The nearest of four columns is a part of its row, so the layer runs as a whole."""
    network = Network(7)
    x = network.conv(network.input(1, 8, 6, 3), 4, (3, 3))
    x = network.resize(x, 2 * x.shape[1], 1, "RESIZE_NEAREST_NEIGHBOR")
    model = tvmtiny.load(network.build(network.conv(x, 4, (1, 1))), name="rows")
    artifact = tvmtiny.compile(model, "cortex-m33", stream="rows")
    assert artifact.stream is not None
    assert artifact.stream.segments[0].last == 0
