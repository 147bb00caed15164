"""Agriculture: classify the outline of a leaf as one of six kinds.

Data: OSULeaf of the UCR archive (Gandhi, 2002), as the package ``aeon`` (BSD 3-Clause) shipped it
before version 1.7. An outline is a series of 427 distances from the centre, of which this example
uses every fourth. 200 outlines are for training and 242 for testing. The archive states no licence;
this repository contains none of the data.
"""

from __future__ import annotations

import warnings

from application import Application, main
from signal_network import as_classes, as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions


def data() -> Dataset:
    """Read samples of 107 steps."""
    from aeon.datasets import load_osuleaf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (x, y), (xt, yt) = (load_osuleaf(split=part) for part in ("train", "test"))
    names = sorted({str(name) for name in y})
    x, xt = x[:, :, ::4], xt[:, :, ::4]
    return Dataset(as_images(x), as_classes(y, names), as_images(xt), as_classes(yt, names))


APPLICATION = Application(
    "agriculture",
    data,
    lambda shape, classes: network(shape, classes, (16, 24, 32), 7),
    TrainOptions(120, 32, 0.01),
)

if __name__ == "__main__":
    main(APPLICATION)
