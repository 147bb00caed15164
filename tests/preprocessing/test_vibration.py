"""Levels and spectral kurtosis: fixed point against real numbers, and C against fixed point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host

import tvmtiny
from tests.preprocessing.features import in_turn, passing
from tests.sounds import sound
from tests.tools import on_qemu
from tvmtiny.errors import InputError
from tvmtiny.ops.shared.signal.vibration import VibrationFeatures, VibrationSettings

#: The stated bounds in decibels: of the RMS, of a band, and of a kurtosis.
_BOUNDS = (0.001, 0.05, 0.1)
#: Decibels below the RMS, and below full scale, above which the bounds of bands hold.
_RANGE_DB, _LEAST_DB = 60.0, -60.0


def _bearing(samples: int, axes: int = 1) -> np.ndarray:
    """Noise with an impact that rings 40 times a second, at 6,400 Hz."""
    rng = np.random.default_rng(7)
    time = np.arange(samples) / 6400
    since = time % (1 / 40)
    ringing = np.exp(-since * 800) * np.sin(2 * np.pi * 2000 * since)
    parts = [3000 * ringing * (1 + axis) + rng.normal(0, 100, samples) for axis in range(axes)]
    return np.stack(parts, axis=-1).reshape(-1).astype(np.int16)


@pytest.mark.parametrize("axes", [1, 3])
def test_bounds(axes: int) -> None:
    features = VibrationFeatures(VibrationSettings(axes=axes))
    bands = features.settings.bands
    sounds = [sound(kind, 16384) * gain for kind in ("noise", "square") for gain in (1.0, 0.05)]
    for samples in (*sounds, _bearing(4096, axes), np.zeros(4096)):
        whole = np.asarray(samples).astype(np.int16)
        real = features.real_features(whole).reshape(-1, 1 + 2 * bands)
        found = features.features_of(whole).reshape(real.shape) / 65536 * features.factor
        error = np.abs(found - real)
        strong = real[:, 1 : 1 + bands] > np.maximum(real[:, :1] - _RANGE_DB, _LEAST_DB)
        assert error[:, 0].max() <= _BOUNDS[0]
        for part, bound in ((error[:, 1 : 1 + bands], 1), (error[:, 1 + bands :], 2)):
            assert part[strong].max(initial=0) <= _BOUNDS[bound]


def test_meanings() -> None:
    """A tone, noise and impacts: levels add up, and the kurtosis tells them apart."""
    features = VibrationFeatures(VibrationSettings(window=2048, segment=32))
    tone = (16384 * np.sin(np.arange(2048) * np.pi / 8)).astype(np.int16)
    noise = np.random.default_rng(2).normal(0, 3000, 2048).astype(np.int16)
    (of_tone,), (of_noise,), (of_bearing,) = (
        features.features_of(x) / 65536 * features.factor for x in (tone, noise, _bearing(2048))
    )
    assert abs(of_tone[0] - 10 * np.log10(0.25 / 2)) < 0.01
    assert abs(10 * np.log10((10 ** (of_tone[1:9] / 10)).sum()) - of_tone[0]) < 0.1
    assert of_tone[9] < 0.1
    powers = 10 ** (of_noise[:9] / 10)
    assert abs(powers[1:].sum() / powers[0] - 1) < 0.05
    assert np.all(np.abs(of_noise[9:] - 3) < 0.8)
    # Impacts ring at 2,000 Hz, in the fifth of eight bands up to 3,200 Hz.
    assert 5 < of_bearing[9:].max() == of_bearing[9:][3:6].max()


def _model(rows: int, **settings: object) -> tvmtiny.Model:
    front_end = tvmtiny.front_end("vibration", settings=settings)
    return passing(front_end, rows, scale=0.4, zero_point=60)


def test_c_on_host(tmp_path: Path) -> None:
    model = _model(2, axes=3, window=320, segment=64, bands=5)
    samples = model.graph.inputs[0].elements
    kinds = [sound(kind, samples) for kind in ("noise", "sweep", "square", "silence")]
    extreme = np.full(samples, -32768, np.int16)
    extreme[: samples // 3] = 32767
    sets = [[x.reshape(1, -1)] for x in (*kinds, _bearing(samples // 3, 3), extreme)]
    results = run_on_host(tvmtiny.compile(model, "mps2-an386"), sets, tmp_path, successive=True)
    for expected, result in zip(in_turn(model, sets), results, strict=True):
        np.testing.assert_array_equal(result.outputs[0].data, expected)


@on_qemu
def test_on_a_board() -> None:
    model = _model(1)
    artifact = tvmtiny.compile(model, "mps2-an386")
    inputs = [_bearing(1024).reshape(1, -1)]
    with tvmtiny.Session(artifact, timeout=60) as session:
        result = session.measure(*inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    assert result.instructions < 400_000


@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"axes": 0}, "1 to 16 axes"),
        ({"segment": 100}, "a power of two"),
        ({"window": 1000}, "a multiple of the segment"),
        ({"window": 16384}, "more than 128 segments"),
        ({"bands": 65}, "give 1 to 64"),
        ({"bands": "many"}, "a whole number for bands"),
    ),
)
def test_settings_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tvmtiny.front_end("vibration", settings=settings)
