"""Health: whether a window of a pulse signal is at a beat.

Data: the second example recording of the package ``heartpy`` (GPL v3, which the recording comes
under too; nothing of either is in this repository), a pulse of one person for some minutes. Beats
are where `heartpy.process` finds them, so that this network learns to do what that program does,
without its filters. One person at rest can show that the chain from a signal to a board works; it
cannot show how well beats of others, or irregular ones, are found. Nothing here is a medical
device.
"""

from __future__ import annotations

import warnings

import numpy as np
from application import Application, main
from signals import as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions

#: Steps of a window, and how far from a beat its middle may be, in steps.
WINDOW, NEAR = 48, 3


def data() -> Dataset:
    """Windows of 48 steps: at a beat, and between beats; the last third of the time is for test."""
    import heartpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal, clock = heartpy.load_exampledata(1)
        rate = heartpy.get_samplerate_mstimer(clock)
        found, _ = heartpy.process(signal, rate)
    beats = np.array(found["peaklist"])[np.array(found["binary_peaklist"]) == 1]
    scaled = (signal - signal.mean()) / signal.std()
    rng = np.random.default_rng(0)
    windows, labels, middles = [], [], []
    for beat in beats:
        between = beat + int(rng.integers(12, 40))
        for middle, label in ((beat + int(rng.integers(-NEAR, NEAR + 1)), 1), (between, 0)):
            start = middle - WINDOW // 2
            near = np.abs(beats - middle).min() <= 2 * NEAR
            if start >= 0 and start + WINDOW <= len(scaled) and (label == 1 or not near):
                windows.append(scaled[start : start + WINDOW])
                labels.append(label)
                middles.append(middle)
    x, y = as_images(np.array(windows)[:, None]), np.array(labels)
    late = np.array(middles) > 2 * len(signal) / 3
    return Dataset(x[~late], y[~late], x[late], y[late])


APPLICATION = Application(
    "health",
    data,
    lambda shape, classes: network(shape, classes, (8, 12)),
    TrainOptions(40, 16, 0.01),
)

if __name__ == "__main__":
    main(APPLICATION)
