"""Vision: decide whether a picture shows a person, from rows as of a camera. All simulated.

Data: drawn here; no picture was taken. A person is a head, a trunk, two arms and two legs in random
sizes, poses and greys before a background of boxes, discs and noise; pictures without a person show
the same parts in other places. No package with pictures of people that a test may use was found.
The example shows a network whose input is never in memory as a whole. It cannot show how well such
a network finds people in pictures of a camera.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from application import Application, main

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions, keras_package

#: Height and width of a picture, and pictures for training and testing.
SIZE, TRAINED, TESTED = 48, 1200, 200

_ROWS, _COLUMNS = np.mgrid[:SIZE, :SIZE]

#: Points in the middle of the parts of a person that is one unit high: ends and half widths.
_HEAD, _TRUNK = (0.09, 0.0, 0.11, 0.0, 0.075), (0.25, 0.0, 0.5, 0.0, 0.1)
_LIMB, _LIMB_WIDTH = 0.38, 0.045


def _bar(y0: float, x0: float, y1: float, x1: float, width: float) -> np.ndarray:
    """Return the pixels within `width` of a line."""
    along = np.array([y1 - y0, x1 - x0])
    y, x = _ROWS - y0, _COLUMNS - x0
    share = np.clip((y * along[0] + x * along[1]) / max(along @ along, 1e-6), 0, 1)
    return np.asarray(np.hypot(y - share * along[0], x - share * along[1]) <= width)


def _parts(rng: np.random.Generator) -> list[tuple[float, ...]]:
    """Return head, trunk, arms and legs of a person in a random pose."""
    parts: list[tuple[float, ...]] = [_HEAD, _TRUNK]
    for side in (-1, 1):
        for top, start, spread in ((0.22, 0.11, 0.9), (0.52, 0.06, 0.35)):
            turn = side * rng.uniform(0.0, spread)
            foot = (top + _LIMB * np.cos(turn), side * start + _LIMB * np.sin(turn))
            parts.append((top, side * start, *foot, _LIMB_WIDTH))
    return parts


def picture(rng: np.random.Generator, person: bool) -> np.ndarray:
    """Draw a picture: ``(SIZE, SIZE)``, from 0 to 1."""
    slope = rng.uniform(-0.3, 0.3, 2)
    found = rng.uniform(0.2, 0.8) + (slope[0] * _ROWS + slope[1] * _COLUMNS) / SIZE
    for _ in range(rng.integers(2, 6)):
        y, x = rng.uniform(0, SIZE, 2)
        if rng.random() < 0.5:
            shape = (abs(_ROWS - y) < rng.uniform(2, 9)) & (abs(_COLUMNS - x) < rng.uniform(2, 9))
        else:
            shape = np.hypot(_ROWS - y, _COLUMNS - x) < rng.uniform(2, 7)
        found[shape] = rng.uniform(0, 1)
    height = rng.uniform(0.6, 0.95) * SIZE
    top, middle = rng.uniform(0, SIZE - height), rng.uniform(0.25, 0.75) * SIZE
    # Clothes and skin differ from what is behind them.
    grey = (found[int(top + height / 3), int(middle)] + rng.uniform(0.3, 0.7)) % 1
    for y0, x0, y1, x1, width in _parts(rng):
        moved = np.zeros(2) if person else rng.uniform(-0.5, 0.5, 2) * SIZE
        at = (top + moved[0], middle + moved[1])
        ends = (at[0] + y0 * height, at[1] + x0 * height, at[0] + y1 * height, at[1] + x1 * height)
        found[_bar(*ends, width * height)] = np.clip(grey + rng.normal(0, 0.08), 0, 1)
    return np.clip(found + rng.normal(0, 0.03, found.shape), 0, 1)


def data() -> Dataset:
    """Draw pictures; class 1 has a person, and classes alternate."""
    rng = np.random.default_rng(0)
    count = TRAINED + TESTED
    y = np.arange(count) % 2
    x = np.array([picture(rng, label == 1) for label in y])[..., None]
    return Dataset(x[:TRAINED], y[:TRAINED], x[TRAINED:], y[TRAINED:])


def build(shape: tuple[int, ...], classes: int) -> Any:
    """Build a small MobileNet."""
    keras = keras_package()
    layers = keras.layers
    keras.utils.set_random_seed(5)
    source = x = keras.Input(shape)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for filters, stride in ((16, 1), (24, 2), (24, 1), (32, 2)):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(source, layers.Dense(classes, activation="softmax")(x))


APPLICATION = Application("person", data, build, TrainOptions(16, 32, 0.01), rows=True)

if __name__ == "__main__":
    main(APPLICATION)
