"""Verification of an estimate: a candidate is built and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tvmtiny.compiler import compile as compile_model
from tvmtiny.design.data import Dataset
from tvmtiny.evaluating import TestSet, evaluate
from tvmtiny.frontend import load
from tvmtiny.running import run
from tvmtiny.targets import BoardLike

__all__ = ["Verified", "verify"]


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
    """

    board: str
    instructions: int
    arena_bytes: int
    constants_bytes: int
    samples: int
    accuracy: float
    host_accuracy: float
    equal: bool


def verify(
    content: bytes,
    data: Dataset,
    board: BoardLike,
    *,
    samples: int = 100,
    timeout: float = 300.0,
    progress: Callable[[str], None] | None = None,
) -> Verified:
    """Compile a .tflite file, run it on a board and on this machine, and compare the results.

    Parameters
    ----------
    content
        The .tflite file.
    data
        The samples; those for testing are used.
    board
        The board, its name, or its file.
    samples
        Number of test samples to run, starting with the first.
    timeout
        Seconds after which a run on the board counts as hung.
    progress
        Called with lines of text.

    Raises
    ------
    TvmtinyError
        In the cases listed for `tvmtiny.compile`, `tvmtiny.run` and `tvmtiny.evaluate`.
    """
    artifact = compile_model(load(content, name="candidate"), board)
    part = TestSet((data.x_test[:samples],), data.y_test[:samples])
    first = artifact.inputs[0].quantize(part.inputs[0][:1].reshape(artifact.inputs[0].shape))
    counted = run(artifact, first)
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
    )
