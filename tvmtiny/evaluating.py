"""Measure the quality of a model on a test set by running the C that tvmtiny generates."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tvmtiny.datasets import IMAGE_RANGE, Data, find_samples, shaped
from tvmtiny.errors import InputDataError, InputError
from tvmtiny.errors.base import quoted
from tvmtiny.native import NativeModel
from tvmtiny.rpc.session import Session

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, TensorInfo
    from tvmtiny.targets import BoardLike

__all__ = ["METRICS", "Evaluation", "TestSet", "evaluate", "quantized_samples", "read_test_set"]

#: Names of the supported metrics.
METRICS = ("accuracy", "auc", "error")


@dataclass(frozen=True, eq=False)
class TestSet:
    """Inputs of a model with their expected results.

    Attributes
    ----------
    inputs
        One array for each input, of shape ``(samples, *shape)`` without a leading dimension of 1.
        Real numbers are quantized; arrays of the input's own integer dtype are used unchanged.
    labels
        Integers of shape ``(samples,)``, or real numbers with one row for each sample.
    notes
        How the data was converted, one sentence each.
    """

    # The name starts with "Test"; keep pytest from collecting the class.
    __test__ = False

    inputs: tuple[np.ndarray, ...]
    labels: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of evaluating a model on a test set.

    Attributes
    ----------
    metric
        ``accuracy`` is the share of samples whose largest output matches the label (for a single
        output: whether it is at least 0.5, for labels 0 and 1). ``auc`` is the area under the ROC
        curve for labels 0 and 1, scored by the distance between output and input (for a single
        output: by the output). ``error`` is the mean absolute error in real numbers.
    value
        Value of the metric.
    samples
        Number of samples.
    right
        Number of samples classified correctly; None for metrics other than ``accuracy``.
    where
        Name of the board, or ``this machine``.
    outputs
        First output for each sample, dequantized: float32, shape ``(samples, *shape)``.
    """

    metric: str
    value: float
    samples: int
    right: int | None
    where: str
    outputs: np.ndarray


def read_test_set(
    data: Data,
    tensors: Sequence[TensorInfo],
    *,
    image_range: tuple[float, float] = IMAGE_RANGE,
) -> TestSet:
    """Read a test set from a ``.npz`` file, or a folder with a subfolder of images per class.

    Parameters
    ----------
    data, tensors, image_range
        See `tvmtiny.datasets.find_samples`.

    Returns
    -------
    TestSet
        Inputs and labels of equal length.

    Raises
    ------
    InputDataError
        If the file is not a test set, or has no labels.
    ToolMissingError
        Pillow, which reads images, is not installed.
    """
    found = find_samples(data, tensors, image_range=image_range)
    if found.labels is None:
        place = str(data) if isinstance(data, str | os.PathLike) else "the data"
        wanted = "an array named y or labels, or a folder of images for each class"
        raise InputDataError("labels", f"missing in {place}", wanted, "samples alone")
    return TestSet(found.inputs, found.labels, found.notes)


def evaluate(
    artifact: Artifact,
    data: TestSet,
    *,
    board: BoardLike | None = None,
    metric: str | None = None,
    timeout: float = 120.0,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Run a test set through a model's generated C and compute a metric of its results.

    Parameters
    ----------
    artifact
        Model compiled for the board or for any CPU, with inputs and outputs in its own arena.
    data
        The test set.
    board
        Board to run on; by default this machine, which is faster and gives the same bytes.
    metric
        One of `METRICS`. The default is ``auc`` for integer labels if the output has the shape of
        the input, ``accuracy`` for other integer labels, and ``error`` for real labels.
    timeout
        Seconds after which a run on the board counts as hung.
    progress
        Called with a short description before each step.

    Returns
    -------
    Evaluation
        Value of the metric, and the dequantized first output of each sample.

    Raises
    ------
    InputDataError
        If the test set does not fit the model or the metric.
    InputError
        If the metric is unknown, or the model cannot run on this machine.
    ToolMissingError, BuildError, DeviceError
        Raised as by `tvmtiny.run`.
    """
    tell = progress or (lambda _: None)
    inputs = [
        quantized_samples(tensor, array)
        for tensor, array in zip(artifact.inputs, data.inputs, strict=True)
    ]
    count = len(inputs[0])
    if any(len(array) != count for array in (*inputs, data.labels)) or count == 0:
        sizes = ", ".join(str(len(array)) for array in (*inputs, data.labels))
        raise InputDataError(
            "labels", "the number of samples differs", "as many labels as samples", sizes
        )
    first = artifact.outputs[0]
    chosen = metric or _metric_for(artifact, data.labels)
    _check_metric(chosen, artifact, data.labels)
    if board is None:
        tell("compiling for this machine")
        with NativeModel(artifact) as native:
            tell(f"running {count} samples")
            raw = native.run(*inputs)[0]
    else:
        tell("starting the board")
        with Session(artifact, board, timeout=timeout) as session:
            rows = []
            for number, frame in enumerate(zip(*inputs, strict=True)):
                if number % 10 == 0:
                    tell(f"running sample {number + 1} of {count}")
                session.reset_state()
                rows.append(session.run(*frame)[0])
            raw = np.stack(rows)
    outputs = first.real(raw).astype(np.float32)
    given = artifact.inputs[0].real(inputs[0])
    value, right = _figure(chosen, outputs, given, data.labels)
    where = "this machine" if board is None else str(getattr(board, "name", board))
    return Evaluation(chosen, value, count, right, where, outputs)


def quantized_samples(tensor: TensorInfo, array: np.ndarray) -> np.ndarray:
    """Convert samples to the input's dtype, in the shape ``(samples, *shape)``.

    Raises
    ------
    InputDataError
        If the samples have another shape, or are no numbers that the input can take.
    """
    laid = shaped(tensor, array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputDataError(
            tensor.name, "values are infinite or NaN", "finite samples", "NaN or inf"
        )
    if tensor.scale is None:
        if array.dtype.kind == "f" and np.dtype(tensor.dtype).kind != "f":
            raise InputDataError(
                tensor.name, "real samples for an input without a scale", tensor.dtype, "floats"
            )
        return laid.astype(tensor.dtype)
    if array.dtype == np.dtype(tensor.dtype):
        return laid
    return tensor.quantize(laid)


def _metric_for(artifact: Artifact, labels: np.ndarray) -> str:
    if labels.dtype.kind == "f" or labels.ndim != 1:
        return "error"
    return "auc" if _rebuilds(artifact) else "accuracy"


def _rebuilds(artifact: Artifact) -> bool:
    """Whether the output reconstructs the input, as in an autoencoder."""
    size = int(np.prod(artifact.outputs[0].shape))
    return size > 1 and size == int(np.prod(artifact.inputs[0].shape))


def _check_metric(metric: str, artifact: Artifact, labels: np.ndarray) -> None:
    size = int(np.prod(artifact.outputs[0].shape))
    if metric not in METRICS:
        raise InputError(f"there is no metric {quoted(metric)}; known: {', '.join(METRICS)}")
    if metric == "error":
        if labels.size != len(labels) * size:
            raise InputDataError(
                "labels",
                "the shape differs from the output's",
                f"{size} numbers for each sample",
                f"{list(labels.shape)}",
            )
        return
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise InputDataError(
            "labels",
            f"not classes, which {metric} needs",
            "one integer a sample",
            f"{labels.dtype}",
        )
    last = max(size - 1, 1) if metric == "accuracy" else 1
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > last:
        raise InputDataError("labels", "unknown classes", f"0 to {last}", f"{low} to {high}")
    if metric == "auc" and low == high:
        raise InputDataError("labels", "only one class", "samples of both, 0 and 1", f"{low}")
    if metric == "auc" and size > 1 and not _rebuilds(artifact):
        raise InputDataError(
            "labels", "the output is not a score", "one output, or one like the input", f"{size}"
        )


def _figure(
    metric: str, outputs: np.ndarray, inputs: np.ndarray, labels: np.ndarray
) -> tuple[float, int | None]:
    rows = outputs.reshape(len(outputs), -1).astype(np.float64)
    if metric == "error":
        return float(np.abs(rows - labels.reshape(rows.shape)).mean()), None
    if metric == "auc":
        scores = rows[:, 0]
        if rows.shape[1] > 1:
            scores = np.square(rows - inputs.reshape(rows.shape)).mean(axis=1)
        return _area(scores, labels), None
    guessed = rows.argmax(axis=1) if rows.shape[1] > 1 else rows[:, 0] >= 0.5
    right = int((guessed == labels).sum())
    return right / len(rows), right


def _area(scores: np.ndarray, labels: np.ndarray) -> float:
    """Compute the share of pairs, one sample of each class, in which class 1 scores higher."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places.reshape(-1)]
    ones = int((labels == 1).sum())
    above = ranks[labels == 1].sum() - ones * (ones + 1) / 2
    return float(above / (ones * (len(labels) - ones)))
