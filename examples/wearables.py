"""Wearables: recognize an activity from ten seconds of a smart watch's motion sensors.

Data: BasicMotions of the UEA archive, as the package ``aeon`` (BSD 3-Clause) ships it. Four
students perform four activities; 40 recordings are for training and 40 for testing, with six
channels (accelerometer and gyroscope) at 10 Hz. The archive states no licence; this repository
contains none of the data. The same four people are in both halves, so the accuracy says nothing
about other people.
"""

from __future__ import annotations

from application import Application, main
from package_data import read_series
from signal_network import as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions


def data() -> Dataset:
    """Read samples of 100 steps and 6 channels."""
    (x, y), (xt, yt) = (read_series("BasicMotions", part) for part in ("TRAIN", "TEST"))
    # The recordings for training are sorted by class.
    order = [i for start in range(10) for i in range(start, 40, 10)]
    return Dataset(as_images(x[order]), y[order], as_images(xt), yt)


APPLICATION = Application(
    "wearables",
    data,
    lambda shape, classes: network(shape, classes, (8, 16, 16)),
    TrainOptions(60, 16, 0.01),
)

if __name__ == "__main__":
    main(APPLICATION)
