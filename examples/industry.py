"""Industry: recognize one of ten kinds of appliance from its power consumption.

Data: ACSF1 of the UCR archive (Gisler and others, 2013), as the package ``aeon`` (BSD 3-Clause)
shipped it before version 1.7. A sample has 1,460 steps of 10 s, of which this example uses means of
four. 100 samples are for training and 100 for testing. The archive states no licence; this
repository contains none of the data.
"""

from __future__ import annotations

import warnings

import numpy as np
from application import Application, main
from signal_network import as_classes, as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions


def data() -> Dataset:
    """Read samples of 365 steps."""
    from aeon.datasets import load_acsf1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (x, y), (xt, yt) = (load_acsf1(split=part) for part in ("train", "test"))
    names = sorted({str(name) for name in y})
    order = np.random.default_rng(0).permutation(len(y))
    x, xt = (v.reshape(len(v), 1, 365, 4).mean(axis=3) for v in (x[order], xt))
    classes = as_classes(y[order], names), as_classes(yt, names)
    return Dataset(as_images(x), classes[0], as_images(xt), classes[1])


APPLICATION = Application(
    "industry",
    data,
    lambda shape, classes: network(shape, classes, (16, 16, 24, 32), 7),
    TrainOptions(120, 20, 0.01),
)

if __name__ == "__main__":
    main(APPLICATION)
