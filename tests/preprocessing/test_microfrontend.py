"""The microfrontend against the package pymicro-features, which has TensorFlow's own C."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tests.preprocessing.features import in_turn
from tests.sounds import KINDS, micro_features, sound
from tests.tools import on_qemu
from tvmtiny.errors import InputError
from tvmtiny.ops.microfrontend import quantized_features
from tvmtiny.ops.shared.signal import filterbank, gain
from tvmtiny.ops.shared.signal.fft import fft_length, real_fft
from tvmtiny.ops.shared.signal.microfrontend import Microfrontend, MicrofrontendSettings

_STEPS = 3


def _model(features: int = 40, dtype: str = "int8") -> bytes:
    """A model that returns its input, which a front end computes."""
    b = ModelBuilder()
    x = b.input("x", (1, _STEPS, features), dtype, scale=0.1, zero_point=-128)
    shape = b.constant("shape", np.array([1, _STEPS * features], np.int32))
    y = b.tensor("y", (1, _STEPS * features), dtype, scale=0.1, zero_point=-128)
    b.op("RESHAPE", [x, shape], [y], {"new_shape": [1, _STEPS * features]})
    return b.build([y])


@cache
def _heard(name: str = "heard", **settings: object) -> tvmtiny.Model:
    front_end = tvmtiny.front_end("microfrontend", settings=settings)
    model = tvmtiny.load(_model(front_end.features), name=name)
    detection = tvmtiny.Detection(classes=(0,))
    return tvmtiny.with_front_end(model, front_end, stride=_STEPS, detection=detection)


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_reference(kind: str) -> None:
    front = Microfrontend(MicrofrontendSettings())
    samples = sound(kind)
    features, _ = front.features(samples, np.zeros(40, np.uint32))
    expected = micro_features(samples)
    assert features.shape == (1000, 40)
    np.testing.assert_array_equal(features, expected)


def test_lowest_number_and_impulses() -> None:
    """-32768 has no absolute value in 16 bits and is ignored where samples are shifted."""
    front = Microfrontend(MicrofrontendSettings())
    lowest = np.full(4800, -32768, np.int16)
    lowest[2400:] = np.where(np.arange(2400) % 480 == 239, -32768, 0)
    features, _ = front.features(lowest, np.zeros(40, np.uint32))
    np.testing.assert_array_equal(features, micro_features(lowest))


def _decisions(samples: np.ndarray) -> list[list[np.ndarray]]:
    count = len(samples) // (160 * _STEPS)
    blocks = samples[: count * 160 * _STEPS].reshape(count, 1, -1)
    return [[block] for block in blocks]


#: Samples of each sound by board.
_COUNTS = {"mps2-an386": 160_320, "mps2-an385": 16_000, "mps3-an547": 16_000}


def test_c_on_host(tmp_path: Path) -> None:
    """All sounds in one program: the portable twins of the DSP extension and of Helium."""
    kinds = ["noise", "sweep", "silence", "square"]
    samples, runs = {}, {}
    for target, count in _COUNTS.items():
        model = _heard(f"heard_{target[5:]}")
        samples[target] = np.concatenate([sound(kind, count) for kind in kinds])
        artifact = tvmtiny.compile(model, target)
        runs[target] = HostRun(artifact, _decisions(samples[target]), successive=True)
    node = _heard().graph.nodes[0]
    for target, results in run_each_on_host(runs, tmp_path).items():
        # A run starts with silence before the first samples.
        expected = micro_features(np.concatenate([np.zeros(320, np.int16), samples[target]]))
        got = np.concatenate([result.outputs[0].data.reshape(-1, 40) for result in results])
        assert len(got) > 4 * _COUNTS[target] / 160 - 3
        wanted = quantized_features(node, expected[: len(got)])
        np.testing.assert_array_equal(got, wanted, target)


@on_qemu
@pytest.mark.parametrize(
    ("board", "most"), [("mps2-an386", 45_000), ("mps2-an385", 80_000), ("mps3-an547", 20_000)]
)
def test_on_a_board(board: str, most: int) -> None:
    model = _heard()
    artifact = tvmtiny.compile(model, board)
    frames = _decisions(sound("noise", 1440)) + _decisions(sound("square", 960))
    with tvmtiny.Session(artifact, timeout=60) as session:
        got = [session.run(*inputs)[0].reshape(-1, 40) for inputs in frames]
        result = session.measure(*frames[0])
    samples = np.concatenate([np.zeros(320, np.int16), *(f[0].reshape(-1) for f in frames)])
    expected = quantized_features(model.graph.nodes[0], micro_features(samples))
    np.testing.assert_array_equal(np.concatenate(got), expected)
    assert tvmtiny.check(model, artifact, result, frames[0]).exact
    assert result.instructions < most * _STEPS


_OTHER_SETTINGS: dict[str, dict[str, object]] = {
    "slow": {"sample_rate": 8000, "upper_hz": 3800.0, "channels": 20},
    "long_steps": {"window_ms": 25, "step_ms": 20, "channels": 32, "gain_control": False},
    "fast": {"sample_rate": 32000, "lower_hz": 60.0, "smoothing_bits": 8, "log_shift": 5},
}


def test_other_settings_on_host(tmp_path: Path) -> None:
    """Other lengths of transforms, one of which begins with a stage of radix 2."""
    models = {name: _heard(name, **settings) for name, settings in _OTHER_SETTINGS.items()}
    runs = {}
    for name, model in models.items():
        samples = model.graph.inputs[0].elements
        sets = [[part] for part in sound("sweep", 6 * samples).reshape(6, 1, -1)]
        runs[name] = HostRun(tvmtiny.compile(model, "cortex-m4"), sets, successive=True)
    for name, results in run_each_on_host(runs, tmp_path).items():
        in_numpy = in_turn(models[name], runs[name].input_sets)
        for expected, result in zip(in_numpy, results, strict=True):
            np.testing.assert_array_equal(result.outputs[0].data, expected, name)


def test_spectrum_is_that_of_floats() -> None:
    samples = sound("noise", 512)
    found = real_fft(samples).astype(float)
    exact = np.fft.rfft(samples.astype(float)) / 512
    np.testing.assert_allclose(found[:, 0], exact.real, atol=8)
    np.testing.assert_allclose(found[:, 1], exact.imag, atol=8)
    assert [fft_length(n) for n in (240, 256, 257, 480)] == [256, 256, 512, 512]


def test_roots_are_exact() -> None:
    rng = np.random.default_rng(3)
    roots = np.concatenate([rng.integers(0, 1 << 32, 3000), [0, 1, 65535, 65536, (1 << 32) - 1]])
    around = [(int(r) * int(r) + d) for r in roots for d in (-1, 0, 1, int(r), int(r) + 1)]
    values = np.array([v for v in around if 0 <= v < 1 << 64], np.uint64)
    for value, root in zip(values.tolist(), filterbank.rounded_root(values).tolist(), strict=True):
        most = 0xFFFFFFFF if value >> 32 else 0xFFFF
        assert (2 * root - 1) ** 2 <= 4 * value or root == 0
        assert root == most or 4 * value <= (2 * root + 1) ** 2, value


def test_logarithms_are_close() -> None:
    values = np.unique(np.geomspace(2, (1 << 32) - 1, 2000).astype(np.uint32))
    found = gain.logarithm(values, 64, 0).astype(float)
    np.testing.assert_allclose(found, np.log(values.astype(float)) * 64, atol=0.61)


@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"sample_rate": 8000}, "beyond half of the sample rate"),
        ({"channels": 0}, "1 to 256 channels"),
        ({"window_ms": 10, "step_ms": 20}, "not shorter than the window"),
        ({"sample_rate": 11100, "upper_hz": 5000.0}, "even numbers"),
        ({"colour": 1}, "no setting 'colour'"),
    ),
)
def test_settings_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tvmtiny.front_end("microfrontend", settings=settings)


def test_models_that_take_no_features() -> None:
    front_end = tvmtiny.front_end("microfrontend")
    with pytest.raises(InputError, match=r"not a stack of rows of the 40 features"):
        tvmtiny.with_front_end(tvmtiny.load(_model(39), name="other"), front_end)
    with pytest.raises(InputError, match="has a front end already"):
        tvmtiny.with_front_end(_heard(), front_end)
    with pytest.raises(InputError, match="name those that are events"):
        tvmtiny.with_front_end(tvmtiny.load(_model(), name="other"), front_end)
    with pytest.raises(InputError, match="4 new rows"):
        tvmtiny.with_front_end(tvmtiny.load(_model(), name="other"), front_end, stride=4)
