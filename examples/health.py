"""Health: decide whether a window of a pulse signal is at a beat.

Data: the second example recording of the package ``heartpy``, the pulse of one person over two
minutes. The package states two licences, GPL v3 and MIT, and names none for the recording; this
repository contains neither. Labels come from a rule, not from a person: `beats` looks for regular
maxima, and sees seconds of the signal around each, of which the network sees less than half. A
recording of one person at rest can show that the chain from a signal to a board works. It cannot
show how well the network finds irregular beats or beats of other people. This example is not a
medical device.
"""

from __future__ import annotations

import numpy as np
from application import Application, main
from package_data import package_file
from signal_network import as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions

#: Steps of a window, and the largest distance between its middle and a beat, in steps.
WINDOW, NEAR = 48, 3

#: Seconds on both sides of a beat in which no step is higher, and in which the mean is taken.
_HIGHEST, _AROUND = 0.3, 0.75

#: The largest difference of a distance between beats from the usual one, as a share.
_IRREGULAR = 0.3


def _around(signal: np.ndarray, steps: int) -> np.ndarray:
    padded = np.pad(signal, steps, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * steps + 1)


def beats(signal: np.ndarray, rate: float) -> np.ndarray:
    """Locate beats that have a regular distance to both neighbours; returns steps."""
    steps = round(_HIGHEST * rate)
    near = _around(signal, round(_AROUND * rate))
    high = signal > near.mean(axis=1) + near.std(axis=1)
    found = np.nonzero(high & (_around(signal, steps).argmax(axis=1) == steps))[0]
    gaps = np.diff(found)
    regular = np.abs(gaps / np.median(gaps) - 1) < _IRREGULAR
    return found[1:-1][regular[:-1] & regular[1:]]


def data() -> Dataset:
    """Cut windows of 48 steps at and between beats; the last third of the time is for testing."""
    file = package_file("heartpy", "data/data2.csv")
    clock, signal = np.loadtxt(file, delimiter=",", skiprows=1).T
    found = beats(signal, 1000 * len(clock) / (clock[-1] - clock[0]))
    scaled = (signal - signal.mean()) / signal.std()
    rng = np.random.default_rng(0)
    windows, labels, middles = [], [], []
    for beat in found:
        between = beat + int(rng.integers(12, 40))
        for middle, label in ((beat + int(rng.integers(-NEAR, NEAR + 1)), 1), (between, 0)):
            start = middle - WINDOW // 2
            near = np.abs(found - middle).min() <= 2 * NEAR
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
