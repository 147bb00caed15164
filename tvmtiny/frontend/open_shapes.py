"""Inference of shapes that a converter left open inside a model with fixed input shapes.

Keras models without a batch size have a batch of -1 in all tensors. The shape in the file has a 1
instead, which is wrong if the model merges the batch with other dimensions. Like LiteRT at run
time, this module infers such shapes from the shapes of the inputs.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tvmtiny.ops import Node, Operator, Oracle, Tensor, find_operator
from tvmtiny.ops.shared.element_operator import ElementOperator
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.reduction import keeps_dims, reduced_axes
from tvmtiny.ops.shared.reduction_operator import Reduction
from tvmtiny.ops.shared.reshaping_operator import Reshaping

__all__ = ["found_shapes"]

#: Operators whose output has the broadcast shape of the inputs, in addition to `ElementOperator`.
_ELEMENTS = frozenset(
    (
        *("ADD", "ADD_N", "CAST", "CUMSUM", "DEQUANTIZE", "L2_NORMALIZATION", "LOG_SOFTMAX"),
        *("MUL", "QUANTIZE", "SELECT_V2", "SOFTMAX", "SUB"),
    )
)
#: Operators that process each image of a batch independently.
_IMAGES = frozenset(
    (
        *("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "L2_POOL_2D", "MAX_POOL_2D"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    )
)

#: Operators whose inputs are all values; others take positions and sizes, too.
_JOINING = frozenset(("CONCATENATION", "PACK"))

_Shape = tuple[int, ...]


def found_shapes(node: Node) -> list[_Shape] | None:
    """Infer the shapes of a node's outputs from its inputs.

    Parameters
    ----------
    node
        A node whose inputs have their final shapes, and values if they are constants. The node may
        be invalid.

    Returns
    -------
    list of tuple of int, or None
        A shape for each output; None if the shapes cannot be inferred.
    """
    operator = find_operator(node.operator)
    if operator is None or not node.outputs:
        return None
    present = [tensor for tensor in node.inputs if tensor is not None]
    try:
        return _found(node, operator, present)
    except (AssertionError, AttributeError, IndexError, TypeError, ValueError, ZeroDivisionError):
        # The verification of the graph reports the problem of the node.
        return None


def _found(node: Node, operator: Operator, present: list[Tensor]) -> list[_Shape] | None:
    x = node.input(0).shape
    if isinstance(operator, ElementOperator) or node.operator in _ELEMENTS:
        return [tuple(np.broadcast_shapes(*(tensor.shape for tensor in present)))]
    if node.operator in _IMAGES:
        return [(x[0], *node.output.shape[1:])]
    if node.operator == "FULLY_CONNECTED":
        units, depth = node.input(1).shape
        kept = x[:-1] if node.options.get("keep_num_dims") else (prod(x) // depth,)
        return [(*kept, units)]
    if node.operator == "BATCH_MATMUL":
        return [_product(node)]
    if isinstance(operator, Reduction) or node.operator in ("MEAN", "SUM"):
        axes, keeps = reduced_axes(node), keeps_dims(node)
        sizes = [1 if i in axes else n for i, n in enumerate(x) if keeps or i not in axes]
        return [tuple(sizes)]
    if node.operator == "GATHER":
        return [_gathered(node)]
    if isinstance(operator, Reshaping):
        return [_reshaped(node)]
    if isinstance(operator, Moving) and not operator.of_shape:
        return _moved(node, operator, present)
    return None


def _product(node: Node) -> _Shape:
    left, right = node.input(0).shape, node.input(1).shape
    rows = left[-1] if node.options.get("adj_x") else left[-2]
    columns = right[-2] if node.options.get("adj_y") else right[-1]
    return (*np.broadcast_shapes(left[:-2], right[:-2]), rows, columns)


def _gathered(node: Node) -> _Shape:
    x, indices = node.input(0).shape, node.input(1).shape
    axis = int(node.options.get("axis", 0)) % len(x)
    batches = int(node.options.get("batch_dims", 0)) % (len(indices) + 1)
    return (*x[:axis], *indices[batches:], *x[axis + 1 :])


def _reshaped(node: Node) -> _Shape:
    x = node.input(0)
    if node.operator == "RESHAPE":
        stated = node.optional_input(1)
        shape = (
            [int(size) for size in node.options["new_shape"]] if stated is None else _values(stated)
        )
    elif node.operator == "EXPAND_DIMS":
        (axis,) = _values(node.input(1))
        shape = list(x.shape)
        shape.insert(axis % (len(shape) + 1), 1)
    else:
        given = node.options.get("squeeze_dims")
        axes = {int(a) % len(x.shape) for a in (() if given is None else given)}
        dropped = axes or {i for i, size in enumerate(x.shape) if size == 1}
        shape = [size for i, size in enumerate(x.shape) if i not in dropped]
    if -1 in shape:
        shape[shape.index(-1)] = x.elements // -prod(shape)
    return tuple(shape)


def _values(tensor: Tensor) -> list[int]:
    assert tensor.data is not None
    return [int(value) for value in tensor.data.reshape(-1)]


def _moved(node: Node, operator: Operator, present: list[Tensor]) -> list[_Shape] | None:
    """Return the shapes of an operator's results for zeros, which need no memory."""
    position = 1 if node.operator == "SPLIT" else operator.data
    values = present if node.operator in _JOINING else [node.input(position)]
    if any(tensor.data is None and tensor not in values for tensor in present):
        return None
    data = [
        np.broadcast_to(np.zeros((), tensor.dtype), tensor.shape)
        if tensor.data is None
        else tensor.data
        for tensor in present
    ]
    return [made.shape for made in operator.reference(node, data, Oracle.LITERT)]
