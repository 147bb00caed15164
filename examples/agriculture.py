"""Agriculture: classify the outline of a leaf as one of six kinds.

Data: OSULeaf of the UCR archive (Gandhi, 2002), as the package ``aeon`` (BSD 3-Clause) ships it in
version 1.6. An outline is a series of 427 distances from the centre, of which this example
uses every fourth. 200 outlines are for training and 242 for testing. The archive states no licence;
this repository contains none of the data.
"""

from __future__ import annotations

from application import Application, main
from package_data import read_series
from signal_network import as_images, network

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions


def data() -> Dataset:
    """Read samples of 107 steps."""
    (x, y), (xt, yt) = (read_series("OSULeaf", part) for part in ("TRAIN", "TEST"))
    return Dataset(as_images(x[:, :, ::4]), y, as_images(xt[:, :, ::4]), yt)


APPLICATION = Application(
    "agriculture",
    data,
    lambda shape, classes: network(shape, classes, (16, 24, 32), 7),
    TrainOptions(120, 32, 0.01),
)

if __name__ == "__main__":
    main(APPLICATION)
