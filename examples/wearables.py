"""Wearables: recognize an activity from ten seconds of a smart watch's motion sensors.

Data: BasicMotions of the UEA archive, as the package ``aeon`` (BSD 3-Clause) ships it. Four
students perform four activities; 40 recordings are for training and 40 for testing, with six
channels (accelerometer and gyroscope) at 10 Hz. The archive states no licence; this repository
contains none of the data. The same four people are in both halves, so the accuracy says nothing
about other people.
"""

from __future__ import annotations

from application import Application, main
from signal_network import as_classes, as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions


def data() -> Dataset:
    """Read samples of 100 steps and 6 channels."""
    from aeon.datasets import load_basic_motions

    (x, y), (xt, yt) = (load_basic_motions(split=part) for part in ("train", "test"))
    names = sorted({str(name) for name in y})
    # The recordings for training are sorted by class.
    order = [i for start in range(10) for i in range(start, 40, 10)]
    x, y = x[order], y[order]
    return Dataset(as_images(x), as_classes(y, names), as_images(xt), as_classes(yt, names))


APPLICATION = Application(
    "wearables",
    data,
    lambda shape, classes: network(shape, classes, (8, 16, 16)),
    TrainOptions(60, 16, 0.01),
)

if __name__ == "__main__":
    main(APPLICATION)
