"""Values of an ONNX graph as TFLite tensors, whose axes may lie in another order.

ONNX has channels in front of pixels, TFLite behind them. A `Value` says which axis of its ONNX
shape each axis of the TFLite tensor is, so that a transposition is nothing but another order;
tensors are moved only where an operator needs them in a certain order, and constants while the
model is made.
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
        Of the tensor.
    shape
        In ONNX's order of axes.
    order
        The ONNX axis of each axis of the tensor.
    dtype
        Of the tensor.
    scales
        Where it holds quantized numbers.
    view
        The shape that the value has in ONNX where that is a reshape of `shape` which the order of
        the tensor's axes does not allow.
    name
        In the user's model.
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
        """Whether the tensor is as ONNX has the value."""
        return self.view is None and self.order == tuple(range(len(self.shape)))

    @property
    def rank(self) -> int:
        """Number of dimensions in ONNX."""
        return len(self.logical)

    def axis(self, logical: int) -> int:
        """The tensor's axis that an axis of the ONNX shape is."""
        return self.order.index(logical % len(self.shape))

    def at(self, index: int) -> Value:
        """The same in another tensor."""
        return replace(self, index=index)


def channels_last(rank: int) -> tuple[int, ...]:
    """The order that TFLite's convolutions have."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


def without_ones(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """The order of the axes that are longer than 1: equal for tensors with the same bytes."""
    return tuple(axis for axis in order if shape[axis] != 1)


def neighbours(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Neighbouring axes of two shapes that hold the same elements."""
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
    """The order of a reshaped value's axes where the tensor's bytes can stay where they are.

    Parameters
    ----------
    shape, order
        Of the value before.
    new
        Its shape in ONNX afterwards, of as many elements.

    Returns
    -------
    tuple of int, optional
        None where elements would have to move.
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
    # Where axes of 1 are does not matter; as they were in ONNX is as good as anywhere else.
    for axis in sorted(ones):
        made.insert(min(axis, len(made)), axis)
    return tuple(made)
