"""Health: decide whether a window of a pulse signal is at a beat.

Data: the second example recording of the package ``heartpy``, the pulse of one person over some
minutes. Package and recording are under GPL v3; this repository contains neither. `heartpy.process`
locates the beats, so the network learns to imitate this program without its filters. A recording of
one person at rest can show that the chain from a signal to a board works. It cannot show how well
the network finds irregular beats or beats of other people. This example is not a medical device.
"""

from __future__ import annotations

import warnings

import numpy as np
from application import Application, main
from signal_network import as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions

#: Steps of a window, and the largest distance between its middle and a beat, in steps.
WINDOW, NEAR = 48, 3


def data() -> Dataset:
    """Cut windows of 48 steps at and between beats; the last third of the time is for testing."""
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
