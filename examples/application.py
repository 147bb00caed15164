"""The steps of all applications, from a data set to a board and to Zephyr and Arduino projects.

Each application is a module with a data set and a Keras model; this module trains and quantizes the
model or takes the trained one from ``models/``, compiles it, runs the held-out samples on a board
in QEMU and on this machine, and writes projects.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tvmtiny
from tvmtiny.creating import create_zephyr_application
from tvmtiny.design.data import Dataset
from tvmtiny.design.training import TrainOptions, accuracy, integers, train
from tvmtiny.design.verifying import Verified, verify
from tvmtiny.errors import TvmtinyError
from tvmtiny.evaluating import TestSet, evaluate
from tvmtiny.host.files import write_bytes, write_text
from tvmtiny.preprocessing.front_end import FrontEnd
from tvmtiny.project.zephyr.application import ApplicationOptions
from tvmtiny.project.zephyr.board import find_zephyr_board

BOARD, ZEPHYR_BOARD = "mps2-an386", "zephyr:mps2_an386"

#: Number of samples that are run row by row.
BY_ROW = 20

#: Trained and quantized models, which ``scripts/gallery.py --train`` writes.
MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Sensor:
    """A front end that computes the features of an application from a sensor's samples.

    Attributes
    ----------
    front_end
        The front end.
    samples
        Returns the samples from which the features for testing were computed, in the same order:
        int16, ``(tests, samples)``.
    """

    front_end: FrontEnd
    samples: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Application:
    """An application: a data set and a network for it.

    Attributes
    ----------
    name
        The name of the application, a C identifier.
    data
        Reads the data set.
    build
        Builds the Keras model for the shape of a sample and the number of classes.
    options
        Options of the training.
    sensor
        The front end to compile with the network; None for a network without one.
    rows
        Whether the network also runs row by row, as a camera delivers its input.
    """

    name: str
    data: Callable[[], Dataset]
    build: Callable[[tuple[int, ...], int], Any]
    options: TrainOptions
    sensor: Sensor | None = None
    rows: bool = False


@dataclass(frozen=True)
class Rows:
    """The results on a board that takes one row of the input at a time.

    Attributes
    ----------
    arena_bytes
        The arena, which never holds the input as a whole.
    samples
        Number of samples that were run.
    equal
        Whether all outputs are those of whole inputs on this machine.
    """

    arena_bytes: int
    samples: int
    equal: bool


@dataclass(frozen=True)
class Outcome:
    """The results of an application.

    Attributes
    ----------
    name
        The name of the application.
    train_samples, test_samples, classes
        Sizes of the data set.
    float_accuracy, accuracy
        Accuracy on all test samples, before and after quantization; the first is None for a model
        that was not trained in this run.
    verified
        The comparison of the outputs on the board with those on this machine.
    zephyr, arduino
        The Zephyr application and the Arduino library.
    rows
        The comparison row by row, for an application with `Application.rows`.
    """

    name: str
    train_samples: int
    test_samples: int
    classes: int
    float_accuracy: float | None
    accuracy: float
    verified: Verified
    zephyr: str
    arduino: str
    rows: Rows | None = None


def cut(data: Dataset, samples: int) -> Dataset:
    """Take the first `samples` of each part, for a quick run."""
    x, y = data.x_train[:samples], data.y_train[:samples]
    shown = np.isin(data.y_test, np.arange(int(y.max()) + 1))
    return Dataset(x, y, data.x_test[shown][:samples], data.y_test[shown][:samples])


def compiled_model(application: Application, out: Path) -> tvmtiny.Model:
    """Load the model that `run` wrote to `out`, with the front end of the application."""
    model = tvmtiny.load(out / f"{application.name}.tflite")
    sensor = application.sensor
    return model if sensor is None else tvmtiny.with_front_end(model, sensor.front_end)


def run_rows(model: tvmtiny.Model, data: Dataset) -> Rows:
    """Run the first samples for testing row by row on the board, and compare the outputs."""
    part = TestSet((data.x_test[:BY_ROW],), data.y_test[:BY_ROW])
    streamed = tvmtiny.compile(model, BOARD, stream="rows")
    there = evaluate(streamed, part, board=BOARD, metric="accuracy")
    here = evaluate(tvmtiny.compile(model, BOARD), part, metric="accuracy")
    equal = bool(np.array_equal(here.outputs, there.outputs))
    return Rows(streamed.arena_bytes, there.samples, equal)


def trained(
    application: Application, data: Dataset, epochs: int | None = None
) -> tuple[bytes, float]:
    """Train and quantize the network; returns the .tflite file and the accuracy in float."""
    options = application.options
    if epochs is not None:
        options = TrainOptions(epochs, options.batch, options.rate, options.seed)
    model = application.build(data.shape, data.classes)
    train(model, data, options)
    made = integers(model, data)
    return made.content, made.float_accuracy


def run(
    application: Application,
    out: Path,
    *,
    training: bool = False,
    epochs: int | None = None,
    samples: int | None = None,
) -> Outcome:
    """Run all steps of an application.

    Parameters
    ----------
    out
        A folder for the model and the projects.
    training
        Train the network rather than take the model that ships.
    epochs, samples
        Smaller numbers than the application's own, for a quick run.
    """
    data = application.data()
    if samples is not None:
        data = cut(data, samples)
    float_accuracy = None
    if training:
        content, float_accuracy = trained(application, data, epochs)
    else:
        content = (MODELS / f"{application.name}.tflite").read_bytes()
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / f"{application.name}.tflite", content)
    loaded, tested = compiled_model(application, out), data.x_test
    if application.sensor is not None:
        tested = application.sensor.samples()[: len(data.x_test)]
    verified = verify(loaded, tested, data.y_test, BOARD)
    create_zephyr_application(
        [loaded],
        find_zephyr_board(ZEPHYR_BOARD),
        out / "zephyr",
        ApplicationOptions(),
        {},
        lambda _: None,
    )
    tvmtiny.export(tvmtiny.compile(loaded, "cortex-m4"), "arduino", out / "arduino")
    return Outcome(
        application.name,
        len(data.x_train),
        len(data.x_test),
        data.classes,
        float_accuracy,
        accuracy(content, data.x_test, data.y_test),
        verified,
        str(out / "zephyr"),
        str(out / "arduino"),
        run_rows(loaded, data) if application.rows else None,
    )


def main(application: Application) -> None:
    """Run an application from the command line, and print the results as JSON."""
    parser = argparse.ArgumentParser(description=f"The application {application.name}.")
    parser.add_argument("--out", type=Path, default=Path("build") / application.name)
    parser.add_argument("--train", action="store_true", help="train the network; needs Keras")
    parser.add_argument("--epochs", type=int, help="fewer passes over the samples, with --train")
    given = parser.parse_args()
    try:
        found = run(application, given.out, training=given.train, epochs=given.epochs)
    except TvmtinyError as error:
        parser.exit(error.exit_code, f"{application.name}: {error}\n")
    except ModuleNotFoundError as error:
        parser.exit(4, f"{application.name}: {error}; docs/examples.md lists what to install\n")
    text = json.dumps(asdict(found), indent=2)
    write_text(given.out / "outcome.json", f"{text}\n")
    print(text)
