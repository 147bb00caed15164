"""Replacement of converters' code for writing one step of a sequence by a single operator.

TensorFlow's lists become tensors whose first dimension is the step. To set a step, converters
concatenate the part before it, the new value and the part after it; two of these have shapes that
change from iteration to iteration. DYNAMIC_UPDATE_SLICE is equivalent and copies nothing in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.graph import Graph

#: Operators that keep the bytes of their first input.
_RESHAPING = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")

__all__ = ["reshaped_from", "with_updates"]


def with_updates(graph: Graph) -> Graph:
    """Replace every CONCATENATION that sets one step of a sequence.

    Parameters
    ----------
    graph
        The graph, with its constants folded.

    Returns
    -------
    Graph
        The graph, in which the slices remain without readers.
    """
    makers = {output.index: node for node in graph.nodes for output in node.outputs}
    tensors, nodes = list(graph.tensors), []
    for node in graph.nodes:
        place = _place(node, makers)
        if place is None:
            nodes.append(node)
            continue
        rank = len(node.output.shape)
        zeros = Tensor(
            len(tensors), "zeros", (rank - 1,), "int32", data=np.zeros(rank - 1, np.int32)
        )
        starts = Tensor(len(tensors) + 1, f"{node.output.name}/place", (rank,), "int32")
        tensors += [zeros, starts]
        joined = (place, zeros) if rank > 1 else (place,)
        nodes.append(Node(node.index, "CONCATENATION", 1, joined, (starts,), {"axis": 0}))
        before, value, _ = node.inputs
        assert before is not None
        whole = makers[before.index].input(0)
        nodes.append(
            Node(node.index, "DYNAMIC_UPDATE_SLICE", 1, (whole, value, starts), node.outputs)
        )
    return replace(graph, tensors=tuple(tensors), nodes=tuple(nodes))


def _place(node: Node, makers: Mapping[int, Node]) -> Tensor | None:
    """Return the number of the step that a node sets, of shape (1,); None for other nodes."""
    if node.operator != "CONCATENATION" or len(node.inputs) != 3 or node.activation != "NONE":
        return None
    shape = node.output.shape
    if not shape or int(node.options.get("axis", 0)) % len(shape) != 0:
        return None
    parts = [t for t in node.inputs if t is not None]
    front, back = (makers.get(parts[i].index) for i in (0, 2))
    if front is None or back is None or {front.operator, back.operator} != {"SLICE"}:
        return None
    whole = front.input(0)
    if back.input(0).index != whole.index or (whole.shape, whole.dtype) != (
        shape,
        node.output.dtype,
    ):
        return None
    if parts[1].shape != (1, *shape[1:]) or parts[1].dtype != whole.dtype:
        return None
    begin, size = front.input(1).data, back.input(2).data
    if begin is None or size is None or begin.any() or not (size == -1).all():
        return None
    count = _first(front.input(2), makers, -1)
    behind = _first(back.input(1), makers, 0)
    if count is None or behind is None or not _follows(count, behind, makers):
        return None
    return count


def _first(tensor: Tensor, makers: Mapping[int, Node], others: int) -> Tensor | None:
    """Return the first number of a list, of shape (1,), if all following ones are `others`."""
    maker = makers.get(tensor.index)
    if maker is None:
        return None
    if tensor.shape == (1,):
        return tensor
    if maker.operator != "CONCATENATION" or len(maker.inputs) != 2:
        return None
    first, rest = maker.input(0), maker.input(1)
    known = rest.data is not None and bool((rest.data == others).all())
    return first if known and first.shape == (1,) and first.dtype == "int32" else None


def _follows(count: Tensor, behind: Tensor, makers: Mapping[int, Node]) -> bool:
    """Return whether `behind` is computed as `count` plus 1."""
    node = makers.get(reshaped_from(behind, makers).index)
    if node is None or node.operator != "ADD" or node.activation != "NONE":
        return False
    step, one = node.input(0), node.input(1)
    return (
        one.data is not None
        and bool((one.data == 1).all())
        and step.dtype == "int32"
        and reshaped_from(step, makers).index == reshaped_from(count, makers).index
    )


def reshaped_from(tensor: Tensor, makers: Mapping[int, Node]) -> Tensor:
    """Return the tensor that `tensor` is a reshape of, through any number of reshapes."""
    maker = makers.get(tensor.index)
    while maker is not None and maker.operator in _RESHAPING:
        tensor = maker.input(0)
        maker = makers.get(tensor.index)
    return tensor
