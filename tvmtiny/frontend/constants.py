"""Constant folding: values of a graph that are known before it runs become constants."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tvmtiny.frontend.control import resolved
from tvmtiny.frontend.open_shapes import found_shapes
from tvmtiny.frontend.reader import SUBGRAPHS, Graph
from tvmtiny.frontend.verify import node_problems
from tvmtiny.ops import Node, Operator, Oracle, Tensor, find_operator

#: Constants lie in flash, so results much larger than their operands are computed at run time.
_FREE_BYTES, _GROWTH = 1024, 8
#: The smallest float32 above 0; the scale of constants whose scale in the file is 0.
LEAST_SCALE = float(np.finfo(np.float32).smallest_subnormal)
#: An assignment has to be executed in every run.
_STAY = ("ASSIGN_VARIABLE",)


def fold_constants(graph: Graph, oracle: Oracle) -> Graph:
    """Replace nodes whose results are known at compile time by constants.

    The results of a node are known if all of its inputs are constants, or if they depend on shapes
    only. Converters leave chains of such nodes where a model computes a shape, and operators may
    require the results as constants; folding therefore precedes verification. It also resolves
    loops and conditions, which depend on known values. A batch of -1 in the signature counts as 1,
    as in the tensor's shape; `tvmtiny.frontend.open_shapes` infers shapes that are open inside the
    graph.

    Parameters
    ----------
    graph
        A graph that need not be verified: nodes that cannot be compiled stay.
    oracle
        The reference whose arithmetic is used.
    """
    tensors = [_with_scale(tensor) for tensor in graph.tensors]
    wanted = _wanted(graph)
    signatures = dict(graph.shape_signatures)
    nodes = []
    for original in graph.nodes:
        inputs = tuple(None if t is None else tensors[t.index] for t in original.inputs)
        node = _with_shapes(replace(original, inputs=inputs), signatures)
        for output in node.outputs:
            tensors[output.index] = output
        if node.operator in SUBGRAPHS:
            found = resolved(node, wanted, partial(fold_constants, oracle=oracle), oracle)
            nodes += [] if found is None else [found]
            continue
        values = _values(node, oracle)
        if values is None:
            nodes.append(node)
            continue
        for output, value in zip(node.outputs, values, strict=True):
            tensors[output.index] = _with_scale(replace(output, data=value))
    return replace(
        graph,
        tensors=tuple(tensors),
        nodes=tuple(nodes),
        outputs=tuple(tensors[t.index] for t in graph.outputs),
        shape_signatures=signatures,
    )


def _with_scale(tensor: Tensor) -> Tensor:
    """Return `tensor` with a positive scale if it is a constant that stands for zeros only.

    Converters state a scale of 0 for such constants, with which LiteRT multiplies to 0. A scale
    that is next to 0 gives the same multipliers, and no operator divides by it.
    """
    data, given = tensor.data, tensor.quantization
    if data is None or given is None or given.block or given.scales != (0.0,):
        return tensor
    if data.dtype.kind not in "iu" or np.any(data != given.zero_points[0]):
        return tensor
    return replace(tensor, quantization=replace(given, scales=(LEAST_SCALE,)))


def _with_shapes(node: Node, signatures: dict[int, tuple[int, ...]]) -> Node:
    """Return `node` with inferred shapes of open outputs, which are removed from `signatures`."""
    if not any(-1 in signatures.get(tensor.index, ()) for tensor in node.outputs):
        return node
    shapes = found_shapes(node)
    if shapes is None or len(shapes) != len(node.outputs):
        return node
    for tensor in node.outputs:
        signatures.pop(tensor.index, None)
    pairs = zip(node.outputs, shapes, strict=True)
    return replace(node, outputs=tuple(replace(t, shape=shape) for t, shape in pairs))


def _wanted(graph: Graph) -> set[int]:
    """Return the indices of all tensors that have a reader."""
    read = {t.index for node in graph.nodes for t in node.inputs if t is not None}
    return read | {t.index for t in (*graph.outputs, *(s.after for s in graph.states))}


def _values(node: Node, oracle: Oracle) -> list[np.ndarray] | None:
    """Return the values of the outputs; None if they are not known."""
    operator = find_operator(node.operator)
    if operator is None or not node.outputs or node.operator in _STAY or not _known(node, operator):
        return None
    present = [tensor for tensor in node.inputs if tensor is not None]
    if any(True for _ in node_problems(node, oracle)) or _grows(node, present):
        return None
    blank = np.zeros(0)
    values = operator.reference(
        node, [blank if tensor.data is None else tensor.data for tensor in present], oracle
    )
    for output, value in zip(node.outputs, values, strict=True):
        assert (value.dtype, value.shape) == (np.dtype(output.dtype), output.shape), node.where
    return values


def _known(node: Node, operator: Operator) -> bool:
    if operator.of_shape:
        return True
    present = [tensor for tensor in node.inputs if tensor is not None]
    return bool(present) and all(tensor.data is not None for tensor in present)


def _grows(node: Node, inputs: list[Tensor]) -> bool:
    size = sum(tensor.nbytes for tensor in node.outputs)
    return size > _FREE_BYTES + _GROWTH * sum(t.nbytes for t in inputs if t.data is not None)
