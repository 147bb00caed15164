"""Borders around tensors, for PAD, PADV2, MIRROR_PAD and SPACE_TO_BATCH_ND."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.checks import check_shape
from tvmtiny.ops.shared.movement import Alias, Movement, dense, moved, piece, strides
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.quantization import INTEGER_RANGES

_MAX_RANK = 5
_PADDING_DTYPES = ("int8", "int16", "int32", "int64", "bool")


def check_paddings(node: Node) -> Iterator[Problem]:
    """Yield problems with the shape of a node, or with its paddings, the second input."""
    x, paddings = node.input(0), node.input(1)
    if not 1 <= len(x.shape) <= _MAX_RANK:
        yield Problem(f"{len(x.shape)} dimensions", f"1 to {_MAX_RANK} dimensions")
    if paddings.data is None:
        yield Problem("paddings are computed at run time", "constant paddings")
    elif paddings.dtype not in _PADDING_DTYPES:
        yield Problem(f"{paddings.dtype} paddings", ", ".join(_PADDING_DTYPES))
    elif paddings.shape != (len(x.shape), 2):
        yield Problem(
            f"paddings of shape {list(paddings.shape)}",
            f"two numbers for each of {len(x.shape)} dimensions",
        )
    elif any(number < 0 for pair in pad_widths(node) for number in pair):
        yield Problem("negative paddings", "paddings of 0 or more")
    else:
        pairs = pad_widths(node)
        expected = [a + d + b for d, (a, b) in zip(x.shape, pairs, strict=True)]
        yield from check_shape(node, expected)


def pad_widths(node: Node) -> list[tuple[int, int]]:
    """Return the number of elements that a PAD adds before and after each dimension."""
    data = node.input(1).data
    assert data is not None
    return [(int(before), int(after)) for before, after in data]


def pad_value(node: Node) -> int:
    """Return the value of a PAD's border: 0 if the input or the output has no scale."""
    scales = node.input(0).quantization, node.output.quantization
    quantized = node.output.dtype in INTEGER_RANGES and None not in scales
    return node.output.zero_point if quantized else 0


def padded(node: Node, value: float | int) -> Movement | Alias:
    """Return the first input with a border of `value`."""
    steps = strides(node.output.shape)
    writes = [
        (np.arange(size) + before) * step
        for size, (before, _), step in zip(
            node.input(0).shape, pad_widths(node), steps, strict=True
        )
    ]
    return moved(node, [piece(dense(node.input(0).shape), writes)], fill=value)
