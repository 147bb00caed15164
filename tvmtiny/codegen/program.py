"""The function ``main`` of a Relax module as a list of kernel calls on named buffers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tvm import IRModule, relax
from tvm.ir import GenericConst

from tvmtiny.frontend.converter import variable_name
from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Tensor


@dataclass(frozen=True)
class Value:
    """An activation.

    Attributes
    ----------
    name
        Name of the Relax variable, or ``input.0``, ``state.0`` and so on.
    buffer
        Name of the variable whose bytes the value shares; the value's own name unless it is a view.
    offset
        Offset of the first byte in the buffer.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    buffer: str
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Call:
    """One kernel call.

    Attributes
    ----------
    function
        Name of the PrimFunc in the module.
    arguments
        Values for activations, arrays for constants.
    output
        The activation that the kernel writes.
    """

    function: str
    arguments: tuple[Value | np.ndarray, ...]
    output: Value


@dataclass(frozen=True)
class StateValues:
    """The values of a state at the start and at the end of a run."""

    before: Value
    after: Value


@dataclass(frozen=True, eq=False)
class Program:
    """Kernel calls in order, with the model's inputs, outputs and states.

    Attributes
    ----------
    values
        Every activation by name, views included.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value | np.ndarray, ...]
    calls: tuple[Call, ...]
    values: Mapping[str, Value]
    states: tuple[StateValues, ...] = ()

    @cached_property
    def readers(self) -> Mapping[str, int]:
        """Number of reads of each buffer, by calls and by the caller of the model."""
        results = [*self.outputs, *(state.after for state in self.states)]
        read = [*(a for call in self.calls for a in call.arguments), *results]
        return Counter(value.buffer for value in read if isinstance(value, Value))


def read_program(module: IRModule, graph: Graph, name: str = "main") -> Program:
    """Flatten a function of `module`, ``main`` or that of a subgraph, into kernel calls.

    Parameters
    ----------
    graph
        What the function was made from. Its states are the last parameters and the last results.
    """
    main = module[name]
    states, inputs_count = len(graph.states), len(graph.inputs)
    outputs_of_nodes = (tensor for node in graph.nodes for tensor in node.outputs)
    tensors = {variable_name(tensor): tensor for tensor in outputs_of_nodes}
    values: dict[str, Value] = {}
    calls: list[Call] = []
    renamed: dict[str, relax.Expr] = {}

    places = {parameter: position for position, parameter in enumerate(main.params)}

    def name_of(variable: relax.Var) -> str:
        position = places.get(variable)
        if position is None:
            return str(variable.name)
        state = position - inputs_count
        return f"input.{position}" if state < 0 else f"state.{state}"

    def new_value(name: str, tensor: Tensor, source: Value | None = None, offset: int = 0) -> Value:
        assert name not in values, name
        buffer = source.buffer if source else name
        begin = source.offset + offset if source else 0
        values[name] = Value(name, tensor.shape, tensor.dtype, tensor.nbytes, buffer, begin)
        return values[name]

    def resolve(expression: relax.Expr) -> Value | np.ndarray:
        if isinstance(expression, GenericConst):
            return np.from_dlpack(expression.value)
        name = name_of(expression)
        return resolve(renamed[name]) if name in renamed else values[name]

    given = [*graph.inputs, *(state.before for state in graph.states)]
    parameters = tuple(new_value(name_of(p), t) for p, t in zip(main.params, given, strict=True))
    for block in main.body.blocks:
        for binding in block.bindings:
            name, expression = name_of(binding.var), binding.value
            if isinstance(expression, relax.Var | GenericConst | relax.Tuple):
                renamed[name] = expression
            elif expression.op.name == "relax.memory.view":
                source, offset = resolve(expression.args[0]), int(expression.args[3].value)
                if isinstance(source, Value):
                    new_value(name, tensors[name], source, offset)
                else:
                    shape = tensors[name].shape
                    first = offset // source.itemsize
                    flat = source.reshape(-1)[first : first + math.prod(shape)]
                    renamed[name] = relax.const(flat.reshape(shape))
            else:
                assert expression.op.name == "relax.call_tir", expression
                function, arguments = expression.args[0], expression.args[1]
                resolved = tuple(resolve(argument) for argument in arguments.fields)
                calls.append(Call(function.name_hint, resolved, new_value(name, tensors[name])))
    result = main.body.body
    while isinstance(result, relax.Var) and name_of(result) in renamed:
        result = renamed[name_of(result)]
    fields = result.fields if isinstance(result, relax.Tuple) else [result]
    results = tuple(resolve(f) for f in fields)
    before_states, after_states = parameters[inputs_count:], results[len(results) - states :]
    pairs = []
    for before, after in zip(before_states, after_states, strict=True):
        assert isinstance(after, Value)
        pairs.append(StateValues(before, after))
    outputs = results[: len(results) - states]
    return Program(parameters[:inputs_count], outputs, tuple(calls), values, tuple(pairs))
