"""What a model holds and what keeps it from being compiled, without compiling it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tvmtiny.errors import InputError, OperatorProblem
from tvmtiny.frontend.constants import fold_constants
from tvmtiny.frontend.model import read_file
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.verify import check_sizes, operator_problems, verify
from tvmtiny.ops import Node, Oracle, Tensor, find_operator
from tvmtiny.ops.node import DTYPE_BYTES
from tvmtiny.passes import eliminate_dead_channels


@dataclass(frozen=True)
class TensorLine:
    """An input or output.

    Attributes
    ----------
    scale, zero_point
        None where it is not quantized.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class NodeLine:
    """One operator.

    Attributes
    ----------
    output
        Name of its output tensor.
    macs
        Multiply-accumulate operations; 0 where it is not supported.
    weights_bytes
        Constants that it reads, as stored in the model.
    problems
        Why it cannot be compiled; empty where it can.
    """

    index: int
    operator: str
    output: str
    dtype: str
    shape: tuple[int, ...]
    macs: int
    weights_bytes: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """A model at a glance.

    Attributes
    ----------
    problem
        Why the model as a whole cannot be compiled; None where it can.
    macs, weights_bytes
        Sums over `nodes`.
    live_macs
        As many as remain without dead channels; `macs` where the model cannot be compiled.
    largest_activations_bytes
        The most bytes of inputs and outputs that one operator holds at once: no arena without
        in-place execution can be smaller.
    """

    model: str
    model_bytes: int
    inputs: tuple[TensorLine, ...]
    outputs: tuple[TensorLine, ...]
    nodes: tuple[NodeLine, ...]
    macs: int
    live_macs: int
    weights_bytes: int
    largest_activations_bytes: int
    problem: str | None

    @property
    def supported(self) -> bool:
        """Whether the model can be compiled."""
        return self.problem is None


def inspect_model(path: str | os.PathLike[str]) -> Inspection:
    """Look at a model file.

    Raises
    ------
    ModelFormatError
        If it is not a readable TFLite model.
    """
    content = read_file(path)
    graph = read_graph(content, str(path))
    problem, folded, problems = _too_large(graph, str(path)), graph, graph.problems
    if problem is None:
        folded = fold_constants(graph, Oracle.LITERT)
        problems = operator_problems(folded)
        problem = _problem(folded, str(path))
    nodes = tuple(_node_line(node, problems) for node in graph.nodes)
    macs = sum(line.macs for line in nodes)
    return Inspection(
        str(path),
        len(content),
        tuple(_tensor_line(t) for t in graph.inputs),
        tuple(_tensor_line(t) for t in graph.outputs),
        nodes,
        macs,
        macs if problem else _live_macs(folded),
        sum(line.weights_bytes for line in nodes),
        max((_activations(node) for node in folded.nodes), default=0),
        problem,
    )


def _too_large(graph: Graph, path: str) -> str | None:
    try:
        check_sizes(graph, path)
    except InputError as error:
        return str(error)
    return None


def _problem(graph: Graph, path: str) -> str | None:
    try:
        verify(graph, path)
    except InputError as error:
        return str(error)
    return None


def _live_macs(graph: Graph) -> int:
    live = eliminate_dead_channels(graph, Oracle.LITERT).graph
    operators = [(find_operator(node.operator), node) for node in live.nodes]
    return sum(operator.macs(node) for operator, node in operators if operator)


def _node_line(node: Node, problems: tuple[OperatorProblem, ...]) -> NodeLine:
    mine = tuple(f"{p.reason}; allowed: {p.allowed}" for p in problems if p.index == node.index)
    operator = find_operator(node.operator)
    output = node.outputs[0] if node.outputs else None
    return NodeLine(
        node.index,
        node.operator,
        output.name if output else "-",
        output.dtype if output else "-",
        output.shape if output else (),
        operator.macs(node) if operator and not mine else 0,
        sum(_size(t) for t in node.inputs if t is not None and t.data is not None),
        mine,
    )


def _activations(node: Node) -> int:
    tensors = {
        t.index: t for t in (*node.inputs, *node.outputs) if t is not None and t.data is None
    }
    return sum(_size(t) for t in tensors.values())


def _size(tensor: Tensor) -> int:
    """Bytes; 0 for what is no number, or has an open dimension."""
    return max(0, tensor.elements) * DTYPE_BYTES.get(tensor.dtype, 0)


def _tensor_line(tensor: Tensor) -> TensorLine:
    return TensorLine(
        tensor.name,
        tensor.dtype,
        tensor.shape,
        tensor.scale if tensor.quantized else None,
        tensor.zero_point if tensor.quantized else None,
    )
