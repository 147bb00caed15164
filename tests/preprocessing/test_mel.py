"""Log-mel and MFCC: fixed point against real numbers, and C against fixed point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host

import tvmtiny
from tests.preprocessing.features import in_turn, passing
from tests.sounds import sound
from tests.tools import on_qemu
from tvmtiny.errors import InputError
from tvmtiny.ops.shared.signal import spectrum
from tvmtiny.ops.shared.signal.mel import CONVENTIONS, MelFeatures, MelSettings

_KINDS = ("noise", "sweep", "silence", "square")
#: Decibels below the strongest bin of a frame, within which the bounds hold.
_RANGE_DB = {"librosa": 50.0, "tensorflow": 50.0, "cmsis": 50.0, "mlperf": 40.0}
#: The stated bounds of a logarithm in decibels and in nepers, and of the DCT.
_BOUNDS = {"librosa": 0.1, "tensorflow": 0.012, "cmsis": 0.012, "mlperf": 0.1 / 64}
_DCT_BOUND = 0.02


def _settings(convention: str, coefficients: int = 0) -> MelSettings:
    window = {"librosa": 46.0, "tensorflow": 30.0, "cmsis": 32.0, "mlperf": 64.0}[convention]
    rate = 22050 if convention == "librosa" else 16000
    return MelSettings(
        sample_rate=rate,
        window_ms=window,
        channels=64 if convention == "librosa" else 40,
        lower_hz=20.0,
        upper_hz=7600.0,
        coefficients=coefficients,
        convention=convention,
    )


def _levels(mel: MelFeatures, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each channel's feature if all of its bins had the energy of the frame's strongest bin.

    The second result is whether that bin has at least the energy of a tone with an amplitude of
    eight units of int16.
    """
    spectra = np.abs(np.fft.rfft(mel.windowed(samples), mel.length))
    strongest = spectra.max(axis=1, keepdims=True) + 1e-9
    values = strongest**2 if mel.power else strongest
    sums = values * (mel.filters.sum(axis=1) * mel.norms)
    heard = strongest >= 8 * mel.window / 4 / 32768
    if mel.settings.convention == "mlperf":
        return (10 * np.log10(sums / mel.window) + 52) / 64, heard
    return 10 * np.log10(sums) if mel.power else np.log(sums), heard


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_bounds(convention: str, gain: float) -> None:
    logs, cepstra = (MelFeatures(_settings(convention, count)) for count in (0, 13))
    for kind in _KINDS:
        samples = (sound(kind, 16000) * gain).astype(np.int16)
        real = logs.real_features(samples)
        error = np.abs(logs.features_of(samples) / 65536 * logs.factor - real)
        per_db = logs.factor / (10 * np.log10(2)) if logs.power else np.log(10) / 20
        levels, heard = _levels(logs, samples)
        audible = heard & (real > levels - _RANGE_DB[convention] * per_db)
        assert error[audible].max(initial=0) <= _BOUNDS[convention], kind
        found = cepstra.features_of(samples) / 65536 * cepstra.factor
        # The DCT passes on the errors of the logarithms.
        passed = error @ np.abs(cepstra.dct).T
        excess = np.abs(found - cepstra.real_features(samples)) - passed
        assert excess.max() <= _DCT_BOUND, kind


def test_logarithms() -> None:
    values = np.unique(np.geomspace(1, 2.0**63, 20000).astype(np.uint64))
    exact = np.log2(values.astype(np.float64))
    assert np.abs(spectrum.binary_logarithm(values) / 65536 - exact).max() < 2**-15


def test_definitions_of_librosa() -> None:
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    settings = MelSettings(coefficients=13, lower_hz=20.0)
    mel = MelFeatures(settings)
    samples = sound("square", 8000)
    mels = librosa.feature.melspectrogram(
        y=samples / 32768,
        sr=settings.sample_rate,
        n_fft=mel.length,
        hop_length=mel.step,
        center=False,
        n_mels=settings.channels,
        fmin=settings.lower_hz,
        fmax=mel.upper_hz,
    )
    expected = librosa.feature.mfcc(S=librosa.power_to_db(mels, top_db=None), n_mfcc=13).T
    np.testing.assert_allclose(mel.real_features(samples), expected, atol=1e-5)


def _model(front: str, rows: int, name: str = "mel", **settings: object) -> tvmtiny.Model:
    front_end = tvmtiny.front_end(front, settings=settings)
    scale = 0.005 if settings.get("convention") == "mlperf" else 0.8
    return passing(front_end, rows, scale=scale, zero_point=20, name=name)


_CASES = {
    "librosa": ("log-mel", {"channels": 40}),
    "tensorflow": (
        "mfcc",
        {"convention": "tensorflow", "coefficients": 10, "window_ms": 30, "step_ms": 20},
    ),
    "cmsis": ("mfcc", {"convention": "cmsis", "sample_rate": 8000, "window_ms": 25.125}),
    "mlperf": ("log-mel", {"convention": "mlperf", "window_ms": 64, "step_ms": 32}),
}


def test_c_on_host(tmp_path: Path) -> None:
    """Several windows in a call, odd lengths of windows, and all kept state."""
    models, runs = {}, {}
    for case, (front, settings) in _CASES.items():
        models[case] = _model(front, 3, case, **settings)
        samples = models[case].graph.inputs[0].elements
        whole = np.concatenate([sound(kind, 4 * samples) for kind in _KINDS])
        sets = [[part.reshape(1, -1)] for part in whole.reshape(-1, samples)]
        artifact = tvmtiny.compile(models[case], "mps2-an386")
        runs[case] = HostRun(artifact, sets, successive=True)
    for case, results in run_each_on_host(runs, tmp_path).items():
        in_numpy = in_turn(models[case], runs[case].input_sets)
        for expected, result in zip(in_numpy, results, strict=True):
            np.testing.assert_array_equal(result.outputs[0].data, expected, case)


@on_qemu
@pytest.mark.parametrize(
    ("board", "most"), [("mps2-an386", 38_000), ("mps2-an385", 51_300), ("mps3-an547", 18_100)]
)
def test_on_a_board(board: str, most: int) -> None:
    model = _model("log-mel", 1)
    inputs = [sound("noise", model.graph.inputs[0].elements).reshape(1, -1)]
    artifact = tvmtiny.compile(model, board)
    with tvmtiny.Session(artifact, timeout=60) as session:
        result = session.measure(*inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    assert result.instructions < most


@on_qemu
@pytest.mark.parametrize("board", ["mps2-an386", "mps3-an547"])
@pytest.mark.parametrize("case", sorted(_CASES))
def test_kernels_equal_fixed_point(board: str, case: str) -> None:
    """Transforms with even and odd numbers of stages, over frames of all kinds of sound."""
    name, settings = _CASES[case]
    model = _model(name, 3, **settings)
    samples = model.graph.inputs[0].elements
    whole = np.concatenate([sound(kind, 3 * samples) for kind in _KINDS])
    sets = [[part.reshape(1, -1)] for part in whole.reshape(-1, samples)]
    with tvmtiny.Session(tvmtiny.compile(model, board), timeout=60) as session:
        for inputs, expected in zip(sets, in_turn(model, sets), strict=True):
            np.testing.assert_array_equal(session.run(*inputs)[0], expected)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    (
        ("log-mel", {"convention": "kaldi"}, "no convention 'kaldi'"),
        ("log-mel", {"coefficients": 13}, "no setting 'coefficients'"),
        ("mfcc", {"coefficients": 0}, "mfcc needs coefficients"),
        ("mfcc", {"coefficients": 50}, "50 coefficients of 40 channels"),
        ("log-mel", {"channels": 2.5}, "a whole number for channels"),
        ("log-mel", {"upper_hz": 9000}, "beyond half of the sample rate"),
        ("log-mel", {"fft_length": 500}, "a power of two"),
        ("log-mel", {"step_ms": 40}, "no shorter than the window"),
        ("log-mel", {"channels": 200}, "lie between two frequencies"),
    ),
)
def test_settings_that_cannot_be(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tvmtiny.front_end(name, settings=settings)


def test_a_model_that_takes_no_such_features() -> None:
    model = passing(tvmtiny.front_end("log-mel"), 2, scale=0.8, zero_point=0, attach=False)
    with pytest.raises(InputError, match="not a stack of rows of the 13 features"):
        tvmtiny.with_front_end(model, tvmtiny.front_end("mfcc"))
