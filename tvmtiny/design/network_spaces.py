"""Spaces of networks for a search: built-in spaces and those of a user's file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvmtiny.design.training import keras_package
from tvmtiny.errors import InputError
from tvmtiny.errors.base import one_line, quoted

__all__ = ["SPACES", "Build", "read_build", "space_of"]

#: Makes a Keras model from an Optuna trial.
Build = Callable[[Any], Any]

_FILTERS = (4, 6, 8, 10, 12, 16, 20, 24, 32, 48)
_MOST_BLOCKS = 4

#: Units of a dense layer before the last one; 0 for none.
_HIDDEN = (0, 8, 12, 16, 24, 32, 48)


def ds_cnn(trial: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Build convolutions, separable convolutions, residual blocks and dense layers of any width."""
    keras = keras_package()
    layers = keras.layers
    source = x = keras.Input(shape)
    if trial.suggest_categorical("stem", ("conv", "none")) == "conv":
        x = _convolved(
            layers,
            source,
            trial.suggest_categorical("stem_filters", _FILTERS),
            trial.suggest_categorical("stem_kernel", (3, 5)),
            _stride(trial, "stem_stride", shape),
        )
    for block in range(trial.suggest_int("blocks", 0, _MOST_BLOCKS)):
        kind = trial.suggest_categorical(f"kind_{block}", ("conv", "separable", "residual"))
        kernel = trial.suggest_categorical(f"kernel_{block}", (1, 3, 5))
        if kind != "residual":
            filters = trial.suggest_categorical(f"filters_{block}", _FILTERS)
            stride = _stride(trial, f"stride_{block}", x.shape[1:])
        if kind == "conv":
            x = _convolved(layers, x, filters, kernel, stride)
        elif kind == "separable":
            x = _separable(layers, x, filters, max(kernel, 3), stride)
        else:
            inside = _separable(layers, x, x.shape[-1], max(kernel, 3), 1, activation=False)
            x = layers.ReLU()(layers.Add()([x, inside]))
    # The mean of the pixels themselves says little.
    mean = x is not source and trial.suggest_categorical("head", ("mean", "flat")) == "mean"
    hidden = trial.suggest_categorical("hidden", _HIDDEN)
    return _headed(layers, source, x, classes, mean, hidden)


def mobilenet(trial: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Build MobileNetV1's sequence of separable convolutions, of any width and depth."""
    keras = keras_package()
    layers = keras.layers
    source = keras.Input(shape)
    width = trial.suggest_categorical("width", (4, 6, 8, 12, 16, 24))
    x = _convolved(layers, source, width, 3, _stride(trial, "stem_stride", shape))
    for stage in range(trial.suggest_int("stages", 1, 4)):
        width = min(2 * width, 128)
        for repeat in range(trial.suggest_int(f"repeats_{stage}", 1, 2)):
            stride = 2 if repeat == 0 and max(x.shape[1:3]) > 3 else 1
            x = _separable(layers, x, width, 3, stride)
    mean = trial.suggest_categorical("head", ("mean", "flat")) == "mean"
    return _headed(layers, source, x, classes, mean)


SPACES: dict[str, Callable[[Any, tuple[int, ...], int], Any]] = {
    "ds-cnn": ds_cnn,
    "mobilenet": mobilenet,
}


def space_of(name: str, shape: tuple[int, ...], classes: int) -> Build:
    """Return a built-in space for samples of a shape.

    Raises
    ------
    InputError
        If there is no such space, or the samples are not images.
    """
    if name not in SPACES:
        raise InputError(f"there is no space {quoted(name)}; known: {', '.join(SPACES)}")
    if len(shape) != 3:
        raise InputError(
            f"the space {name} is for images (height, width, channels), not for {list(shape)}; "
            "give a build function"
        )
    return lambda trial: SPACES[name](trial, shape, classes)


def read_build(place: str) -> Build:
    """Load the build function of a user's file.

    Parameters
    ----------
    place
        ``FILE.py`` or ``FILE.py:FUNCTION``; the default name of the function is ``build``.

    Raises
    ------
    InputError
        If there is no such file or function, or executing the file fails.
    """
    path, _, name = place.partition(".py:")
    file = Path(path if path.endswith(".py") else f"{path}.py")
    name = name or "build"
    if not file.is_file():
        raise InputError(f"there is no file {quoted(str(file))} with a build function")
    spec = importlib.util.spec_from_file_location(f"tvmtiny_build_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Classes of the file, such as layers, find their module by its name in sys.modules.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {one_line(str(error))}"
        raise InputError(f"{quoted(str(file))} cannot be imported: {reason}") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise InputError(f"{quoted(str(file))} has no function {quoted(name)}")
    build: Build = found
    return build


def _stride(trial: Any, name: str, shape: Any) -> int:
    """Suggest a stride of 1 or 2; images of a few pixels are not reduced."""
    return int(trial.suggest_categorical(name, (1, 2))) if max(shape[:2]) > 3 else 1


def _window(x: Any, kernel: int) -> tuple[int, int]:
    """Return the size of a kernel without weights that never meet a pixel, as of signals."""
    height, width = x.shape[1:3]
    return min(kernel, 2 * height - 1), min(kernel, 2 * width - 1)


def _convolved(layers: Any, x: Any, filters: int, kernel: int, stride: int) -> Any:
    window = _window(x, kernel)
    x = layers.Conv2D(filters, window, strides=stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _separable(
    layers: Any, x: Any, filters: int, kernel: int, stride: int, activation: bool = True
) -> Any:
    window = _window(x, kernel)
    x = layers.DepthwiseConv2D(window, strides=stride, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x) if activation else x


def _headed(layers: Any, source: Any, x: Any, classes: int, mean: bool, hidden: int = 0) -> Any:
    x = layers.GlobalAveragePooling2D()(x) if mean else layers.Flatten()(x)
    if hidden:
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layers.Dense(hidden)(x)))
    x = layers.Dense(classes, activation="softmax")(x)
    return keras_package().Model(source, x)
