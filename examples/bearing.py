"""Industry: detect damaged bearings from vibration. All vibration is simulated.

Data: simulated here, nothing was measured. A healthy machine is a shaft with changing speed and
load, a gear mesh and noise; damage on the outer ring adds impacts that ring at a resonance. The
network sees no damage during training: it learns to tell features of healthy windows from the same
features with random shifts, as a detector of anomalies must (Steinwart, Hush, Scovel: A
Classification Framework for Anomaly Detection, 2005). The example shows the steps from a sensor
through the front end to a board. It cannot show how well such a detector works on real machines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from application import Application, Sensor, main

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions, keras_package
from tvmtiny.ops.shared.signal.vibration import VibrationFeatures, VibrationSettings
from tvmtiny.preprocessing.vibration import VibrationFrontEnd

SETTINGS = VibrationSettings(sample_rate=6400, axes=1, window=1024, segment=128, bands=8)

#: Windows for training, and windows of each class for testing.
TRAINED, TESTED = 400, 150

#: Impacts in a turn of the shaft, the resonance in Hz, and the time in which it decays in seconds.
IMPACTS, RESONANCE, DECAY = 3.58, 2100.0, 0.0015


def window(rng: np.random.Generator, damage: float) -> np.ndarray:
    """Simulate one window of an accelerometer: int16; `damage` is the height of the impacts."""
    rate, count = SETTINGS.sample_rate, SETTINGS.window
    time = np.arange(count) / rate
    turns = rng.uniform(22, 28)
    load = rng.uniform(0.7, 1.4)
    x = rng.normal(0, 0.05, count)
    for harmonic, height in ((1, 0.2), (2, 0.1), (3, 0.05), (23, 0.12), (46, 0.04)):
        height *= load * rng.uniform(0.8, 1.2)
        x += height * np.sin(2 * np.pi * (harmonic * turns * time + rng.random()))
    period = 1 / (IMPACTS * turns)
    start = -rng.random() * period
    for number in range(int(count / rate / period) + 2):
        since = time - start - number * period * (1 + rng.normal(0, 0.01))
        height = damage * rng.uniform(0.7, 1.3)
        if height > 0:
            ringing = np.sin(2 * np.pi * RESONANCE * since) * np.exp(-np.maximum(since, 0) / DECAY)
            x += height * np.where(since >= 0, ringing, 0)
    return np.clip(np.rint(x * 8192), -32768, 32767).astype(np.int16)


def windows() -> tuple[np.ndarray, np.ndarray]:
    """Simulate healthy windows for training, and healthy and damaged windows for testing."""
    rng = np.random.default_rng(0)
    trained = np.array([window(rng, 0.0) for _ in range(TRAINED)])
    damage = [0.0] * TESTED + [rng.uniform(0.1, 0.4) for _ in range(TESTED)]
    return trained, np.array([window(rng, height) for height in damage])


def data() -> Dataset:
    """Compute features; class 1 is an anomaly, or features with shifts in training."""
    compute = VibrationFeatures(SETTINGS).real_features
    trained, tested = (compute(part.ravel()) for part in windows())
    rng = np.random.default_rng(1)
    several = np.repeat(trained, 3, axis=0)
    shifted = rng.random(several.shape) < rng.uniform(0.1, 0.6, (len(several), 1))
    others = several + shifted * rng.uniform(-4, 8, several.shape)
    x = np.concatenate([several, others])
    y = np.repeat([0, 1], len(several))
    order = rng.permutation(len(x))
    # Healthy and damaged windows alternate, so that a cut has both.
    turns = np.arange(2 * TESTED).reshape(2, -1).T.ravel()
    return Dataset(x[order], y[order], tested[turns], np.repeat([0, 1], TESTED)[turns])


def samples() -> np.ndarray:
    """Return the windows for testing in the order of their features."""
    tested = windows()[1]
    return tested[np.arange(2 * TESTED).reshape(2, -1).T.ravel()]


def build(shape: tuple[int, ...], classes: int) -> Any:
    """Build a network of two hidden layers."""
    keras = keras_package()
    layers = keras.layers
    keras.utils.set_random_seed(5)
    source = x = keras.Input(shape)
    for width in (24, 12):
        x = layers.Dense(width, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(source, layers.Dense(classes, activation="softmax")(x))


APPLICATION = Application(
    "bearing",
    data,
    build,
    TrainOptions(40, 64, 0.01),
    Sensor(VibrationFrontEnd(SETTINGS), samples),
)

if __name__ == "__main__":
    main(APPLICATION)
