"""How a layer makes some rows of its output from some rows of its inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.legacy import is_from_uint8
from tvmtiny.ops.shared.node import DTYPE_BYTES
from tvmtiny.ops.shared.pooling import pool_window
from tvmtiny.ops.shared.reduction import reduced_axes
from tvmtiny.ops.shared.sliding_window import Window, window
from tvmtiny.schedule.per_node import resized

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
#: Each output depends on the elements at the same place alone.
_ELEMENTWISE = frozenset(
    (
        *("ABS", "ADD", "CEIL", "COS", "DEQUANTIZE", "DIV", "ELU"),
        *("EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM"),
        *("MINIMUM", "MUL", "NEG", "PRELU", "QUANTIZE", "RELU", "RELU6"),
        *("RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SIN", "SQRT", "SQUARE", "SQUARED_DIFFERENCE"),
        *("SUB", "TANH"),
    )
)
#: The largest sums of a global pool fit 32 bits up to here.
_MOST_SUMMED = 1 << 22


@dataclass(frozen=True)
class RowRule:
    """Which input rows an output row needs; all inputs are read alike.

    Output row ``y`` reads the rows from ``y * stride - top`` on, `reach` of them.

    Attributes
    ----------
    pad
        The byte that rows outside the input consist of.
    fold
        Whether all rows are added up for a single output.
    """

    stride: int = 1
    reach: int = 1
    top: int = 0
    pad: int = 0
    fold: bool = False

    def window(self, rows: int) -> int:
        """Input rows that so many output rows read."""
        return (rows - 1) * self.stride + self.reach


def row_rule(node: Node) -> RowRule | None:
    """How `node` makes rows; None where it cannot, or not with the result of the whole node.

    Notes
    -----
    An average pool divides by the taps inside its input, so that rows above and below would have
    to be told apart: it has no rule where it pads along the height. Neither has a node whose
    inputs differ in shape from its output, but for constants that are the same in every row.
    """
    activations = activations_of(node)
    if len(node.outputs) != 1 or not activations:
        return None
    x = activations[0]
    if len(x.shape) != 4 or x.shape[0] != 1 or not x.elements or x.dtype not in DTYPE_BYTES:
        return None
    if is_global(node):
        if is_from_uint8(node) and node.operator == "AVERAGE_POOL_2D":
            # Rounded otherwise than what divides the sums of streams.
            return None
        sums = x.dtype == node.output.dtype == "int8" and x.elements // x.shape[3] <= _MOST_SUMMED
        return RowRule(fold=True) if sums else None
    if len(node.output.shape) != 4 or node.output.shape[0] != 1:
        return None
    if node.operator in (*_CONVOLUTIONS, *_POOLS):
        return _window_rule(node, x) if len(activations) == 1 else None
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
    if node.operator == "AVERAGE_POOL_2D" and padded:
        return None
    pad = 0
    if x.dtype == "int8":
        pad = -128 if node.operator == "MAX_POOL_2D" else x.zero_point
    elif padded and node.operator == "MAX_POOL_2D":
        return None
    reach = (geometry.kernel[0] - 1) * geometry.dilation[0] + 1
    return RowRule(geometry.stride[0], reach, geometry.pad[0], pad)


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


def row_node(node: Node, rows: int, above: int = 0, below: int = 0) -> Node:
    """The node that makes `rows` rows of what `node` makes, whose inputs are just their windows.

    Parameters
    ----------
    node
        One with a `row_rule` that is no fold.
    rows
        At most as many as the output has.
    above, below
        Rows of the window that lie outside of the input, and are not in memory. Others that do
        are rows of the window like those inside.
    """
    rule = row_rule(node)
    assert rule is not None and not rule.fold
    options = {**node.options, "whole_height": node.output.shape[1]}
    if node.operator in (*_CONVOLUTIONS, *_POOLS):
        geometry = _geometry(node)
        options["padding"] = "VALID"
        options["explicit_padding"] = (above, below, geometry.pad[1], geometry.pad_after[1])
    height = rule.window(rows) - above - below
    inputs = tuple(
        t if t is None or t.data is not None else _with_height(t, height) for t in node.inputs
    )
    outputs = (_with_height(node.output, rows),)
    return resized(replace(node, inputs=inputs, outputs=outputs, options=options), node)


def _with_height(tensor: Tensor, height: int) -> Tensor:
    return replace(tensor, shape=(1, height, *tensor.shape[2:]))
