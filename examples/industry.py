"""Industry: recognize one of ten kinds of appliance from its power consumption.

Data: ACSF1 of the UCR archive (Gisler and others, 2013), as the package ``aeon`` (BSD 3-Clause)
ships it in version 1.6. A sample has 1,460 steps of 10 s, of which this example uses means of
four. 100 samples are for training and 100 for testing. The archive states no licence; this
repository contains none of the data.
"""

from __future__ import annotations

import numpy as np
from application import Application, main
from package_data import read_series
from signal_network import as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions


def data() -> Dataset:
    """Read samples of 365 steps."""
    (x, y), (xt, yt) = (read_series("ACSF1", part) for part in ("TRAIN", "TEST"))
    order = np.random.default_rng(0).permutation(len(y))
    x, xt = (v.reshape(len(v), 1, 365, 4).mean(axis=3) for v in (x[order], xt))
    return Dataset(as_images(x), y[order], as_images(xt), yt)


APPLICATION = Application(
    "industry",
    data,
    lambda shape, classes: network(shape, classes, (16, 16, 24, 32), 7),
    TrainOptions(120, 20, 0.01),
)

if __name__ == "__main__":
    main(APPLICATION)
