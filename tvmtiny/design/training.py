"""Training of a Keras model, and its conversion to an int8 model of measured accuracy."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np

from tvmtiny.design.data import Dataset
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.network import Network, Precisions, Ranges, calibrated_ranges, to_tflite
from tvmtiny.errors import InputError
from tvmtiny.errors.base import one_line, quoted
from tvmtiny.frontend import load
from tvmtiny.host.imports import importing
from tvmtiny.ops.shared.quantization import INTEGER_RANGES
from tvmtiny.oracle import run_litert_outputs, silenced

__all__ = [
    "Integers",
    "TrainOptions",
    "accuracy",
    "as_integers",
    "calibration",
    "check_fit",
    "fit",
    "integers",
    "keras_package",
    "outputs_of",
    "read_keras",
    "train",
]

#: Number of samples for measuring the ranges of activations.
_CALIBRATION = 200


@dataclass(frozen=True)
class TrainOptions:
    """Parameters of training with Adam and a learning rate that decays to zero as a cosine.

    Attributes
    ----------
    epochs, batch
        Number of passes over all samples, and samples per batch.
    rate
        Initial learning rate.
    seed
        Seed of all random numbers.
    """

    epochs: int = 30
    batch: int = 64
    rate: float = 0.01
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Integers:
    """A trained model after quantization to int8.

    Attributes
    ----------
    content
        The .tflite file.
    network
        The network with its float weights.
    float_accuracy, accuracy
        Accuracy on the samples for testing, before and after quantization.
    """

    content: bytes
    network: Network
    float_accuracy: float
    accuracy: float


def keras_package() -> Any:
    """Import Keras with its configured backend, without the backend's messages.

    Raises
    ------
    ToolMissingError
        If Keras or its backend is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow logs before it reads how much it may log.
    with silenced(), importing("keras", "'tvmtiny[design]'", "to build and train models"):
        import keras
    # Each network is a new function for TensorFlow, which warns of that.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras


def read_keras(path: str | os.PathLike[str]) -> Any:
    """Load a saved Keras model.

    Raises
    ------
    ToolMissingError
        If Keras or its backend is not installed.
    InputError
        If the file cannot be read.
    """
    keras = keras_package()
    file = Path(path)
    if not file.is_file():
        raise InputError(
            f"{quoted(os.fspath(path))} is not a readable Keras model: there is no such file"
        )
    if file.suffix == ".keras" and not is_zipfile(file):
        raise InputError(
            f"{quoted(os.fspath(path))} is not a readable Keras model: it is no zip archive, as "
            "model.save writes"
        )
    try:
        return keras.models.load_model(os.fspath(path))
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(str(error))[:200]}"
        raise InputError(
            f"{quoted(os.fspath(path))} is not a readable Keras model: {reason}"
        ) from error


def train(
    model: Any,
    data: Dataset,
    options: TrainOptions | None = None,
    *,
    targets: np.ndarray | None = None,
    loss: Any = None,
    callbacks: tuple[Any, ...] = (),
) -> None:
    """Train `model` in place on the samples for training.

    Parameters
    ----------
    model
        A Keras model whose outputs are probabilities of the classes, or logits.
    data
        The samples.
    options
        Parameters of the training.
    targets, loss
        Targets of the output and loss function; by default the classes and cross entropy.
    callbacks
        Keras callbacks.

    Raises
    ------
    InputError
        If the loss is not finite, or the model does not fit the data.
    """
    options = options or TrainOptions()
    keras = keras_package()
    keras.utils.set_random_seed(options.seed)
    check_fit(model, data)
    logits = not ends_in_softmax(model)
    fit(
        model,
        data,
        options,
        targets=targets,
        loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=logits),
        callbacks=callbacks,
    )


def check_fit(model: Any, data: Dataset) -> None:
    """Check that a Keras model takes the samples, and has an output for each class.

    Raises
    ------
    InputError
        If it does not.
    """
    if tuple(model.input_shape[1:]) != data.shape:
        raise InputError(
            f"the model takes inputs of shape {list(model.input_shape[1:])}, but samples have "
            f"shape {list(data.shape)}"
        )
    shape = list(model.output_shape[1:])
    if len(shape) != 1:
        raise InputError(
            f"the model has outputs of shape {shape}, but a classifier has one for each class; "
            "put a Flatten before its last layer"
        )
    if shape[0] < data.classes:
        raise InputError(
            f"the model has {shape[0]} outputs, but the data has {data.classes} classes"
        )


def fit(
    model: Any,
    data: Dataset,
    options: TrainOptions,
    *,
    targets: np.ndarray | None,
    loss: Any,
    callbacks: tuple[Any, ...] = (),
) -> None:
    """Run the loop of `train` on a model that fits the data.

    Raises
    ------
    InputError
        If the loss is not finite.
    """
    keras = keras_package()
    steps = -(-len(data.x_train) // options.batch)
    schedule = keras.optimizers.schedules.CosineDecay(options.rate, steps * options.epochs)
    optimizer = keras.optimizers.Adam(schedule)
    # Variables that TensorFlow's first trace would create make it trace the whole step again.
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss=loss,
        # For small networks XLA's compilation takes longer than the training.
        jit_compile=False,
    )
    history = model.fit(
        data.x_train,
        data.y_train if targets is None else targets,
        epochs=options.epochs,
        batch_size=options.batch,
        verbose=0,
        callbacks=list(callbacks),
    )
    if not np.isfinite(history.history["loss"][-1]):
        raise InputError(
            "the training does not converge: its loss is not finite; use a smaller learning rate"
        )


def ends_in_softmax(model: Any) -> bool:
    """Return whether the outputs of a Keras model are probabilities."""
    last = model.layers[-1]
    name = getattr(getattr(last, "activation", None), "__name__", "")
    return type(last).__name__ == "Softmax" or name == "softmax"


def integers(model: Any, data: Dataset) -> Integers:
    """Quantize a trained Keras model to int8, and measure both on the samples for test."""
    return as_integers(from_keras(model), data)


def as_integers(
    network: Network,
    data: Dataset,
    ranges: Ranges | None = None,
    precisions: Precisions | None = None,
) -> Integers:
    """Quantize a network, and measure its accuracy before and after.

    Parameters
    ----------
    network
        The network.
    data
        Samples for training and testing.
    ranges
        Ranges of activations; by default they are measured on training samples.
    precisions
        Precisions of layers other than ``int8``.
    """
    found = ranges or calibration(network, data)
    content = to_tflite(network, found, precisions=precisions)
    return Integers(
        content,
        network,
        accuracy(to_tflite(network, None), data.x_test, data.y_test),
        accuracy(content, data.x_test, data.y_test),
    )


def calibration(network: Network, data: Dataset) -> Ranges:
    """Measure the ranges of activations on the first samples for training."""
    return calibrated_ranges(network, data.x_train[:_CALIBRATION])


def accuracy(content: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of samples that a .tflite classifier gets right in LiteRT.

    Raises
    ------
    ToolMissingError
        If LiteRT is not installed.
    """
    found = [output.argmax() for output in outputs_of(content, x)]
    return float(np.mean(np.array(found) == y))


def outputs_of(content: bytes, x: np.ndarray) -> np.ndarray:
    """Return the outputs of a .tflite classifier in LiteRT in real numbers.

    Parameters
    ----------
    content
        The .tflite file.
    x
        Real inputs: ``(samples, *shape)``.

    Returns
    -------
    np.ndarray
        float32, ``(samples, outputs)``.

    Raises
    ------
    ToolMissingError
        If LiteRT is not installed.
    """
    graph = load(content).graph
    tensor, output = graph.inputs[0], graph.outputs[0]
    values = np.asarray(x, np.float32)
    if tensor.quantized:
        steps = np.rint(values / np.float32(tensor.scale)) + tensor.zero_point
        values = np.clip(steps, *INTEGER_RANGES[tensor.dtype]).astype(tensor.dtype)
    frames = ([sample.reshape(tensor.shape)] for sample in values)
    found = np.array([outputs[0].ravel() for outputs in run_litert_outputs(content, frames)])
    if not output.quantized:
        return found
    return (found.astype(np.float32) - output.zero_point) * np.float32(output.scale)
