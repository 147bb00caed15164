"""Training of a small model to reproduce the outputs of a large one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmtiny.design.data import Dataset
from tvmtiny.design.training import (
    Integers,
    TrainOptions,
    ends_in_softmax,
    integers,
    keras_package,
    train,
)
from tvmtiny.errors import InputError

__all__ = ["Distilled", "distil"]

#: Lower bound of probabilities, applied before the logarithm.
_LEAST = 1e-7


@dataclass(frozen=True, eq=False)
class Distilled:
    """A student and the accuracy of its teacher.

    Attributes
    ----------
    student
        The student as an int8 model, with its accuracy before and after quantization.
    teacher_accuracy
        Accuracy of the float teacher on the samples for testing.
    """

    student: Integers
    teacher_accuracy: float


def distil(
    teacher: Any,
    student: Any,
    data: Dataset,
    *,
    temperature: float = 4.0,
    share: float = 0.7,
    options: TrainOptions | None = None,
) -> Distilled:
    """Train `student` in place on the classes and on the outputs of `teacher`.

    The loss is ``(1 - share)`` times the cross entropy with the classes, plus ``share`` times
    ``temperature ** 2`` times the cross entropy with the teacher's probabilities, where the
    temperature softens both distributions (Hinton, Vinyals, Dean: Distilling the Knowledge in a
    Neural Network, 2015).

    Parameters
    ----------
    teacher
        A trained Keras classifier.
    student
        A Keras classifier of the same classes.
    data
        Samples for training and testing.
    temperature
        Softness of the teacher's probabilities, at least 1.
    share
        Weight of the teacher in the loss, from 0 to 1.
    options
        Parameters of the training.

    Raises
    ------
    ToolMissingError
        If Keras or LiteRT is not installed.
    InputError
        If the models have different outputs, a parameter is out of range, or in the cases listed
        for `train`.
    """
    if teacher.output_shape[-1] != student.output_shape[-1]:
        raise InputError(
            f"the teacher has {teacher.output_shape[-1]} outputs, the student "
            f"{student.output_shape[-1]}; both need the same classes"
        )
    if not (temperature >= 1 and 0 <= share <= 1):
        raise InputError(
            f"a temperature of {temperature} or a share of {share} is out of range; give a "
            "temperature of at least 1 and a share from 0 to 1"
        )
    keras = keras_package()
    ops = keras.ops
    given = teacher.predict(data.x_train, verbose=0)
    logits = np.log(np.maximum(given, _LEAST)) if ends_in_softmax(teacher) else given
    softened = _softmax(logits / temperature)
    classes = np.eye(softened.shape[-1], dtype=np.float32)[data.y_train]
    targets = np.concatenate([classes, softened.astype(np.float32)], axis=1)
    count, soft_output = softened.shape[-1], ends_in_softmax(student)

    def loss(wanted: Any, found: Any) -> Any:
        own = ops.log(ops.maximum(found, _LEAST)) if soft_output else found
        hard = -ops.sum(wanted[:, :count] * ops.log_softmax(own), axis=-1)
        soft = -ops.sum(wanted[:, count:] * ops.log_softmax(own / temperature), axis=-1)
        return (1 - share) * hard + share * temperature**2 * soft

    train(student, data, options, targets=targets, loss=loss)
    right = teacher.predict(data.x_test, verbose=0).argmax(axis=1) == data.y_test
    return Distilled(integers(student, data), float(np.mean(right)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
