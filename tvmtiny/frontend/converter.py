"""TFLite to Relax: upstream's converter with our integer-exact operators."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import tflite
from tvm import IRModule, relax, te, tirx
from tvm.relax.frontend.tflite import from_tflite
from tvm.relax.frontend.tflite.tflite_frontend import (
    OperatorConverter,
    TensorWrapper,
    get_tensor_name,
)

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Alias, Compute, Node, Oracle, Tensor, find_operator

#: PrimFunc attribute with the TFLite operator that a function implements.
OPERATOR_ATTR = "tvmtiny.operator"


class FinishedNode(Protocol):
    """A node that a schedule has turned into TIR itself, with arguments in parameter order."""

    @property
    def function(self) -> tirx.PrimFunc: ...
    @property
    def arguments(self) -> Sequence[Tensor | np.ndarray]: ...


#: Offers a node to the schedules of a target; None leaves it to the operator's tensor expression.
Implement = Callable[[Node], FinishedNode | None]


def variable_name(tensor: Tensor) -> str:
    """Name of the Relax variable that holds `tensor`: TFLite's index, which is unique."""
    return f"t{tensor.index}"


def to_relax(
    content: bytes, graph: Graph, oracle: Oracle, implement: Implement = lambda _: None
) -> IRModule:
    """Import a verified graph.

    Parameters
    ----------
    content
        The flatbuffer that `graph` was read from.
    implement
        Offered every node first.

    Returns
    -------
    IRModule
        ``main`` binds one variable per activation, named by `variable_name`: a ``call_tir`` of a
        PrimFunc with `OPERATOR_ATTR`, or a ``reshape``. Nodes that are the same function of their
        arguments share one PrimFunc.
    """
    model = tflite.Model.GetRootAsModel(content, 0)
    converter = partial(IntegerExactConverter, graph=graph, oracle=oracle, implement=implement)
    return from_tflite(model, op_converter=converter)


class IntegerExactConverter(OperatorConverter):  # type: ignore[misc]
    """Upstream's converter whose operators come from `tvmtiny.ops`.

    Upstream finds expressions by tensor name; TFLite does not promise that names are unique, so
    they are found by tensor index here.
    """

    def __init__(
        self,
        model: Any,
        subgraph: Any,
        exp_tab: Any,
        ctx: relax.BlockBuilder,
        conversion_state: dict[str, Any] | None = None,
        *,
        graph: Graph,
        oracle: Oracle,
        implement: Implement,
    ) -> None:
        super().__init__(model, subgraph, exp_tab, ctx, conversion_state)
        self._graph = graph
        self._oracle = oracle
        self._implement = implement
        self._expressions: dict[int, relax.Expr] = {
            tensor.index: exp_tab.get_expr(get_tensor_name(subgraph, tensor.index))
            for tensor in graph.inputs
        }

    def check_unsupported_ops(self) -> None:
        """Nothing to do: `verify` has already reported all problems of the whole graph."""

    def convert_op_to_relax(self) -> None:
        """Emit every node in execution order."""
        for node in self._graph.nodes:
            expression = self._emit_node(node)
            name = variable_name(node.output)
            self._expressions[node.output.index] = self.bb.emit(expression, name_hint=name)

    def get_tensor_expr(self, tensor: TensorWrapper, is_sparse: bool = False) -> relax.Expr:
        """The expression of a tensor by index; constants become Relax constants."""
        return self._expression(self._graph.tensors[tensor.tensor_idx])

    def _expression(self, tensor: Tensor) -> relax.Expr:
        if tensor.index not in self._expressions:
            assert tensor.data is not None
            self._expressions[tensor.index] = relax.const(tensor.data, tensor.dtype)
        return self._expressions[tensor.index]

    def _emit_node(self, node: Node) -> relax.Expr:
        finished = self._implement(node)
        if finished is not None:
            return self._call_function(node, finished.function, finished.arguments)
        operator = find_operator(node.operator)
        assert operator is not None
        result = operator.compute(node, self._oracle)
        if isinstance(result, Alias):
            return self._reshape(node, result)
        return self._call(node, result)

    def _reshape(self, node: Node, alias: Alias) -> relax.Expr:
        return relax.op.reshape(self._expression(alias.source), node.output.shape)

    def _call(self, node: Node, compute: Compute) -> relax.Expr:
        return self._call_function(node, tensor_function(node, compute), compute.arguments)

    def _call_function(
        self, node: Node, function: tirx.PrimFunc, values: Sequence[Tensor | np.ndarray]
    ) -> relax.Expr:
        arguments = [
            relax.const(a) if isinstance(a, np.ndarray) else self._expression(a) for a in values
        ]
        variable = self.bb.add_func(function, node.operator.lower())
        output = relax.TensorType(node.output.shape, node.output.dtype)
        return relax.call_tir(variable, relax.Tuple(arguments), output)


def tensor_function(node: Node, compute: Compute) -> tirx.PrimFunc:
    """The tensor expression of `node` as a function that can be scheduled."""
    parameters = [
        te.placeholder(argument.shape or (1,), str(argument.dtype), name=name)
        for name, argument in zip(_parameter_names(compute), compute.arguments, strict=True)
    ]
    function = te.create_prim_func([*parameters, compute.expression(*parameters)])
    return function.with_attr(OPERATOR_ATTR, node.operator)


def node_to_relax(node: Node, function: FinishedNode) -> IRModule:
    """One node as a module of its own, whose inputs are the node's activations."""
    builder = relax.BlockBuilder()
    activations = {t.index: t for t in node.inputs if t is not None and t.data is None}
    variables = {
        index: relax.Var(f"x{position}", relax.TensorType(t.shape, t.dtype))
        for position, (index, t) in enumerate(activations.items())
    }
    arguments = [
        relax.const(a)
        if isinstance(a, np.ndarray)
        else variables[a.index]
        if a.index in variables
        else relax.const(a.data)
        for a in function.arguments
    ]
    kind = relax.TensorType(node.output.shape, node.output.dtype)
    with builder.function("main", list(variables.values())):
        with builder.dataflow():
            callee = builder.add_func(function.function, node.operator.lower())
            called = relax.call_tir(callee, relax.Tuple(arguments), kind)
            result = builder.emit(called, name_hint=variable_name(node.output))
            output = builder.emit_output(result)
        builder.emit_func_output(output)
    return builder.get()


def _parameter_names(compute: Compute) -> list[str]:
    """The names that the expression gives its parameters; they end up in the C code."""
    names: list[str] = []
    for parameter in inspect.signature(compute.expression).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            rest = len(compute.arguments) - len(names)
            names += [f"{parameter.name}{i}" for i in range(rest)]
        else:
            names.append(parameter.name)
    return names
