"""Small data sets and Keras models for tests of `tvmtiny.design`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tvmtiny.design.data import Dataset


def stripes(samples: int = 96, seed: int = 0) -> Dataset:
    """Images of 6x6 pixels; the class is the third of the rows that holds most light."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, samples)
    x = rng.normal(0, 0.3, (samples, 6, 6, 1))
    for number, label in enumerate(y):
        x[number, 2 * label : 2 * label + 2] += 1
    x = x.astype(np.float32)
    cut = samples * 2 // 3
    return Dataset(x[:cut], y[:cut], x[cut:], y[cut:])


def keras() -> Any:
    """Return Keras with its backend, or skip the test."""
    pytest.importorskip("keras", reason="not installed: keras")
    from tvmtiny.design.training import keras_package
    from tvmtiny.errors import ToolMissingError

    try:
        return keras_package()
    except ToolMissingError as error:
        pytest.skip(str(error))


def every_layer() -> Any:
    """A model with one layer of each supported kind."""
    k = keras()
    layers = k.layers
    k.utils.set_random_seed(3)
    source = k.Input((6, 6, 1))
    x = layers.ZeroPadding2D(1)(source)
    x = layers.Conv2D(8, 3, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.ReLU(max_value=6)(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.Activation("linear")(layers.Conv2D(8, 1)(x))
    x = layers.Activation("relu")(layers.Add()([layers.Dropout(0.2)(x), y]))
    x = layers.MaxPooling2D(2, strides=1)(x)
    x = layers.AveragePooling2D(2, strides=1)(x)
    x = layers.Reshape((8,))(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Dense(6, activation="relu")(layers.Flatten()(x))
    return k.Model(source, layers.Softmax()(layers.Dense(3)(x)))
