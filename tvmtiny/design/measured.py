"""A trained model with its accuracy and its cost on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.design.figures import Figures, figures_of
from tvmtiny.design.training import Integers
from tvmtiny.estimation.model import cost
from tvmtiny.frontend import load
from tvmtiny.targets import Target

__all__ = ["MeasuredModel", "measured"]


@dataclass(frozen=True, eq=False)
class MeasuredModel:
    """A trained model after quantization.

    Attributes
    ----------
    content
        The int8 model as a .tflite file.
    figures
        The estimated cost.
    accuracy, float_accuracy
        Accuracy of the int8 and of the float model on the samples for testing.
    """

    content: bytes
    figures: Figures
    accuracy: float
    float_accuracy: float


def measured(made: Integers, target: Target) -> MeasuredModel:
    """Estimate the cost of a quantized model."""
    found = figures_of(cost(load(made.content, name="measured"), target), 0)
    return MeasuredModel(made.content, found, made.accuracy, made.float_accuracy)
