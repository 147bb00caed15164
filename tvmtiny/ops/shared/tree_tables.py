"""Decision trees as tables of integers: writing, reading and checking of nodes.

``tvmtiny_trees.h`` describes the contents of a table. A `Split` sends values up to its threshold to
its first branch. Thresholds of float32 features are keys: integers in the order of the floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Split", "TableError", "Tree", "decode", "encode", "from_keys", "keys", "layout"]


@dataclass(frozen=True)
class Split:
    """An inner node.

    Attributes
    ----------
    feature
        Number of the feature that the node tests.
    threshold
        Largest value that goes to `below`: an integer of the feature's dtype, or a key.
    below, above
        The branches.
    """

    feature: int
    threshold: int
    below: Tree
    above: Tree


#: A split, or the number of a leaf.
Tree = Split | int


class TableError(ValueError):
    """Raised if trees do not fit a table, or a table holds no valid trees."""


@dataclass(frozen=True)
class Layout:
    """The format of nodes in a table.

    Attributes
    ----------
    name
        Suffix in the names of the kernel's functions.
    dtype
        Dtype of the table.
    split, leaf
        Elements of a split and of a leaf.
    features, leaves
        Number of features and of leaves that the format can express.
    """

    name: str
    dtype: str
    split: int
    leaf: int
    features: int
    leaves: int


_NARROW = Layout("narrow", "uint16", 2, 1, 255, 256)
_WIDE = {
    "int8": Layout("int8", "int16", 3, 2, 1 << 15, 1 << 16),
    "int16": Layout("int16", "int16", 3, 2, 1 << 15, 1 << 16),
    "float32": Layout("float", "int32", 2, 1, (1 << 16) - 1, 1 << 16),
}
_MOST_OFFSET = (1 << 16) - 1


def layout(features: str, table: str) -> Layout | None:
    """Return the layout for a dtype of features and a dtype of the table; None if there is none."""
    if features == "int8" and table == _NARROW.dtype:
        return _NARROW
    wide = _WIDE.get(features)
    return wide if wide is not None and wide.dtype == table else None


def keys(values: np.ndarray) -> np.ndarray:
    """Map float32 numbers to integers in the same order; both zeros have the same key."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)
    return np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int32)


def from_keys(numbers: np.ndarray) -> np.ndarray:
    """Return the float32 numbers of keys."""
    narrow = numbers.astype(np.int32)
    return np.where(narrow < 0, narrow ^ 0x7FFFFFFF, narrow).astype(np.int32).view(np.float32)


def encode(
    trees: Sequence[Tree], dtype: str, features: int, leaves: int
) -> tuple[np.ndarray, np.ndarray]:
    """Write trees to a table.

    Parameters
    ----------
    trees
        The trees.
    dtype
        Dtype of the features: int8, int16 or float32.
    features, leaves
        Number of features, and of different leaves.

    Returns
    -------
    tuple of numpy.ndarray
        The table, and the start of each tree: int32.

    Raises
    ------
    TableError
        If a tree is too large.
    """
    form = _WIDE[dtype]
    if dtype == "int8" and features <= _NARROW.features and leaves <= _NARROW.leaves:
        form = _NARROW
    if features > form.features or leaves > form.leaves:
        raise TableError(
            f"{features} features and {leaves} different leaves; at most {form.features} and "
            f"{form.leaves} fit"
        )
    table: list[int] = []
    roots = []
    for tree in trees:
        roots.append(len(table))
        _write(tree, form, table)
    limits = np.iinfo(form.dtype)
    # Convert bit by bit: an unsigned field may make the element negative.
    numbers = np.array(table, np.int64) & ((1 << limits.bits) - 1)
    return numbers.astype(f"uint{limits.bits}").view(form.dtype), np.array(roots, np.int32)


def _write(root: Tree, form: Layout, table: list[int]) -> None:
    """Append a tree; without recursion, because chains of splits can be deep."""
    # Each entry is a subtree to write, and the split whose offset leads to it.
    pending: list[tuple[Tree, int | None]] = [(root, None)]
    while pending:
        tree, parent = pending.pop()
        if parent is not None:
            offset = len(table) - parent
            if offset > _MOST_OFFSET:
                raise TableError(f"a branch of more than {_MOST_OFFSET} elements")
            if form.dtype == "int32":
                table[parent] |= offset
            else:
                table[parent + form.split - 1] = offset
        place = len(table)
        if not isinstance(tree, Split):
            table += _leaf(tree, form)
            continue
        table += _split(tree, form)
        pending += [(tree.above, place), (tree.below, None)]


def _leaf(number: int, form: Layout) -> list[int]:
    if form is _NARROW:
        return [0xFF00 | number]
    return [0xFFFF << 16 | number] if form.dtype == "int32" else [-1, number]


def _split(tree: Split, form: Layout) -> list[int]:
    if form is _NARROW:
        return [tree.feature << 8 | (tree.threshold & 255), 0]
    if form.dtype == "int32":
        return [tree.feature << 16, tree.threshold]
    return [tree.feature, tree.threshold, 0]


@dataclass(frozen=True)
class _Node:
    """A node of a table, with its size and its fields; a leaf has no feature."""

    size: int
    feature: int | None
    value: int
    offset: int


def _node(table: Sequence[int], place: int, form: Layout) -> _Node:
    head = table[place]
    if form is _NARROW:
        if head >> 8 == 255:
            return _Node(form.leaf, None, head & 255, 0)
        threshold = ((head & 255) ^ 128) - 128
        return _Node(form.split, head >> 8, threshold, table[place + 1])
    if form.dtype == "int32":
        feature, low = (head & 0xFFFFFFFF) >> 16, head & 0xFFFF
        if feature == 0xFFFF:
            return _Node(form.leaf, None, low, 0)
        return _Node(form.split, feature, table[place + 1], low)
    if head == -1:
        return _Node(form.leaf, None, table[place + 1] & 0xFFFF, 0)
    return _Node(form.split, head & 0xFFFF, table[place + 1], table[place + 2] & 0xFFFF)


def decode(
    table: np.ndarray, roots: np.ndarray, dtype: str, features: int, leaves: int
) -> list[dict[int, _Node]]:
    """Read and check a table.

    Parameters
    ----------
    table
        The table.
    roots
        Start of each tree.
    dtype
        Dtype of the features.
    features, leaves
        Number of features, and of different leaves.

    Returns
    -------
    list of dict
        For each tree its nodes by their place, the root first.

    Raises
    ------
    TableError
        If a branch leads outside the table or backwards, or a feature or leaf does not exist.
    """
    form = layout(dtype, table.dtype.name)
    if form is None:
        raise TableError(f"a table of {table.dtype} for {dtype} features")
    numbers = table.reshape(-1).tolist()
    return [
        dict(_reached(numbers, int(root), form, features, leaves)) for root in roots.reshape(-1)
    ]


def _reached(
    table: Sequence[int], root: int, form: Layout, features: int, leaves: int
) -> Iterator[tuple[int, _Node]]:
    pending, seen = [root], set()
    while pending:
        place = pending.pop()
        if place in seen:
            continue
        seen.add(place)
        if not 0 <= place < len(table):
            raise TableError("a branch to outside the table")
        # Padding keeps the read of a truncated node within bounds.
        padded = [*table[place : place + form.split], 0, 0]
        node = _node(padded, 0, form)
        if place + node.size > len(table):
            raise TableError("a truncated node")
        if node.feature is None:
            if node.value >= leaves:
                raise TableError(f"leaf {node.value} of {leaves}")
        elif node.feature >= features:
            raise TableError(f"feature {node.feature} of {features}")
        elif node.offset < node.size:
            # All branches lead forward, so every path ends.
            raise TableError("a branch backwards")
        else:
            pending += [place + node.offset, place + node.size]
        yield place, node
