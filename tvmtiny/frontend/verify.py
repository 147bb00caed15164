"""Verification of graphs before they are converted; all problems are reported at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from tvmtiny.errors import (
    DynamicRangeModelError,
    DynamicShapeError,
    ModelFormatError,
    OperatorProblem,
)
from tvmtiny.errors.base import short_name
from tvmtiny.frontend.diagnosis import diagnosed, is_foreign
from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node, Oracle, Tensor, find_operator
from tvmtiny.ops.shared.quantization import has_activation_range
from tvmtiny.ops.shared.subprogram import all_nodes, subprograms

#: Most dimensions; LiteRT's kernels accept fewer.
MOST_DIMENSIONS = 8
#: Most bytes of a tensor, and of all tensors of a model including constants.
MOST_TENSOR_BYTES = 1 << 26
MOST_BYTES = 1 << 29

#: Operators for which LiteRT unpacks int4 constants, and the activations with which it does.
_INT4_OPERATORS = {
    "CONV_2D": ("int8", "int16"),
    "DEPTHWISE_CONV_2D": ("int8",),
    "DEQUANTIZE": ("int8",),
    "FULLY_CONNECTED": ("int8", "int16"),
}
_INT4_ALLOWED = (
    "int4 weights of FULLY_CONNECTED and CONV_2D, and of DEPTHWISE_CONV_2D with int8 data"
)


def verify(graph: Graph, path: str, oracle: Oracle = Oracle.LITERT) -> None:
    """Check that `graph` can be compiled to reproduce the results of an oracle.

    Raises
    ------
    DynamicShapeError
        If a dimension other than the batch is open.
    DynamicRangeModelError
        If weights are int8 while activations are float.
    UnsupportedModelError
        If operators are unsupported or used in an unsupported way; the error lists all of them.
    ModelFormatError
        If a tensor is read before it is written, or written although it has a value.
    """
    nodes = tuple(all_nodes(graph))
    if any(is_foreign(node) for node in nodes):
        raise diagnosed(replace(graph, nodes=nodes), operator_problems(graph, oracle))
    graphs = tuple(_graphs(graph))
    for each in graphs:
        _check_shapes(each)
    for node in nodes:
        if dynamic_range(node):
            raise DynamicRangeModelError(node.operator, node.input(1).name)
    problems = operator_problems(graph, oracle)
    if problems:
        raise diagnosed(replace(graph, nodes=nodes), problems)
    for each in graphs:
        _check_order(each, path)


def _graphs(graph: Graph) -> Iterator[Graph]:
    """Yield a graph and all subgraphs that its nodes run."""
    yield graph
    for node in graph.nodes:
        for subprogram in subprograms(node):
            yield from _graphs(subprogram.graph)


def operator_problems(graph: Graph, oracle: Oracle = Oracle.LITERT) -> tuple[OperatorProblem, ...]:
    """Return all reasons why nodes of `graph`, including subgraphs, cannot be compiled."""
    found = [problem for node in all_nodes(graph) for problem in node_problems(node, oracle)]
    return (*graph.problems, *found)


def node_problems(node: Node, oracle: Oracle | None = None) -> Iterator[OperatorProblem]:
    """Yield all reasons why `node` cannot be compiled with the results of an oracle, if given."""

    def problem(reason: str, allowed: str) -> OperatorProblem:
        name = node.outputs[0].name if node.outputs else "-"
        return OperatorProblem(node.operator, node.index, name, reason, allowed)

    operator = find_operator(node.operator)
    if operator is None:
        yield problem("the operator is not supported", "see the table of operators in the docs")
        return
    results = operator.dtypes if operator.result is None else (operator.result,)
    activations = [(node.optional_input(operator.data), operator.dtypes)]
    activations += [(t, results) for t in node.outputs]
    for tensor, dtypes in activations:
        if tensor is None or tensor.variable:
            continue
        if tensor.dtype not in dtypes:
            yield problem(f"{tensor.dtype} data", " or ".join(dtypes))
            return
        scaled = operator.needs_scale and not operator.per_channel
        if tensor.dtype == "int8" and scaled and not _sound(tensor):
            yield problem(
                f"int8 tensor {short_name(tensor.name, 60)} has no usable scale",
                "one positive scale",
            )
            return
    yield from (problem(name, _INT4_ALLOWED) for name in _misread(node))
    if node.outputs and not has_activation_range(node):
        reason = f"an output scale of {node.output.scale:.3g} with {node.activation}"
        yield problem(reason, "a scale with which the bounds of the activation fit 32 bits")
    reasons = [*operator.check(node)]
    if not reasons and oracle is not None:
        reasons = [*operator.check_oracle(node, oracle)]
    for found in reasons:
        yield problem(found.reason, found.allowed)


def _misread(node: Node) -> Iterator[str]:
    """Yield a reason for each int4 constant that LiteRT refuses, or takes the bytes of for int8."""
    activations, data = _INT4_OPERATORS.get(node.operator), node.optional_input(0)
    for tensor in (t for t in node.inputs if t is not None and t.from_int4):
        if activations is None:
            yield f"the int4 constant {short_name(tensor.name, 60)}"
        elif data is not None and data.dtype not in activations:
            yield f"int4 weights with {data.dtype} data"


def _sound(tensor: Tensor) -> bool:
    quantization = tensor.quantization
    return (
        quantization is not None
        and not quantization.per_channel
        and 0 < quantization.scales[0] < inf
    )


def dynamic_range(node: Node) -> bool:
    """Return whether a node has integer weights for float activations."""
    weights = node.optional_input(1)
    first = node.optional_input(0)
    return (
        weights is not None
        and first is not None
        and weights.data is not None
        and weights.dtype in ("int8", "uint8")
        and weights.quantized
        and not _in_blocks(weights)
        and first.dtype == "float32"
        and bool(node.outputs)
        and node.outputs[0].dtype == "float32"
    )


def _in_blocks(tensor: Tensor) -> bool:
    return tensor.quantization is not None and tensor.quantization.block > 0


def _check_shapes(graph: Graph) -> None:
    used = {t.index: t for n in graph.nodes for t in (*n.inputs, *n.outputs) if t is not None}
    used.update((t.index, t) for t in graph.inputs)
    for tensor in used.values():
        # Converters write an arbitrary batch as -1 in the signature and as 1 in the shape.
        if tensor.data is not None:
            continue
        open_dimensions = graph.shape_signatures.get(tensor.index, ())[1:]
        if min(tensor.shape, default=1) < 1 or min(open_dimensions, default=1) < 1:
            shape = graph.shape_signatures.get(tensor.index, tensor.shape)
            empty = min(shape, default=1) == 0
            raise DynamicShapeError(tensor.name, shape, _maker(graph, tensor) if empty else "")


def _maker(graph: Graph, empty: Tensor) -> str:
    """Return the node that first makes a tensor without elements; empty if its inputs have none."""
    for node in graph.nodes:
        if empty.index in {tensor.index for tensor in node.outputs}:
            whole = all(min(t.shape, default=1) > 0 for t in node.inputs if t is not None)
            return node.where if whole else ""
    return ""


def check_sizes(graph: Graph, path: str) -> None:
    """Refuse tensors that no microcontroller has memory for, before values are computed.

    Raises
    ------
    ModelFormatError
        If a tensor, or the sum of all tensors, is unreasonably large.
    """
    total = 0
    for tensor in _all_tensors(graph):
        rank, size = len(tensor.shape), tensor.nbytes
        total += size
        if rank > MOST_DIMENSIONS:
            raise ModelFormatError(
                path,
                f"tensor {short_name(tensor.name, 60)} has {rank} dimensions, but at most "
                f"{MOST_DIMENSIONS} are supported",
            )
        if size > MOST_TENSOR_BYTES or total > MOST_BYTES:
            raise ModelFormatError(
                path,
                f"tensor {short_name(tensor.name, 60)} of shape {list(tensor.shape)} has {size:,} "
                f"bytes, {total:,} with all tensors before it; microcontrollers hold at most "
                f"{MOST_TENSOR_BYTES:,} and {MOST_BYTES:,}",
            )


def _all_tensors(graph: Graph) -> Iterator[Tensor]:
    """Yield the tensors of a graph and of its unresolved subgraphs."""
    yield from graph.tensors
    for node in graph.nodes:
        for value in node.options.values():
            if isinstance(value, Graph):
                yield from _all_tensors(value)


def _check_order(graph: Graph, path: str) -> None:
    constant = next((t.name for t in graph.inputs if t.data is not None), None)
    if constant is not None:
        raise ModelFormatError(path, f"the input {short_name(constant, 60)} holds a constant")
    known = {t.index for t in graph.inputs} | {state.before.index for state in graph.states}
    for node in graph.nodes:
        for tensor in node.inputs:
            if tensor is not None and tensor.data is None and tensor.index not in known:
                raise ModelFormatError(
                    path,
                    f"{node.where} reads tensor {short_name(tensor.name, 60)} before anything "
                    "writes it",
                )
        for tensor in node.outputs:
            if tensor.index in known or tensor.data is not None:
                raise ModelFormatError(
                    path,
                    f"{node.where} writes tensor {short_name(tensor.name, 60)}, which has a value "
                    "already",
                )
            known.add(tensor.index)
    for tensor in graph.outputs:
        if tensor.index not in known and tensor.data is None:
            raise ModelFormatError(path, f"nothing writes the output {short_name(tensor.name, 60)}")
