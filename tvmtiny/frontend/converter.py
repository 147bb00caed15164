"""Conversion of a graph to Relax, with a variable per activation and a PrimFunc per output."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import tvm
from tvm import IRModule, relax, te, tirx

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Alias, Compute, Movement, Node, Oracle, Result, Tensor, find_operator
from tvmtiny.ops.shared.control_call import ControlCall
from tvmtiny.ops.shared.movement_tir import movement_function
from tvmtiny.ops.shared.primfunc_attributes import OPERATOR_ATTR, OVERLAPS_ATTR
from tvmtiny.ops.shared.runtime_call import RuntimeCall, call_function
from tvmtiny.ops.shared.subprogram import all_nodes, subprograms

#: Held while a function is built: TVM has one stack of unfinished functions for all threads.
_building = threading.RLock()


class FinishedNode(Protocol):
    """A node that a schedule has implemented in TIR, with arguments in parameter order.

    The function computes the first output; the others alias arguments that it has overwritten.
    """

    @property
    def function(self) -> tirx.PrimFunc: ...
    @property
    def arguments(self) -> Sequence[Tensor | np.ndarray]: ...
    @property
    def others(self) -> Sequence[Alias]: ...


#: Offers a node to a target's schedules; None leaves it to the operator's tensor expression.
Implement = Callable[[Node], FinishedNode | None]


def variable_name(tensor: Tensor) -> str:
    """Return the name of the Relax variable for `tensor`, derived from TFLite's unique index."""
    return f"t{tensor.index}"


def subprogram_name(node: Node, position: int) -> str:
    """Return the name of the Relax function for a subprogram; no PrimFunc has such a name."""
    return f"main_{node.index}_{position}"


def to_relax(graph: Graph, oracle: Oracle, implement: Implement = lambda _: None) -> IRModule:
    """Express a verified graph in Relax.

    Parameters
    ----------
    graph
        The graph.
    oracle
        The reference whose rounding is reproduced.
    implement
        Schedules to which every node is offered first.

    Returns
    -------
    IRModule
        A module whose ``main`` takes inputs and states, and returns outputs and new states, in the
        order of the graph. It binds one variable per activation, named by `variable_name`: a
        ``call_tir`` of a PrimFunc with `OPERATOR_ATTR`, or a ``memory.view``. Outputs that are the
        same function of their arguments share one PrimFunc. Each subgraph that a node runs has a
        function like ``main``, see `subprogram_name`.
    """
    return _Converter(oracle, implement).module(graph)


class _Converter:
    def __init__(self, oracle: Oracle, implement: Implement) -> None:
        self._builder = relax.BlockBuilder()
        self._oracle = oracle
        self._implement = implement
        #: Relax expressions by tensor index.
        self._expressions: dict[int, relax.Expr] = {}

    def module(self, graph: Graph) -> IRModule:
        for node in all_nodes(graph):
            for position, program in enumerate(subprograms(node)):
                self._function(subprogram_name(node, position), program.graph)
        self._function("main", graph)
        return self._builder.get()

    def _function(self, name: str, graph: Graph) -> None:
        given = [*graph.inputs, *(state.before for state in graph.states)]
        parameters = [
            relax.Var(variable_name(t), relax.TensorType(t.shape, t.dtype)) for t in given
        ]
        self._expressions.update(zip((t.index for t in given), parameters, strict=True))
        with _building, self._builder.function(name, parameters):
            with self._builder.dataflow():
                for node in graph.nodes:
                    for output, expression in self._node(node):
                        variable = self._builder.emit(expression, name_hint=variable_name(output))
                        self._expressions[output.index] = variable
                wanted = [*graph.outputs, *(state.after for state in graph.states)]
                results = [self._expression(tensor) for tensor in wanted]
                result = self._builder.emit_output(relax.Tuple(results))
            self._builder.emit_func_output(result)

    def _expression(self, tensor: Tensor) -> relax.Expr:
        if tensor.index not in self._expressions:
            self._expressions[tensor.index] = _constant(tensor)
        return self._expressions[tensor.index]

    def _node(self, node: Node) -> Iterator[tuple[Tensor, relax.Expr]]:
        """Yield each output with its expression; outputs that others are made of come first."""
        finished = self._implement(node)
        if finished is not None:
            function, arguments = finished.function, finished.arguments
            yield node.output, self._call_function(node, node.output, function, arguments)
            for output, alias in zip(node.outputs[1:], finished.others, strict=True):
                yield output, self._result(node, output, alias)
            return
        operator = find_operator(node.operator)
        assert operator is not None
        results = operator.results(node, self._oracle)
        pairs = sorted(zip(node.outputs, results, strict=True), key=partial(_reads_output, node))
        for output, result in pairs:
            yield output, self._result(node, output, result)

    def _result(self, node: Node, output: Tensor, result: Result) -> relax.Expr:
        if isinstance(result, Alias):
            return relax.op.memory.view(
                self._expression(result.source),
                shape=output.shape,
                dtype=output.dtype,
                relative_byte_offset=result.offset,
            )
        if isinstance(result, Movement):
            function, arguments = movement_function(result, node.operator)
        elif isinstance(result, RuntimeCall):
            function, arguments = call_function(result, output, node.operator), result.arguments
        elif isinstance(result, ControlCall):
            function, arguments = result.function(), result.arguments
        else:
            function, arguments = tensor_function(node, result), result.arguments
        return self._call_function(node, output, function, arguments)

    def _call_function(
        self,
        node: Node,
        output: Tensor,
        function: tirx.PrimFunc,
        values: Sequence[Tensor | np.ndarray],
    ) -> relax.Expr:
        arguments = [
            _constant(a) if isinstance(a, np.ndarray) else self._expression(a) for a in values
        ]
        variable = self._builder.add_func(function, node.symbol)
        result = relax.TensorType(output.shape, output.dtype)
        return relax.call_tir(variable, relax.Tuple(arguments), result)


def tensor_function(node: Node, compute: Compute) -> tirx.PrimFunc:
    """Return the tensor expression of `node` as a function that can be scheduled."""
    parameters = [
        te.placeholder(argument.shape or (1,), str(argument.dtype), name=name)
        for name, argument in zip(_parameter_names(compute), compute.arguments, strict=True)
    ]
    function = te.create_prim_func([*parameters, compute.expression(*parameters)])
    if compute.in_place:
        overlaps = [{"written": "out", "read": i, "before": 0} for i in compute.in_place]
        function = function.with_attr(OVERLAPS_ATTR, json.dumps(overlaps))
    return function.with_attr(OPERATOR_ATTR, node.operator)


def node_to_relax(node: Node, function: FinishedNode) -> IRModule:
    """Return a module for a single node; its inputs are the node's activations."""
    builder = relax.BlockBuilder()
    activations = {t.index: t for t in node.inputs if t is not None and t.data is None}
    variables = {
        index: relax.Var(f"x{position}", relax.TensorType(t.shape, t.dtype))
        for position, (index, t) in enumerate(activations.items())
    }
    arguments = [
        variables[a.index] if isinstance(a, Tensor) and a.index in variables else _constant(a)
        for a in function.arguments
    ]
    kind = relax.TensorType(node.output.shape, node.output.dtype)
    with _building, builder.function("main", list(variables.values())):
        with builder.dataflow():
            callee = builder.add_func(function.function, node.symbol)
            called = relax.call_tir(callee, relax.Tuple(arguments), kind)
            result = builder.emit(called, name_hint=variable_name(node.output))
            output = builder.emit_output(result)
        builder.emit_func_output(output)
    return builder.get()


def _constant(value: Tensor | np.ndarray) -> relax.Expr:
    """Return a constant with a copy of `value`, which `relax.const` takes twice as long to make."""
    array = value.data if isinstance(value, Tensor) else value
    assert array is not None
    copy = tvm.runtime.empty(array.shape, str(array.dtype))
    np.copyto(np.from_dlpack(copy), array)
    return relax.const(copy)


def _reads_output(node: Node, pair: tuple[Tensor, Result]) -> bool:
    """Return whether an output is made of another output of the same node."""
    own = {tensor.index for tensor in node.outputs}
    result = pair[1]
    if isinstance(result, Alias):
        return result.source.index in own
    arguments = result.sources if isinstance(result, Movement) else result.arguments
    return any(isinstance(a, Tensor) and a.index in own for a in arguments)


def _parameter_names(compute: Compute) -> list[str]:
    """Return the names of the expression's parameters; they end up in the C code."""
    names: list[str] = []
    for parameter in inspect.signature(compute.expression).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            rest = len(compute.arguments) - len(names)
            names += [f"{parameter.name}{i}" for i in range(rest)]
        else:
            names.append(parameter.name)
    return names
