"""Sounds for front ends: generated here, or spoken by espeak-ng if it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from functools import cache
from pathlib import Path

import numpy as np
import pytest

RATE = 16000
FRAMES = 1000
#: The number of frames of the microfrontend.
SAMPLES = 480 + 160 * (FRAMES - 1)

KINDS = ("noise", "sweep", "silence", "square", "digits")


def sound(kind: str, samples: int = SAMPLES) -> np.ndarray:
    """Samples at 16 kHz: int16. Skip the test if digits cannot be spoken."""
    time = np.arange(samples) / RATE
    if kind == "noise":
        return np.random.default_rng(1).integers(-32768, 32768, samples).astype(np.int16)
    if kind == "sweep":
        phase = 2 * np.pi * (40 * time + 7900 / (2 * time[-1]) * time**2)
        return (30000 * np.sin(phase) * np.linspace(0, 1, samples) ** 2).astype(np.int16)
    if kind == "square":
        phase = 2 * np.pi * (100 * time + 30 * time**2)
        return np.where(np.sin(phase) >= 0, 32767, -32768).astype(np.int16)
    if kind == "digits":
        spoken = speech("one two three four five six seven eight nine zero")
        return np.resize(spoken, samples)
    return np.zeros(samples, np.int16)


@cache
def speech(text: str, speed: int = 140) -> np.ndarray:
    """A synthetic voice at 16 kHz: int16. Skip the test if there is none."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        subprocess.run([program, "-s", str(speed), "-w", str(path), text], check=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            spoken = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    places = np.arange(int(len(spoken) * RATE / rate)) * (rate / RATE)
    return np.interp(places, np.arange(len(spoken)), spoken).astype(np.int16)


def micro_features(samples: np.ndarray) -> np.ndarray:
    """The features of the package pymicro-features, in its units: int64, ``(frames, 40)``."""
    package = pytest.importorskip("pymicro_features", reason="pymicro-features is not installed")
    front_end, data, rows = package.MicroFrontend(), samples.astype("<i2").tobytes(), []
    while len(data) >= 320:
        result = front_end.process_samples(data[:320])
        data = data[2 * result.samples_read :]
        if result.features:
            rows.append(np.array(result.features) / 0.0390625)
    return np.array(rows).astype(np.int64)
