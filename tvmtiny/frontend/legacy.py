"""Conversion of uint8 models, which converters made before 2020, to int8.

A uint8 value and an int8 value that is 128 less stand for the same number if the zero points differ
by 128 as well. Kernels for int8 therefore compute the same results, apart from the cases in
`is_from_uint8`. Inputs and outputs of the model stay uint8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from tvmtiny.frontend.constants import fold_constants
from tvmtiny.frontend.control import with_unique_indices
from tvmtiny.ops import Node, Oracle, Quantization, Tensor, find_operator
from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.legacy import FROM_UINT8
from tvmtiny.ops.shared.quantization import INT8_RANGE

__all__ = ["NOTE", "UINT8_OPERATORS", "simplified", "with_int8", "with_moved"]

#: Note to the user of such a model.
NOTE = (
    "this is a uint8 model: inside, its values are int8, 128 less, with the results of LiteRT's "
    "uint8 kernels; its inputs and outputs stay uint8"
)

_OFFSET = 128

#: Operators that do not treat uint8 values as quantized numbers.
_RAW = frozenset({"CAST", "IF", "ONE_HOT", "REDUCE_PROD", "WHILE", "ZEROS_LIKE"})

#: Operators for which LiteRT has a uint8 kernel, and this package an int8 kernel.
UINT8_OPERATORS = frozenset(
    (
        *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV"),
        *("FULLY_CONNECTED", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU"),
        *("LOGISTIC", "LOG_SOFTMAX", "MAX_POOL_2D", "MEAN", "MUL", "PRELU", "RELU", "RELU6"),
        *("RELU_0_TO_1", "RELU_N1_TO_1", "RESIZE_BILINEAR", "SOFTMAX", "SUB", "SUM", "TANH"),
        "TRANSPOSE_CONV",
    )
)

#: Positions of constant weights, which have a zero point of their own.
_WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}


def simplified(graph: Graph, oracle: Oracle) -> Graph:
    """Return a graph in its compiled form: constants folded, loops resolved, uint8 moved to int8.

    Parameters
    ----------
    graph, oracle
        See `fold_constants`.
    """
    folded = fold_constants(graph, oracle)
    moved = with_int8(folded)
    return with_unique_indices(moved if moved is folded else fold_constants(moved, oracle))


def with_int8(graph: Graph) -> Graph:
    """Convert a uint8 model to int8 by moving values and zero points.

    Parameters
    ----------
    graph
        The graph, with its constants folded.

    Returns
    -------
    Graph
        `graph` itself if all operators support its uint8 tensors. New nodes and tensors get
        indices after all existing ones; `Graph.moved` maps int8 tensors to those of the file.
    """
    if not any(_needs_int8(node) for node in graph.nodes):
        return graph
    return _Mover(graph).graph()


def _takes_int8(node: Node) -> bool:
    """Return whether a node computes the same on int8 as LiteRT does on uint8."""
    operator = find_operator(node.operator)
    if operator is None or node.operator in _RAW:
        return False
    return node.operator in UINT8_OPERATORS or "uint8" in operator.dtypes


def _needs_int8(node: Node) -> bool:
    operator = find_operator(node.operator)
    if operator is None or node.operator not in UINT8_OPERATORS:
        return False
    quantized = [t for t in (*node.inputs, *node.outputs) if t is not None and _is_quantized(t)]
    if "uint8" not in operator.dtypes:
        return bool(quantized)
    # With equal quantizations, concatenation only copies bytes.
    return node.operator == "CONCATENATION" and len({t.quantization for t in quantized}) > 1


def _is_quantized(tensor: Tensor | None) -> bool:
    """Return whether a tensor holds uint8 values with one scale, which can be moved."""
    return (
        tensor is not None
        and tensor.dtype == "uint8"
        and tensor.quantization is not None
        and not tensor.quantization.per_channel
        and not tensor.variable
    )


def with_moved(graph: Graph, values: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Replace values of the file's uint8 tensors by those of the int8 tensors.

    Parameters
    ----------
    values
        Values as LiteRT returns them, by tensor index.
    """
    found = dict(values)
    for index, in_file in graph.moved.items():
        if in_file in values:
            found[index] = (values[in_file].astype(np.int16) - _OFFSET).astype(np.int8)
    return found


class _Mover:
    def __init__(self, graph: Graph) -> None:
        self._before = graph
        self._tensors = list(graph.tensors)
        self._next_node = max((node.index for node in graph.nodes), default=-1) + 1
        #: Indices of tensors that keep their dtype; an int8 copy may exist beside them.
        self._kept = {t.index for t in (*graph.inputs, *graph.outputs)}
        for node in graph.nodes:
            if not _takes_int8(node):
                self._kept.update(t.index for t in (*node.inputs, *node.outputs) if t is not None)
        #: The int8 tensors and the weights, by index in the file.
        self._moved: dict[int, Tensor] = {}
        self._weights: dict[int, Tensor] = {}
        #: Indices of the tensors whose int8 counterpart has been written.
        self._known: set[int] = set()

    def graph(self) -> Graph:
        nodes = [n for node in self._before.nodes for n in self._node(node)]
        moved = {tensor.index: index for index, tensor in self._moved.items()}
        return replace(
            self._before,
            tensors=tuple(self._tensors),
            nodes=tuple(nodes),
            inputs=tuple(self._tensors[t.index] for t in self._before.inputs),
            outputs=tuple(self._tensors[t.index] for t in self._before.outputs),
            moved=moved,
        )

    def _node(self, node: Node) -> Iterator[Node]:
        present = [t for t in (*node.inputs, *node.outputs) if t is not None]
        if not _takes_int8(node) or not any(_is_quantized(t) for t in present):
            yield node
            return
        inputs: list[Tensor | None] = []
        for position, tensor in enumerate(node.inputs):
            if tensor is None or not _is_quantized(tensor):
                inputs.append(tensor)
            elif tensor.data is not None and _WEIGHTS.get(node.operator) == position:
                inputs.append(self._as_weights(tensor))
            else:
                moved = self._as_int8(tensor)
                if tensor.data is None and tensor.index not in self._known:
                    yield self._conversion(tensor, moved)
                    self._known.add(tensor.index)
                inputs.append(moved)
        outputs = tuple(self._as_int8(t) if _is_quantized(t) else t for t in node.outputs)
        options = {**node.options, FROM_UINT8: True}
        yield replace(node, inputs=tuple(inputs), outputs=outputs, options=options)
        for tensor in node.outputs:
            if _is_quantized(tensor):
                self._known.add(tensor.index)
                if tensor.index in self._kept:
                    yield self._conversion(self._moved[tensor.index], tensor)

    def _conversion(self, source: Tensor, result: Tensor) -> Node:
        self._next_node += 1
        return Node(self._next_node - 1, "QUANTIZE", 2, (source,), (result,))

    def _as_int8(self, tensor: Tensor) -> Tensor:
        if tensor.index not in self._moved:
            moved = _minus(tensor, _OFFSET)
            if tensor.index in self._kept:
                moved = self._added(moved)
            else:
                self._tensors[tensor.index] = moved
            self._moved[tensor.index] = moved
        return self._moved[tensor.index]

    def _as_weights(self, tensor: Tensor) -> Tensor:
        """Return the weights as int8, without a zero point if they fit int8 that way."""
        if tensor.index not in self._weights:
            assert tensor.data is not None
            least, most = int(tensor.data.min()), int(tensor.data.max())
            zero_point, (low, high) = tensor.zero_point, INT8_RANGE
            fits = low <= least - zero_point and most - zero_point <= high
            moved = _minus(tensor, zero_point if fits else _OFFSET)
            self._weights[tensor.index] = self._added(moved)
        return self._weights[tensor.index]

    def _added(self, tensor: Tensor) -> Tensor:
        self._tensors.append(replace(tensor, index=len(self._tensors)))
        return self._tensors[-1]


def _minus(tensor: Tensor, offset: int) -> Tensor:
    """Return the tensor as int8, with values reduced by `offset`."""
    quantization = tensor.quantization
    assert quantization is not None
    data = tensor.data
    if data is not None:
        data = (data.astype(np.int16) - offset).astype(np.int8)
    (zero_point,) = quantization.zero_points
    moved = Quantization(quantization.scales, (zero_point - offset,))
    return replace(tensor, dtype="int8", quantization=moved, data=data)
