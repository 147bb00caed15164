"""What an importer gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.errors.base import short_name

__all__ = ["ImportOptions", "Imported", "ImportedTensor", "moved_notes"]


@dataclass(frozen=True)
class ImportOptions:
    """How a model is imported.

    Attributes
    ----------
    keep_layout
        Whether inputs and outputs keep the order of axes of a framework that has channels in front
        of pixels, at the cost of transpositions.
    dtype
        Of the features of trees: float32, int8 or int16.
    scale
        What a step of int8 or int16 features stands for.
    trust
        Whether a file may run code of its own as it is read, as pickles do.
    python
        A Python that has a converter which this one lacks; of litert-torch.
    """

    keep_layout: bool = False
    dtype: str = "float32"
    scale: float = 1.0
    trust: bool = False
    python: str | None = None


@dataclass(frozen=True)
class ImportedTensor:
    """An input or an output of an imported model.

    Attributes
    ----------
    name
        As the framework calls it.
    shape, dtype
        In the imported model.
    scale, zero_point
        Of quantized numbers: ``real = scale * (value - zero_point)``; no scale for others.
    original_shape
        In the framework.
    order
        The framework's axis of each axis here; they differ where a framework has channels in front
        of pixels.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int
    original_shape: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def moved(self) -> bool:
        """Whether the axes have another order than in the framework."""
        ones = [axis for axis in self.order if self.original_shape[axis] != 1]
        return ones != sorted(ones)

    def arranged(self, array: np.ndarray) -> np.ndarray:
        """An array of the framework's as this tensor has it; more dimensions in front are kept."""
        extra = array.ndim - len(self.order)
        axes = [*range(extra), *(axis + extra for axis in self.order)]
        return np.ascontiguousarray(array.transpose(axes))

    def restored(self, array: np.ndarray) -> np.ndarray:
        """An array of this tensor as the framework has it; the inverse of `arranged`."""
        extra = array.ndim - len(self.order)
        axes = [*range(extra), *(self.order.index(axis) + extra for axis in range(len(self.order)))]
        return np.ascontiguousarray(array.transpose(axes))


@dataclass(frozen=True, eq=False)
class Imported:
    """A model of another framework as a .tflite file.

    Attributes
    ----------
    framework
        Such as ``ONNX``.
    content
        The .tflite file.
    inputs, outputs
        What became of the framework's own.
    notes
        What a user should know, one sentence each.
    classes
        What the positions of a classifier's output stand for; empty where they are not named.
    """

    framework: str
    content: bytes
    inputs: tuple[ImportedTensor, ...]
    outputs: tuple[ImportedTensor, ...]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def moved_notes(framework: str, what: str, tensors: Sequence[ImportedTensor]) -> list[str]:
    """One sentence for each tensor whose axes lie otherwise than in the framework."""
    return [
        f"the {what} {short_name(t.name)} has channels last: {_size(t.shape)} here, "
        f"{_size(t.original_shape)} in {framework}"
        for t in tensors
        if t.moved
    ]


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
