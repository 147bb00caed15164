"""Verification of an estimate: a candidate is built and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tvmtiny.compiler import compile as compile_model
from tvmtiny.design.data import Dataset
from tvmtiny.evaluating import TestSet, evaluate
from tvmtiny.frontend import Model, load
from tvmtiny.running import run
from tvmtiny.targets import BoardLike

__all__ = ["Verified", "verify", "verify_content"]

#: Number of test samples that the commands run.
_SAMPLES = 100


@dataclass(frozen=True)
class Verified:
    """The results of a model on a board.

    Attributes
    ----------
    board
        Name of the board.
    instructions, arena_bytes, constants_bytes
        Measured figures.
    samples
        Number of test samples that were run on the board.
    accuracy, host_accuracy
        Accuracy on these samples, on the board and on this machine.
    equal
        Whether all outputs agree.
    confusion
        Number of samples by class (rows) and by the class found on the board (columns).
    """

    board: str
    instructions: int
    arena_bytes: int
    constants_bytes: int
    samples: int
    accuracy: float
    host_accuracy: float
    equal: bool
    confusion: tuple[tuple[int, ...], ...]


def verify(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    board: BoardLike,
    *,
    timeout: float = 300.0,
    progress: Callable[[str], None] | None = None,
) -> Verified:
    """Compile a classifier, run it on a board and on this machine, and compare the results.

    Parameters
    ----------
    model
        The model.
    x, y
        Inputs, real or of the dtype of the model's input, and their classes.
    board
        The board, its name, or its file.
    timeout
        Seconds after which a run on the board counts as hung.
    progress
        Called with lines of text.

    Raises
    ------
    TvmtinyError
        In the cases listed for `tvmtiny.compile`, `tvmtiny.run` and `tvmtiny.evaluate`.
    """
    artifact = compile_model(model, board)
    part, taken = TestSet((x,), y), artifact.inputs[0]
    first = part.inputs[0][0].reshape(taken.shape)
    counted = run(artifact, taken.quantize(first) if first.dtype.kind == "f" else first)
    here = evaluate(artifact, part, metric="accuracy", progress=progress)
    there = evaluate(
        artifact, part, board=board, metric="accuracy", timeout=timeout, progress=progress
    )
    return Verified(
        there.where,
        counted.instructions,
        artifact.arena_bytes,
        artifact.constants_bytes,
        there.samples,
        there.value,
        here.value,
        bool(np.array_equal(here.outputs, there.outputs)),
        _confusion(there.outputs, y),
    )


def _confusion(outputs: np.ndarray, y: np.ndarray) -> tuple[tuple[int, ...], ...]:
    rows = outputs.reshape(len(outputs), -1)
    counts = np.zeros((rows.shape[1], rows.shape[1]), int)
    np.add.at(counts, (y, rows.argmax(axis=1)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)


def verify_content(
    content: bytes,
    data: Dataset,
    board: BoardLike,
    progress: Callable[[str], None] | None = None,
) -> Verified:
    """Verify a .tflite file with the first 100 samples for testing; see `verify`."""
    model = load(content, name="candidate")
    return verify(model, data.x_test[:_SAMPLES], data.y_test[:_SAMPLES], board, progress=progress)
