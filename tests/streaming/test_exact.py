"""Models that run row by row give the bytes of every layer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_all_on_host, run_on_host
from small_networks import Network

import tvmtiny
from tests.codegen.shadow_memory import run_all_with_shadow
from tests.streaming.row_networks import growing_network, random_segments, row_network
from tvmtiny.codegen.stream import ProgramStreamer
from tvmtiny.errors import InputError
from tvmtiny.streaming.plan import Planner

#: Number of networks; the environment may ask for any number of others.
SEEDS = range(int(os.environ.get("TVMTINY_ROW_SEEDS", "10")))


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
) -> None:
    expected = model.reference(inputs)
    for layer, got in zip(artifact.layers, layers, strict=True):
        wanted = expected[layer.tensor]
        if layer.kept_channels is not None:
            wanted = wanted[..., list(layer.kept_channels)]
        assert_same(got, wanted, f"{model.name}: layer {layer.index} {layer.operator}")


def assert_same(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    if got.dtype == np.float32:
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4, err_msg=what)
    else:
        np.testing.assert_array_equal(got, wanted, err_msg=what)


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
    for model, (artifact, inputs), got in zip(models, runs, layers, strict=True):
        assert_layers(model, artifact, got, inputs)
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
    for model, run, (result,) in zip(models, runs, run_all_on_host(runs, tmp_path), strict=True):
        (inputs,) = run.input_sets
        assert_layers(model, run.artifact, result.layers, inputs)
        expected = model.reference(inputs)
        for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
            assert_same(output.data, expected[tensor.index], f"{model.name}: {tensor.name}")
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
    assert_layers(model, artifact, result.layers, inputs)


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
    (result,) = run_on_host(artifact, [inputs], tmp_path)
    assert_layers(model, artifact, result.layers, inputs)


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
