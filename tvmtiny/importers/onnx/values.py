"""Values of an ONNX graph as TFLite tensors, whose axes may have a different order.

ONNX has channels first, TFLite channels last. For each axis of its TFLite tensor, a `Value` states
the corresponding axis of its ONNX shape, so a transposition only changes this order. Elements move
only if an operator needs a certain order; constants are transposed at conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from tvmtiny.importers.onnx.quantization import Scales

__all__ = ["Value", "channels_last", "neighbours", "regrouped", "without_ones"]


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the TFLite model.

    Attributes
    ----------
    index
        The index of the tensor.
    shape
        The shape in ONNX's order of axes.
    order
        The ONNX axis of each axis of the tensor.
    dtype
        The dtype of the tensor.
    scales
        The scales, if the tensor holds quantized numbers.
    view
        The shape of the value in ONNX, if this is a reshape of `shape` that the order of the
        tensor's axes does not allow.
    name
        The name in the user's model.
    """

    index: int
    shape: tuple[int, ...]
    order: tuple[int, ...]
    dtype: str
    scales: Scales | None = None
    view: tuple[int, ...] | None = None
    name: str = ""

    @property
    def physical(self) -> tuple[int, ...]:
        """The tensor's own shape."""
        return tuple(self.shape[axis] for axis in self.order)

    @property
    def logical(self) -> tuple[int, ...]:
        """The value's shape in ONNX."""
        return self.shape if self.view is None else self.view

    @property
    def plain(self) -> bool:
        """Whether the tensor has the shape and the order of axes of ONNX."""
        return self.view is None and self.order == tuple(range(len(self.shape)))

    @property
    def rank(self) -> int:
        """The number of dimensions in ONNX."""
        return len(self.logical)

    def axis(self, logical: int) -> int:
        """The tensor's axis for an axis of the ONNX shape."""
        return self.order.index(logical % len(self.shape))

    def at(self, index: int) -> Value:
        """Return the same value in another tensor."""
        return replace(self, index=index)


def channels_last(rank: int) -> tuple[int, ...]:
    """The order of axes in TFLite's convolutions."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


def without_ones(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """The order of the axes that are longer than 1: equal for tensors with the same bytes."""
    return tuple(axis for axis in order if shape[axis] != 1)


def neighbours(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Group neighbouring axes of two shapes that hold the same elements."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = [], []
        if i < len(old):
            left.append(i)
            i += 1
        if j < len(new) and not (left and old[left[0]] == 1 and new[j] != 1):
            right.append(j)
            j += 1
        if left and not right and old[left[0]] == 1:
            groups.append((left, right))
            continue
        while prod(old[a] for a in left) != prod(new[a] for a in right):
            if prod(old[a] for a in left) < prod(new[a] for a in right):
                left.append(i)
                i += 1
            else:
                right.append(j)
                j += 1
        groups.append((left, right))
    return groups


def regrouped(
    shape: tuple[int, ...], order: tuple[int, ...], new: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The order of a reshaped value's axes, if the bytes of the tensor need not move.

    Parameters
    ----------
    shape, order
        Shape and order before the reshape.
    new
        The shape in ONNX after the reshape, with the same number of elements.

    Returns
    -------
    tuple of int, optional
        The new order; None if elements would have to move.
    """
    groups = neighbours(shape, new)
    ones = [axis for old, found in groups if not old for axis in found]
    made: list[int] = []
    place = 0
    axes = [axis for axis in order if shape[axis] != 1]
    starts = {}
    for old, found in groups:
        kept = [axis for axis in old if shape[axis] != 1]
        if kept:
            starts[kept[0]] = (kept, found)
        else:
            ones += [axis for axis in found if axis not in ones]
    while place < len(axes):
        kept, found = starts.get(axes[place], ([], []))
        if not kept or axes[place : place + len(kept)] != kept:
            return None
        made += found
        place += len(kept)
    # The position of axes of length 1 does not matter; keep them as in ONNX.
    for axis in sorted(ones):
        made.insert(min(axis, len(made)), axis)
    return tuple(made)
