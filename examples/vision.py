"""Vision: handwritten digits of 8x8 pixels.

Data: the digits of scikit-learn, from the UCI repository (Alpaydin and Kaynak, 1998; CC BY 4.0). Of
these images, 1,437 are for training and 360 for testing, chosen at random.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from application import Application, main

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions, keras_package


def data() -> Dataset:
    """Read images of 8x8 pixels with values from 0 to 1."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    x, y = found.images[order][..., None] / 16, found.target[order]
    return Dataset(x[:1437], y[:1437], x[1437:], y[1437:])


def build(shape: tuple[int, ...], classes: int) -> Any:
    """Build a network of two convolutions, of which the second is separable."""
    keras = keras_package()
    layers = keras.layers
    keras.utils.set_random_seed(5)
    source = keras.Input(shape)
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(source)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(24, 1, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dense(classes, activation="softmax")(layers.Flatten()(x))
    return keras.Model(source, x)


APPLICATION = Application("vision", data, build, TrainOptions(30, 64, 0.01))

if __name__ == "__main__":
    main(APPLICATION)
