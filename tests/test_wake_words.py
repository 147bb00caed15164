"""Streaming wake-word models: frame by frame against LiteRT, which keeps the same state."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host

import tvmtiny
from tests.tools import on_qemu
from tvmtiny.oracle import run_litert_frames

_FRAMES = 50


def _models() -> dict[str, Path]:
    package = find_spec("pymicro_wakeword")
    folders = package.submodule_search_locations if package else None
    return {path.stem: path for folder in folders or () for path in Path(folder).rglob("*.tflite")}


MODELS = _models()
_NAMES = sorted(MODELS) or ["none"]
#: The other models are built like the first of these; a board runs them all.
_TWO_KINDS = ["hey_jarvis", "okay_nabu"]
pytestmark = pytest.mark.skipif(not MODELS, reason="the package pymicro-wakeword is not installed")


def _frames(model: tvmtiny.Model) -> list[list[np.ndarray]]:
    return [tvmtiny.make_inputs(f"random:{seed}", model.graph.inputs) for seed in range(_FRAMES)]


@pytest.mark.parametrize("name", _NAMES)
def test_numpy_reference(name: str) -> None:
    model = tvmtiny.load(MODELS[name])
    frames, states = _frames(model), None
    for inputs, expected in zip(frames, run_litert_frames(model.content, frames), strict=True):
        values = model.reference(inputs, states)
        states = [values[state.after.index] for state in model.graph.states]
        # numpy.testing would take as long for these small tensors as the operators.
        differing = [
            i for i in expected if i in values and not np.array_equal(values[i], expected[i])
        ]
        assert not differing, [(i, values[i], expected[i]) for i in differing[:1]]


@pytest.mark.parametrize("name", _TWO_KINDS)
def test_c_on_host(name: str, tmp_path: Path) -> None:
    model = tvmtiny.load(MODELS[name])
    artifact = tvmtiny.compile(model, "cortex-m4")
    frames = _frames(model)
    results = run_on_host(artifact, frames, tmp_path, successive=True)
    scores = set()
    for result, expected in zip(results, run_litert_frames(model.content, frames), strict=True):
        for layer, data in zip(artifact.layers, result.layers, strict=True):
            if layer.tensor in expected and layer.kept_channels is None:
                np.testing.assert_array_equal(data, expected[layer.tensor])
            if layer.operator == "FULLY_CONNECTED":
                scores.add(data.tobytes())
        for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
            np.testing.assert_array_equal(output.data, expected[tensor.index])
    # The probability of noise is always about 0, but the values behind it are not.
    assert len(scores) > 5


@on_qemu
@pytest.mark.parametrize("name", _NAMES)
def test_on_a_board(name: str) -> None:
    model = tvmtiny.load(MODELS[name])
    artifact = tvmtiny.compile(model, "mps2-an386")
    frames = _frames(model)
    (output,) = model.graph.outputs
    with tvmtiny.Session(artifact, timeout=60) as session:
        for inputs, expected in zip(frames, run_litert_frames(model.content, frames), strict=True):
            np.testing.assert_array_equal(session.run(*inputs)[0], expected[output.index])
        result = session.measure(*frames[0])
    assert tvmtiny.check(model, artifact, result, frames[0]).exact
    assert result.static_ram_bytes == artifact.arena_bytes + artifact.state_bytes
