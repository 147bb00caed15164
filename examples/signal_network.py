"""A network for signals: convolutions that each halve the time axis, and a mean over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from tvmtiny.design.training import keras_package


def network(shape: tuple[int, ...], classes: int, filters: tuple[int, ...], kernel: int = 5) -> Any:
    """Build a Keras model for samples ``(steps, 1, channels)``."""
    keras = keras_package()
    layers = keras.layers
    keras.utils.set_random_seed(5)
    source = keras.Input(shape)
    x = source
    for width in filters:
        x = layers.Conv2D(width, (kernel, 1), strides=(2, 1), padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(source, layers.Dense(classes, activation="softmax")(x))


def as_images(x: np.ndarray) -> np.ndarray:
    """Turn ``(samples, channels, steps)`` into images ``(samples, steps, 1, channels)``."""
    return x.transpose(0, 2, 1)[:, :, None].astype(np.float32)
