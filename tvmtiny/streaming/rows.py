"""Rules by which layers compute rows of their output from rows of their inputs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.resize_bilinear import resized_axes
from tvmtiny.ops.resize_nearest_neighbor import nearest_axes
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import DTYPE_BYTES
from tvmtiny.ops.shared.padding import pad_value, pad_widths
from tvmtiny.ops.shared.pooling import pool_window
from tvmtiny.ops.shared.reduction import reduced_axes
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.ops.transpose_conv import axes
from tvmtiny.schedule.per_node import resized

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
_REDUCTIONS = ("MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SUM")
#: Operators whose output rows depend only on the input row at the same position.
_ELEMENTWISE = frozenset(
    (
        *("ABS", "ADD", "CEIL", "COS", "DEQUANTIZE", "DIV", "ELU"),
        *("EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM"),
        *("MINIMUM", "MUL", "NEG", "PRELU", "QUANTIZE", "RELU", "RELU6"),
        *("RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE"),
        *("L2_NORMALIZATION", "LOG", "LOG_SOFTMAX", "SOFTMAX", "SQUARED_DIFFERENCE"),
        *("SUB", "TANH"),
    )
)
#: Up to this number of elements, the largest sums of a global pool fit 32 bits.
_MOST_SUMMED = 1 << 22


#: The limit on kernels of one layer that differ in the position of their rows between input rows.
_MOST_VARIANTS = 16


@dataclass(frozen=True)
class RowSource:
    """The input rows from `low` to `high` from which an output row is computed, and the variant."""

    low: int
    high: int
    way: Hashable


@dataclass(frozen=True)
class RowRule:
    """The input rows that an output row needs; all inputs are read in the same way.

    Output row ``y`` reads `reach` rows, beginning with row ``y * stride - top``.

    Attributes
    ----------
    pad
        The byte value of rows outside of the input.
    fold
        Whether all rows are added up for a single output.
    clips
        Whether rows outside of the input are left out: kernels for the first and the last rows
        differ from the others.
    outside
        Whether some rows are outside of the input, so that the input cannot be stored as a whole.
    sources
        The source rows of each output row if they are irregular; these rows are inside of the
        input.
    """

    stride: int = 1
    reach: int = 1
    top: int = 0
    pad: int = 0
    fold: bool = False
    clips: bool = False
    outside: bool = False
    sources: tuple[RowSource, ...] = ()

    def span(self, row: int, rows: int) -> tuple[int, int]:
        """The input rows that some output rows read, or that a fold adds up: first and end."""
        if self.fold:
            return row, row + rows
        if self.sources:
            made = self.sources[row : row + rows]
            return made[0].low, max(source.high for source in made)
        low = row * self.stride - self.top
        return low, low + (rows - 1) * self.stride + self.reach

    def low(self, row: int) -> int:
        """The first input row that an output row reads."""
        return self.sources[row].low if self.sources else row * self.stride - self.top

    def variant(self, row: int, rows: int) -> int:
        """The first row that begins a run of this many rows with the same variant."""
        if not self.sources:
            return 0
        if (row, rows) not in self._variants:
            ways = _relative(self.sources[row : row + rows])
            alike = (r for r in range(row) if _relative(self.sources[r : r + rows]) == ways)
            self._variants[row, rows] = next(alike, row)
        return self._variants[row, rows]

    @cached_property
    def _variants(self) -> dict[tuple[int, int], int]:
        """The known variants, by row and number of rows: planners ask for each many times."""
        return {}

    def typical(self, rows: int) -> int:
        """The variant of rows in the middle."""
        return self.variant(max(0, (len(self.sources) - rows) // 2), rows)


def _relative(sources: Sequence[RowSource]) -> list[RowSource]:
    low = sources[0].low
    return [RowSource(s.low - low, s.high - low, s.way) for s in sources]


def row_rule(node: Node) -> RowRule | None:
    """Return how `node` computes rows; None if it cannot, or if results would differ.

    Notes
    -----
    A node whose inputs differ in shape from its output has no rule, unless these inputs are
    constants that are the same in every row.
    """
    activations = activations_of(node)
    if len(node.outputs) != 1 or not activations:
        return None
    x = activations[0]
    if len(x.shape) != 4 or x.shape[0] != 1 or not x.elements or x.dtype not in DTYPE_BYTES:
        return None
    if is_global(node):
        if is_from_uint8(node) and node.operator == "AVERAGE_POOL_2D":
            # The division of the sums of streams rounds differently.
            return None
        sums = x.dtype == node.output.dtype == "int8" and x.elements // x.shape[3] <= _MOST_SUMMED
        return RowRule(fold=True) if sums else None
    if len(node.output.shape) != 4 or node.output.shape[0] != 1:
        return None
    if node.operator in (*_CONVOLUTIONS, *_POOLS):
        return _window_rule(node, x) if len(activations) == 1 else None
    if node.operator == "PAD":
        return _pad_rule(node)
    if node.operator in _RESIZES or node.operator == "TRANSPOSE_CONV":
        return _source_rule(node) if len(activations) == 1 else None
    if node.operator in _REDUCTIONS:
        inside = set(reduced_axes(node)) <= {2, 3} and node.output.dtype in DTYPE_BYTES
        return RowRule() if inside and len(activations) == 1 else None
    if node.operator in _ELEMENTWISE:
        alike = all(t.shape == node.output.shape for t in activations)
        return RowRule() if alike and all(map(_same_in_all_rows, node.inputs)) else None
    if node.operator == "CONCATENATION":
        along = int(node.options.get("axis", 0)) % 4 == 3
        return RowRule() if along and len(activations) == len(node.inputs) else None
    return None


def _window_rule(node: Node, x: Tensor) -> RowRule | None:
    geometry = _geometry(node)
    padded = geometry.pad[0] or geometry.pad_after[0]
    clips, pad = bool(padded) and node.operator == "AVERAGE_POOL_2D", 0
    if x.dtype == "int8":
        pad = -128 if node.operator == "MAX_POOL_2D" else x.zero_point
    elif padded and node.operator == "MAX_POOL_2D":
        clips = True
    reach = (geometry.kernel[0] - 1) * geometry.dilation[0] + 1
    return RowRule(geometry.stride[0], reach, geometry.pad[0], pad, clips=clips)


def _pad_rule(node: Node) -> RowRule | None:
    batch, (above, below), *others = pad_widths(node)
    if not any(map(any, others)):
        # Rows stay unchanged; nothing computes them.
        return None
    value = pad_value(node)
    if any(batch) or (node.output.dtype != "int8" and value):
        return None
    return RowRule(top=above, pad=value, outside=bool(above or below))


def _source_rule(node: Node) -> RowRule | None:
    if node.operator == "RESIZE_NEAREST_NEIGHBOR":
        columns = nearest_axes(node)[1]
        if np.all(np.diff(columns) == 1):
            # A row is a part of an input row; nothing computes it.
            return None
    found = _transposed(node) if node.operator == "TRANSPOSE_CONV" else _resized(node)
    lows = [source.low for source in found]
    if any(s.low >= s.high for s in found) or lows != sorted(lows):
        return None
    rule = RowRule(reach=max(s.high - s.low for s in found), sources=tuple(found))
    variants = {rule.variant(row, 1) for row in range(len(found))}
    return rule if len(variants) <= _MOST_VARIANTS else None


def _resized(node: Node) -> list[RowSource]:
    columns = [column.tolist() for column in row_sources(node)]
    found = []
    for first, second, weight in zip(*columns, strict=True):
        low, high = min(first, second), max(first, second)
        found.append(RowSource(low, high + 1, (first - low, second - low, weight)))
    return found


def _transposed(node: Node) -> list[RowSource]:
    """Output row ``y`` is the sum over input rows ``i`` with a tap ``y + pad - i * stride``."""
    axis = axes(node)[0]
    found = []
    for row in range(axis.output):
        last = (row + axis.pad) // axis.stride
        low = max(0, -(-(row + axis.pad - axis.kernel + 1) // axis.stride))
        found.append(RowSource(low, min(axis.input, last + 1), row + axis.pad - low * axis.stride))
    return found


def row_sources(node: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two input rows for each row of a resized image, and the weight of the second one."""
    if node.operator == "RESIZE_NEAREST_NEIGHBOR":
        nearest = nearest_axes(node)[0]
        return nearest, nearest, np.zeros(len(nearest))
    rows = resized_axes(node)[0]
    return rows.first, rows.second, rows.weight


def _geometry(node: Node) -> Window:
    if node.operator in _POOLS:
        return pool_window(node)
    weights = node.input(1)
    return window(node, (weights.shape[1], weights.shape[2]))


def activations_of(node: Node) -> list[Tensor]:
    """The inputs that are not constants."""
    return [t for t in node.inputs if t is not None and t.data is None]


def is_global(node: Node) -> bool:
    """Whether a pool or mean covers the whole image, so that sums of channels are enough."""
    x = node.input(0)
    if node.operator == "AVERAGE_POOL_2D":
        geometry = pool_window(node)
        return geometry.output == (1, 1) and geometry.kernel == geometry.input
    return node.operator == "MEAN" and len(x.shape) == 4 and tuple(reduced_axes(node)) == (1, 2)


def _same_in_all_rows(tensor: Tensor | None) -> bool:
    if tensor is None or tensor.data is None:
        return True
    return len(tensor.shape) < 3 or tensor.shape[-3] == 1


def row_bytes(tensor: Tensor) -> int:
    """Bytes of a row of an image."""
    return tensor.nbytes // tensor.shape[1]


def row_node(node: Node, rows: int, above: int = 0, below: int = 0, variant: int = 0) -> Node:
    """Build a node that computes `rows` output rows of `node` and reads only their windows.

    Parameters
    ----------
    node
        A node with a `row_rule` that is not a fold.
    rows
        The number of rows, at most that of the output.
    above, below
        Rows outside of the input that are not in memory, from the window's first or last row on;
        at most those of the window. Other rows outside of the input are stored in the window like
        rows inside.
    """
    rule = row_rule(node)
    assert rule is not None and not rule.fold
    low, high = rule.span(variant, rows)
    options = {**node.options, "whole_height": node.output.shape[1]}
    if node.operator in (*_CONVOLUTIONS, *_POOLS):
        geometry = _geometry(node)
        options["padding"] = "VALID"
        options["explicit_padding"] = (above, below, geometry.pad[1], geometry.pad_after[1])
    if node.operator == "TRANSPOSE_CONV":
        options["row_pad"] = rule.sources[variant].way
    if node.operator in _RESIZES:
        chosen = slice(variant, variant + rows)
        first, second, weight = (column[chosen] for column in row_sources(node))
        options["row_sources"] = (first - low, second - low, weight)
    inputs = tuple(
        t if t is None or t.data is not None else _with_height(t, high - low - above - below)
        for t in node.inputs
    )
    if node.operator == "PAD":
        inputs = (inputs[0], _without_rows(node.input(1)))
    outputs = (_with_height(node.output, rows),)
    return resized(replace(node, inputs=inputs, outputs=outputs, options=options), node)


def _without_rows(paddings: Tensor) -> Tensor:
    """Remove paddings along the height."""
    assert paddings.data is not None
    data = paddings.data.copy()
    data[1] = 0
    return replace(paddings, data=data)


def _with_height(tensor: Tensor, height: int) -> Tensor:
    return replace(tensor, shape=(1, height, *tensor.shape[2:]))
