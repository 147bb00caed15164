"""Describe a model, and the obstacles to compiling it, without compiling it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tvmtiny.errors import InputError, OperatorProblem
from tvmtiny.frontend.legacy import NOTE, simplified
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.signatures import signatures_note
from tvmtiny.frontend.verify import check_sizes, operator_problems, verify
from tvmtiny.importers import read_content
from tvmtiny.ops import Node, Oracle, Tensor, find_operator
from tvmtiny.ops.shared.node import DTYPE_BYTES
from tvmtiny.ops.shared.subprogram import all_nodes, subprograms
from tvmtiny.oracle import known_to_litert, refusal
from tvmtiny.passes import optimize
from tvmtiny.targets import Board, boards


@dataclass(frozen=True)
class TensorLine:
    """An input or output of the model.

    Attributes
    ----------
    scale, zero_point
        None if the tensor is not quantized.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class NodeLine:
    """An operator of the model.

    Attributes
    ----------
    output
        Name of the output tensor.
    macs
        Multiply-accumulate operations; 0 if the operator is not supported.
    weights_bytes
        Bytes of constants that the operator reads, as stored in the model.
    activations_bytes
        Bytes of other tensors that the operator reads and writes.
    problems
        Reasons why the operator cannot be compiled; empty if it can.
    """

    index: int
    operator: str
    output: str
    dtype: str
    shape: tuple[int, ...]
    macs: int
    weights_bytes: int
    activations_bytes: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class BoardEstimate:
    """A necessary condition for fitting a board; `tvmtiny memory` computes the exact demand.

    Attributes
    ----------
    board, cpu
        Names of board and CPU.
    may_fit
        Whether the board is large enough for these lower bounds.
    ram_bytes, ram_available
        Bytes of the largest tensor (outputs may overlap inputs) and all states, and size of the
        data region.
    flash_bytes, flash_available
        Bytes of weights and biases that remain after all graph passes, and size of the code region.
    """

    board: str
    cpu: str
    may_fit: bool
    ram_bytes: int
    ram_available: int
    flash_bytes: int
    flash_available: int


@dataclass(frozen=True)
class Inspection:
    """An overview of a model.

    Attributes
    ----------
    problem
        Reason why the model as a whole cannot be compiled; None if it can.
    litert
        Reason why LiteRT rejects a model that can be compiled, so that results cannot be compared
        with LiteRT's; None if LiteRT accepts it, if that is unknown, or if the model cannot be
        compiled.
    note
        Interpretation of an unusual model; None for others.
    macs, weights_bytes
        Sums over `nodes`.
    live_macs
        MACs that remain without dead channels and without taps that never lie in the input; equal
        to `macs` if the model cannot be compiled.
    state_bytes
        Bytes of the model's state between runs.
    largest_activations_bytes
        Largest number of bytes of inputs and outputs that a single operator needs at once, which is
        a lower bound on an arena without in-place execution.
    boards
        Estimates for all boards.
    """

    model: str
    model_bytes: int
    inputs: tuple[TensorLine, ...]
    outputs: tuple[TensorLine, ...]
    nodes: tuple[NodeLine, ...]
    macs: int
    live_macs: int
    weights_bytes: int
    state_bytes: int
    largest_activations_bytes: int
    boards: tuple[BoardEstimate, ...]
    problem: str | None
    litert: str | None = None
    note: str | None = None

    @property
    def supported(self) -> bool:
        """Whether the model can be compiled."""
        return self.problem is None


def inspect_model(
    path: str | os.PathLike[str], others: Collection[Board] = (), *, signature: str | None = None
) -> Inspection:
    """Inspect a model file.

    Parameters
    ----------
    others
        Additional boards to estimate, besides those that ship with tvmtiny.
    signature
        Name of the signature to inspect; by default the file's first subgraph is inspected.

    Raises
    ------
    ModelFormatError
        If the file is not a readable TFLite model.
    InputError
        If the file has no such signature.
    """
    content = read_content(path, signature=signature)
    graph = read_graph(content, str(path))
    too_large = _too_large(graph, str(path))
    problem, folded, problems = too_large, graph, graph.problems
    if problem is None:
        folded = simplified(graph, Oracle.LITERT)
        problems = operator_problems(folded)
        problem = _problem(folded, str(path))
    resolved = {node.index: node for node in folded.nodes if subprograms(node)}
    shown = [resolved.get(node.index, node) for node in graph.nodes]
    nodes = tuple(_node_lines(shown, problems, known=not too_large))
    macs = sum(line.macs for line in nodes)
    weights = sum(line.weights_bytes for line in nodes)
    state = sum(_size(state.before) for state in graph.states)
    largest = max((_activations(node) for node in folded.nodes), default=0)
    least = folded.nodes if problem else optimize(folded, Oracle.LITERT).graph.nodes
    tensors = {t for node in least for t in (*node.inputs, *node.outputs) if t is not None}
    ram = max((_size(t) for t in tensors if t.data is None), default=0) + state
    costly = {line.index for line in nodes if line.macs}
    flash = sum(_constants(node) for node in least if node.index in costly)
    notes = [n for n in (NOTE if folded.moved else None, signatures_note(content)) if n]
    return Inspection(
        str(path),
        len(content),
        tuple(_tensor_line(t) for t in graph.inputs),
        tuple(_tensor_line(t) for t in graph.outputs),
        nodes,
        macs,
        macs if problem else sum(map(_macs, least)),
        weights,
        state,
        largest,
        tuple(_estimate(board, ram, flash) for board in (*others, *boards().values())),
        problem,
        None if problem or not known_to_litert(graph) else refusal(content),
        "; ".join(notes) or None,
    )


def _estimate(board: Board, ram: int, flash: int) -> BoardEstimate:
    data, code = board.region(board.data_region).length, board.region(board.code_region).length
    may_fit = ram <= data and flash <= code
    return BoardEstimate(board.name, board.cpu.name, may_fit, ram, data, flash, code)


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


def _macs(node: Node) -> int:
    operator = find_operator(node.operator)
    return operator.macs(node) if operator else 0


def _constants(node: Node) -> int:
    inner = [n for program in subprograms(node) for n in all_nodes(program.graph)]
    read = {t for n in (node, *inner) for t in n.inputs if t is not None and t.data is not None}
    return sum(map(_size, read))


def _node_lines(
    nodes: Sequence[Node], problems: tuple[OperatorProblem, ...], known: bool
) -> list[NodeLine]:
    """Describe the nodes; `known` tells whether `problems` is complete."""
    reasons: dict[int, list[str]] = {}
    for problem in problems:
        reasons.setdefault(problem.index, []).append(
            f"{problem.reason}; allowed: {problem.allowed}"
        )
    lines = {node.index: _node_line(node, reasons.get(node.index, ()), known) for node in nodes}
    for problem in problems:
        # Problems of operators on variables, which are no longer nodes, and of nested operators.
        found = tuple(reasons[problem.index])
        line = NodeLine(problem.index, problem.operator, problem.tensor, "-", (), 0, 0, 0, found)
        lines.setdefault(problem.index, line)
    return [lines[index] for index in sorted(lines)]


def _node_line(node: Node, problems: Sequence[str], known: bool) -> NodeLine:
    output = node.outputs[0] if node.outputs else None
    return NodeLine(
        node.index,
        node.operator,
        output.name if output else "-",
        output.dtype if output else "-",
        output.shape if output else (),
        0 if problems or not known else _macs(node),
        _constants(node),
        _activations(node),
        tuple(problems),
    )


def _activations(node: Node) -> int:
    tensors = {
        t.index: t for t in (*node.inputs, *node.outputs) if t is not None and t.data is None
    }
    return sum(_size(t) for t in tensors.values())


def _size(tensor: Tensor) -> int:
    """Return the bytes of a tensor; 0 if its dtype is not a number or a dimension is open."""
    return max(0, tensor.elements) * DTYPE_BYTES.get(tensor.dtype, 0)


def _tensor_line(tensor: Tensor) -> TensorLine:
    return TensorLine(
        tensor.name,
        tensor.dtype,
        tensor.shape,
        tensor.scale if tensor.quantized else None,
        tensor.zero_point if tensor.quantized else None,
    )
