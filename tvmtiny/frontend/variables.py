"""Conversion of resource variables to states: values that enter a run and leave it.

TFLite refers to variables by handles and changes them in place. Here each READ_VARIABLE reads a
value and each ASSIGN_VARIABLE makes a new one, so that later stages see pure data flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tvmtiny.errors import OperatorProblem
from tvmtiny.errors.base import short_name
from tvmtiny.ops import Node, Oracle, Tensor, find_operator
from tvmtiny.ops.shared.block import results, with_block
from tvmtiny.ops.shared.graph import Graph, State
from tvmtiny.ops.shared.node import DTYPE_BYTES

#: Container and shared name, which identify a variable.
_Key = tuple[bytes, bytes]

#: Positions of the variable tensors that operators update.
VARIABLE_INPUTS = {
    "SVDF": (4,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (4,),
}

#: Most bytes of a variable; `tvmtiny.frontend.verify` accepts fewer.
_LARGEST = 1 << 27

_OPERATORS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")


def resolve_variables(graph: Graph, subgraph: Callable[[int], Graph]) -> Graph:
    """Replace variables by states.

    READ_VARIABLE keeps its output and gets the variable's current value as its only input.
    ASSIGN_VARIABLE gets the value as its only input and the variable's new value as its output.
    VAR_HANDLE and CALL_ONCE disappear: the initialization subgraph is evaluated here.

    Parameters
    ----------
    graph
        The graph as it is in the file.
    subgraph
        Returns the model's other subgraphs by index.

    Returns
    -------
    Graph
        The graph with states; errors in the use of variables are in its `problems`.
    """
    if any(node.operator in _OPERATORS for node in graph.nodes):
        graph = _Resolver(graph, subgraph).graph()
    return _with_memories(_with_variable_tensors(graph))


def _with_variable_tensors(graph: Graph) -> Graph:
    """Add the new value of variable tensors to the outputs of the operators that update them."""
    tensors, nodes, states = list(graph.tensors), [], list(graph.states)
    for node in graph.nodes:
        outputs = list(node.outputs)
        for position in VARIABLE_INPUTS.get(node.operator, ()):
            before = node.optional_input(position)
            if before is None or not before.variable or before.data is not None:
                continue
            after = replace(before, index=len(tensors), name=f"{before.name}/after")
            tensors.append(after)
            outputs.append(after)
            # LiteRT fills variable tensors of int8 with their zero point, others with zeros.
            zero = before.zero_point if before.dtype == "int8" and before.quantization else 0
            dtype = before.dtype if before.dtype in DTYPE_BYTES else "int8"
            # The shape is not verified yet; a tensor that will be refused needs no value.
            shape = before.shape if _reasonable(before) else ()
            initial = np.full(shape, zero, dtype)
            states.append(State(before.name, before, after, initial))
        updates = len(outputs) > len(node.outputs)
        nodes.append(replace(node, outputs=tuple(outputs)) if updates else node)
    return replace(graph, tensors=tuple(tensors), nodes=tuple(nodes), states=tuple(states))


def uses_variables(graph: Graph) -> bool:
    """Return whether nodes of a subgraph, as in the file, read or change persistent values."""
    return any(
        node.operator in _OPERATORS
        or _has_memory(node)
        or any(
            tensor is not None and tensor.variable
            for position in VARIABLE_INPUTS.get(node.operator, ())
            for tensor in [node.optional_input(position)]
        )
        for node in graph.nodes
    )


def _has_memory(node: Node) -> bool:
    operator = find_operator(node.operator)
    return operator is not None and bool(operator.memory(node))


def _with_memories(graph: Graph) -> Graph:
    """Add inputs and outputs for memory of operators that is not in the file."""
    tensors, nodes, states = list(graph.tensors), [], list(graph.states)
    for node in graph.nodes:
        operator = find_operator(node.operator)
        before_all: list[Tensor] = []
        after_all: list[Tensor] = []
        for memory in () if operator is None else operator.memory(node):
            name = f"{node.outputs[0].name}/{memory.name}" if node.outputs else memory.name
            shape, dtype = memory.initial.shape, str(memory.initial.dtype)
            before = Tensor(len(tensors), name, shape, dtype, variable=True)
            after = replace(before, index=len(tensors) + 1, name=f"{name}/after")
            tensors += [before, after]
            states.append(State(name, before, after, memory.initial))
            before_all, after_all = [*before_all, before], [*after_all, after]
        if before_all:
            inputs, outputs = (*node.inputs, *before_all), (*node.outputs, *after_all)
            node = replace(node, inputs=inputs, outputs=outputs)
        nodes.append(node)
    return replace(graph, tensors=tuple(tensors), nodes=tuple(nodes), states=tuple(states))


def with_assigned(graph: Graph, values: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Add the values of assigned variables and of blocks to the values of TFLite's tensors.

    Parameters
    ----------
    values
        Values as LiteRT returns them, by tensor index.
    """
    found = dict(values)
    for node in graph.nodes:
        if node.operator == "ASSIGN_VARIABLE" and node.input(0).index in found:
            found[node.output.index] = found[node.input(0).index]
    for state in graph.states:
        if state.before.variable and state.before.index in found:
            found[state.after.index] = found[state.before.index]
    for node in graph.nodes:
        given = results(node)
        if len(given) < len(node.outputs):
            found[node.output.index] = with_block(node, [found[t.index] for t in given])[0]
    return found


@dataclass
class _Variable:
    name: str
    initial: np.ndarray | None = None
    before: Tensor | None = None
    current: Tensor | None = None
    read_before: bool = False


class _UnusableError(Exception):
    """The reason why an operator on variables has no meaning, and what would be accepted."""

    def __init__(self, reason: str, allowed: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.allowed = allowed


class _Resolver:
    def __init__(self, graph: Graph, subgraph: Callable[[int], Graph]) -> None:
        self._graph = graph
        self._subgraph = subgraph
        self._tensors = list(graph.tensors)
        self._variables: dict[_Key, _Variable] = {}
        self._handles: dict[int, _Key] = {}
        self._nodes: list[Node] = []
        self._problems: list[OperatorProblem] = []

    def graph(self) -> Graph:
        for node in self._graph.nodes:
            try:
                self._visit(node)
            except _UnusableError as error:
                name = node.outputs[0].name if node.outputs else "-"
                self._problems.append(
                    OperatorProblem(node.operator, node.index, name, error.reason, error.allowed)
                )
        states = tuple(
            State(v.name, v.before, v.current, v.initial)
            for v in self._variables.values()
            if v.read_before and v.before and v.current and v.initial is not None
        )
        return replace(
            self._graph,
            tensors=tuple(self._tensors),
            nodes=tuple(self._nodes),
            states=states,
            problems=tuple(self._problems),
        )

    def _visit(self, node: Node) -> None:
        if node.operator == "VAR_HANDLE":
            self._handles[node.output.index] = _key(node)
        elif node.operator == "CALL_ONCE":
            self._initialise(node)
        elif node.operator == "READ_VARIABLE":
            self._nodes.append(replace(node, inputs=(self._read(node),)))
        elif node.operator == "ASSIGN_VARIABLE":
            value, after = self._assign(node)
            self._nodes.append(replace(node, inputs=(value,), outputs=(after,)))
        else:
            self._nodes.append(node)

    def _read(self, node: Node) -> Tensor:
        variable = _variable(node, self._handles, self._variables)
        if not node.outputs:
            raise _UnusableError("there is no output", "one output")
        current = self._value(variable, node.output)
        if current is None:
            raise _UnusableError(
                f"nothing has assigned variable {variable.name}",
                "an initial value from CALL_ONCE, or an ASSIGN_VARIABLE before",
            )
        variable.read_before |= current is variable.before
        return current

    def _assign(self, node: Node) -> tuple[Tensor, Tensor]:
        variable, value = _variable(node, self._handles, self._variables), _assigned(node)
        self._value(variable, value)
        variable.current = self._new_tensor(f"{variable.name}/after", value)
        return value, variable.current

    def _value(self, variable: _Variable, like: Tensor) -> Tensor | None:
        """Return a variable's current value after comparing its dtype and shape with `like`."""
        if variable.current is None and variable.initial is not None:
            shape, dtype = variable.initial.shape, str(variable.initial.dtype)
            tensor = self._new_tensor(variable.name, like)
            variable.before = variable.current = replace(tensor, shape=shape, dtype=dtype)
            self._tensors[tensor.index] = variable.current
        current = variable.current
        if current is not None and (current.shape, current.dtype) != (like.shape, like.dtype):
            raise _UnusableError(
                f"variable {variable.name} is {current.dtype} {list(current.shape)}, "
                f"but {like.name} is {like.dtype} {list(like.shape)}",
                "one dtype and shape for all values of a variable",
            )
        return current

    def _new_tensor(self, name: str, like: Tensor) -> Tensor:
        tensor = replace(like, index=len(self._tensors), name=name, data=None)
        self._tensors.append(tensor)
        return tensor

    def _initialise(self, node: Node) -> None:
        index = int(node.options.get("init_subgraph_index", 0))
        for key, value in _initial_values(self._subgraph(index)).items():
            variable = self._variables.setdefault(key, _Variable(_name(key)))
            if variable.current is not None:
                reason = f"variable {variable.name} is used before it is initialised"
                raise _UnusableError(reason, "CALL_ONCE before all users of its variables")
            variable.initial = value


def _initial_values(graph: Graph) -> dict[_Key, np.ndarray]:
    """Evaluate the values that an initialization subgraph assigns."""
    handles: dict[int, _Key] = {}
    assigned: dict[_Key, _Variable] = {}
    values = {t.index: t.data for t in graph.tensors if t.data is not None}
    for node in graph.nodes:
        if node.operator == "VAR_HANDLE":
            handles[node.output.index] = _key(node)
        elif node.operator == "ASSIGN_VARIABLE":
            variable, value = _variable(node, handles, assigned), _assigned(node)
            variable.initial = _known([value], values)[0]
        elif node.operator in _OPERATORS:
            raise _UnusableError(f"the initialisation has a {node.operator}", "assignments")
        else:
            operator = find_operator(node.operator)
            problems = [p.reason for p in operator.check(node)] if operator else ["unknown"]
            if operator is None or problems:
                raise _UnusableError(
                    f"the initialisation computes {node.operator}: {problems[0]}",
                    "constants, or results of supported operators on them",
                )
            if not node.outputs or not all(map(_reasonable, node.outputs)):
                reason = f"the output of {node.operator} is absent or too large"
                raise _UnusableError(reason, "outputs that fit the memory of a microcontroller")
            inputs = _known([t for t in node.inputs if t is not None], values)
            results = operator.reference(node, inputs, Oracle.LITERT)
            values.update(zip((t.index for t in node.outputs), results, strict=True))
    return {key: v.initial for key, v in assigned.items() if v.initial is not None}


def _reasonable(tensor: Tensor) -> bool:
    """Return whether a tensor is small enough to be evaluated."""
    return min(tensor.shape, default=1) > 0 and tensor.nbytes <= _LARGEST


def _known(tensors: list[Tensor], values: dict[int, np.ndarray]) -> list[np.ndarray]:
    for tensor in tensors:
        if tensor.index not in values:
            reason = f"the initialisation reads {short_name(tensor.name, 60)}, which has no value"
            raise _UnusableError(reason, "constants")
    return [values[tensor.index] for tensor in tensors]


def _variable(node: Node, handles: dict[int, _Key], variables: dict[_Key, _Variable]) -> _Variable:
    handle = node.optional_input(0)
    key = handles.get(handle.index) if handle is not None else None
    if key is None:
        raise _UnusableError(
            "its handle does not come from a VAR_HANDLE", "the output of a VAR_HANDLE"
        )
    return variables.setdefault(key, _Variable(_name(key)))


def _assigned(node: Node) -> Tensor:
    value = node.optional_input(1)
    if value is None:
        raise _UnusableError("the value is absent", "a variable and a value")
    return value


def _key(node: Node) -> _Key:
    container, name = (node.options.get(key) or b"" for key in ("container", "shared_name"))
    return bytes(container), bytes(name)


def _name(key: _Key) -> str:
    return b"/".join(part for part in key if part).decode("utf-8", "replace") or "variable"
