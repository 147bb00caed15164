"""The results of importers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.errors.base import short_name

__all__ = ["ImportOptions", "Imported", "ImportedTensor", "moved_notes"]


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Attributes
    ----------
    keep_layout
        Whether inputs and outputs keep the axis order of a framework with channels first, at the
        cost of transpositions.
    dtype
        The dtype of the features of trees: float32, int8 or int16.
    scale
        The real value of one step of int8 or int16 features.
    trust
        Whether a file may run its own code while it is read, as pickles do.
    python
        The path of a Python with litert-torch, if the current Python lacks it.
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
        The tensor's name in the framework.
    shape, dtype
        Shape and dtype in the imported model.
    scale, zero_point
        Parameters of quantized numbers: ``real = scale * (value - zero_point)``. Other numbers have
        no scale.
    original_shape
        The shape in the framework.
    order
        The framework's axis for each axis of the imported tensor. They differ if the framework puts
        channels first.
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
        """Whether the order of axes differs from that in the framework."""
        ones = [axis for axis in self.order if self.original_shape[axis] != 1]
        return ones != sorted(ones)

    def arranged(self, array: np.ndarray) -> np.ndarray:
        """Convert an array from the framework's order of axes.

        Additional leading dimensions are kept.
        """
        extra = array.ndim - len(self.order)
        axes = [*range(extra), *(axis + extra for axis in self.order)]
        return np.ascontiguousarray(array.transpose(axes))

    def restored(self, array: np.ndarray) -> np.ndarray:
        """Convert an array to the framework's order of axes; the inverse of `arranged`."""
        extra = array.ndim - len(self.order)
        axes = [*range(extra), *(self.order.index(axis) + extra for axis in range(len(self.order)))]
        return np.ascontiguousarray(array.transpose(axes))


@dataclass(frozen=True, eq=False)
class Imported:
    """A model of another framework as a .tflite file.

    Attributes
    ----------
    framework
        The framework's name, such as ``ONNX``.
    content
        The .tflite file.
    inputs, outputs
        Inputs and outputs of the imported model.
    notes
        Remarks for the user, one sentence each.
    classes
        The class of each position of a classifier's output; empty if classes have no names.
    """

    framework: str
    content: bytes
    inputs: tuple[ImportedTensor, ...]
    outputs: tuple[ImportedTensor, ...]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def moved_notes(framework: str, what: str, tensors: Sequence[ImportedTensor]) -> list[str]:
    """One sentence for each tensor whose order of axes differs from that in the framework."""
    return [
        f"the {what} {short_name(t.name)} has channels last: {_size(t.shape)} here, "
        f"{_size(t.original_shape)} in {framework}"
        for t in tensors
        if t.moved
    ]


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
