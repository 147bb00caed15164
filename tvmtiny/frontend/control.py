"""Resolution of WHILE and IF: subgraphs become subprograms that depend on nothing but data.

The reader leaves subgraphs as they are in the file. This module determines the number of iterations
of a loop, which must follow from constants. Values that no iteration changes are captured or become
constants, and unused values, such as the counters that converters add, are removed. Values that an
iteration passes to the next become states of the body, each assigned at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tvmtiny.frontend.sequence_updates import reshaped_from, with_updates
from tvmtiny.frontend.variables import uses_variables
from tvmtiny.frontend.verify import node_problems
from tvmtiny.ops import Node, Oracle, Tensor, find_operator
from tvmtiny.ops.shared.block import BLOCK, block
from tvmtiny.ops.shared.control_call import OF_DATA, REFUSED, SUBPROGRAMS, TURNS
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.ops.shared.graph import Graph, State
from tvmtiny.ops.shared.subprogram import Subprogram, subprograms

__all__ = ["resolved", "with_unique_indices"]

#: Most iterations of a loop; each is evaluated here to find out whether another one follows.
_MOST_TURNS = 1 << 14
#: Most elements that are evaluated to count iterations.
_MOST_ELEMENTS = 1 << 24

#: Advice for a loop that is refused.
_UNROLL = "turns that follow from constants: build the layer with unroll=True"

#: The operator that assigns a state its new value.
_ASSIGN = "ASSIGN_VARIABLE"

Fold = Callable[[Graph], Graph]


class _RefusedError(Exception):
    """The reason why subgraphs cannot be resolved, and what would be accepted."""

    def __init__(self, reason: str, allowed: str = _UNROLL) -> None:
        super().__init__(reason)
        self.problem = (reason, allowed)


def resolved(node: Node, wanted: Collection[int], fold: Fold, oracle: Oracle) -> Node | None:
    """Return a WHILE or IF with subprograms in place of its subgraphs.

    Parameters
    ----------
    node
        The node, with constants for all inputs that are known.
    wanted
        Indices of the tensors that have a reader.
    fold
        Folds the constants of a subgraph, and resolves the nodes inside it.
    oracle
        The reference whose arithmetic counts the iterations.

    Returns
    -------
    Node or None
        The node with its wanted outputs alone; None if no output is wanted. If the node cannot be
        resolved, its options hold the reason.
    """
    if SUBPROGRAMS in node.options or not any(output.index in wanted for output in node.outputs):
        return node if SUBPROGRAMS in node.options else None
    results = [i for i, output in enumerate(node.outputs) if output.index in wanted]
    try:
        if node.operator == "IF":
            return _branches(node, results, fold)
        return _loop(node, results, fold, oracle)
    except _RefusedError as refused:
        return replace(node, options={**node.options, REFUSED: refused.problem})


def _loop(node: Node, results: Sequence[int], fold: Fold, oracle: Oracle) -> Node:
    given = [node.input(i) for i in range(len(node.inputs)) if node.inputs[i] is not None]
    test, body = (_graph(node, name) for name in ("cond", "body"))
    counts = {len(node.inputs), len(given), len(node.outputs), len(test.inputs), len(body.inputs)}
    if counts != {len(body.outputs)} or len(test.outputs) != 1:
        raise _RefusedError(
            f"{len(given)} values", "as many values as inputs and outputs of the subgraphs"
        )
    _check_inputs(test, body)
    same = [i.index == o.index for i, o in zip(body.inputs, body.outputs, strict=True)]
    known = {
        k: value.data
        for k, value in enumerate(given)
        if same[k] and value.data is not None and _alike(value, body.inputs[k])
    }
    body = with_updates(fold(_with_constants(body, known)))
    test = fold(_with_constants(test, known))
    turns = _turns(test, body, given, oracle)
    if turns == 0:
        # A loop without iterations becomes one iteration that changes nothing.
        body, same, turns = replace(body, nodes=(), outputs=body.inputs), [True] * len(given), 1
    kept: set[int] = set()
    while True:
        nodes, needed = _needed(body, [body.outputs[k] for k in {*results, *kept}])
        more = {k for k, t in enumerate(body.inputs) if t.index in needed and not same[k]}
        if more == kept:
            break
        kept = more
    captured = [k for k, t in enumerate(body.inputs) if t.index in needed and k not in kept]
    captured = [k for k in captured if body.tensors[body.inputs[k].index].data is None]
    places = {k: position for position, k in enumerate(results)}
    same_bytes = _same_bytes(body, results, kept)
    states, tensors = [], list(body.tensors)
    for k in sorted(kept):
        before, value = body.inputs[k], body.outputs[k]
        _check_alike(given[k], before, value, node.outputs[k])
        after = replace(before, index=len(tensors), name=f"{before.name}/after")
        tensors.append(after)
        nodes.append(Node(len(nodes), _ASSIGN, 1, (value,), (after,)))
        # The node's input holds the value before the first iteration.
        unused = np.broadcast_to(np.zeros((), before.dtype), before.shape)
        states.append(State(before.name, before, after, unused))
    others = [k for k in results if k not in kept]
    for k in others:
        _check_alike(body.outputs[k], node.outputs[k])
    others = [k for k in others if k not in same_bytes.values()]
    program = Subprogram(
        replace(
            body,
            tensors=tuple(tensors),
            nodes=_with_states_last(nodes),
            inputs=tuple(body.inputs[k] for k in captured),
            outputs=tuple(body.outputs[k] for k in others),
            states=tuple(states),
        ),
        tuple(range(len(captured))),
        tuple(range(len(captured), len(captured) + len(kept))),
        tuple(places.get(same_bytes.get(k, k)) for k in sorted(kept)),
        tuple(places[k] for k in others),
    )
    return replace(
        node,
        inputs=tuple(given[k] for k in (*captured, *sorted(kept))),
        outputs=tuple(node.outputs[k] for k in results),
        options={SUBPROGRAMS: (program,), TURNS: turns},
    )


def _same_bytes(body: Graph, results: Sequence[int], kept: Collection[int]) -> dict[int, int]:
    """Map states that are not results to results that are reshapes of them."""
    makers = {output.index: node for node in body.nodes for output in node.outputs}
    roots = {k: reshaped_from(body.outputs[k], makers) for k in {*results, *kept}}
    found: dict[int, int] = {}
    for result in results:
        for k in sorted(kept):
            alike = roots[k].index == roots[result].index and roots[k].data is None
            if alike and not {k, *found} & {*results} and result not in {*kept, *found.values()}:
                found[k] = result
    return found


def _with_states_last(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Move nodes that only the next iteration reads to the end; they may overwrite old values."""
    readers: dict[int, set[str]] = {}
    for node in nodes:
        for tensor in node.inputs:
            if tensor is not None:
                readers.setdefault(tensor.index, set()).add(node.operator)
    late = [n for n in nodes if all(readers.get(t.index) == {_ASSIGN} for t in n.outputs)]
    early = [n for n in nodes if n not in late and n.operator != _ASSIGN]
    return (*early, *late, *(n for n in nodes if n.operator == _ASSIGN))


def _branches(node: Node, results: Sequence[int], fold: Fold) -> Node:
    condition, *given = [t for t in node.inputs if t is not None]
    graphs = [_graph(node, name) for name in ("then", "else")]
    if condition.data is not None and condition.elements == 1:
        graphs = [graphs[0 if condition.data.reshape(-1)[0] else 1]]
    inputs: dict[int, Tensor] = {} if len(graphs) == 1 else {condition.index: condition}
    programs = []
    for branch in graphs:
        counts = {len(given) + 1, len(node.inputs), len(branch.inputs) + 1}
        if len(counts) != 1 or len(branch.outputs) != len(node.outputs):
            raise _RefusedError(
                f"{len(given)} values",
                "as many values as the subgraphs have inputs, and one condition",
            )
        _check_inputs(branch)
        known = {
            k: t.data
            for k, t in enumerate(given)
            if t.data is not None and _alike(t, branch.inputs[k])
        }
        branch = with_updates(fold(_with_constants(branch, known)))
        outputs = [branch.outputs[k] for k in results]
        for k, output in zip(results, outputs, strict=True):
            _check_alike(output, node.outputs[k])
        nodes, needed = _needed(branch, outputs)
        captured = [k for k, t in enumerate(branch.inputs) if t.index in needed and k not in known]
        for k in captured:
            inputs.setdefault(given[k].index, given[k])
        positions = {index: position for position, index in enumerate(inputs)}
        programs.append(
            Subprogram(
                replace(
                    branch,
                    nodes=tuple(nodes),
                    inputs=tuple(branch.inputs[k] for k in captured),
                    outputs=tuple(outputs),
                ),
                tuple(positions[given[k].index] for k in captured),
                given=tuple(range(len(results))),
            )
        )
    once = {TURNS: 1} if len(programs) == 1 else {}
    return replace(
        node,
        inputs=tuple(inputs.values()),
        outputs=tuple(node.outputs[k] for k in results),
        options={SUBPROGRAMS: tuple(programs), **once},
    )


def _graph(node: Node, name: str) -> Graph:
    graph = node.options.get(name)
    assert isinstance(graph, Graph)
    if uses_variables(graph):
        raise _RefusedError(
            "variables inside a loop or a branch", "variables that are read and assigned outside"
        )
    return graph


def _check_inputs(*graphs: Graph) -> None:
    for graph in graphs:
        if len({t.index for t in graph.inputs}) < len(graph.inputs):
            raise _RefusedError("a subgraph lists an input twice", "each input once")
        if any(t.data is not None for t in graph.inputs):
            raise _RefusedError("an input of a subgraph holds a constant", "inputs without a value")


def _with_constants(graph: Graph, known: Mapping[int, np.ndarray | None]) -> Graph:
    """Return the graph with constants for some of its inputs, by position."""
    tensors = list(graph.tensors)
    for position, value in known.items():
        index = graph.inputs[position].index
        tensors[index] = replace(tensors[index], data=value)
    return replace(graph, tensors=tuple(tensors))


def _needed(graph: Graph, tensors: Iterable[Tensor]) -> tuple[list[Node], set[int]]:
    """Return the nodes that `tensors` depend on, in order, and the indices of all their inputs."""
    needed = {tensor.index for tensor in tensors}
    nodes = []
    for node in reversed(graph.nodes):
        if any(output.index in needed for output in node.outputs):
            nodes.append(node)
            needed.update(t.index for t in node.inputs if t is not None)
    return nodes[::-1], needed


def _turns(test: Graph, body: Graph, given: Sequence[Tensor], oracle: Oracle) -> int:
    """Count the iterations of a loop, which must depend on constants alone."""
    nodes, read = _needed(test, test.outputs)
    places = {k for k, tensor in enumerate(test.inputs) if tensor.index in read}
    steps: list[Node] = []
    while True:
        steps, read = _needed(body, [body.outputs[k] for k in places])
        more = places | {k for k, tensor in enumerate(body.inputs) if tensor.index in read}
        if more == places:
            break
        places = more
    for node in (*nodes, *steps):
        if subprograms(node) or any(True for _ in node_problems(node, oracle)):
            raise _RefusedError(
                f"its number of iterations depends on {node.operator}, which cannot be evaluated "
                "at compile time"
            )
    values = {}
    for k in sorted(places):
        data = given[k].data
        if data is None or not _alike(given[k], body.inputs[k], test.inputs[k]):
            raise _RefusedError(OF_DATA)
        values[k] = data
    test = _part(test, nodes, [test.inputs[k] for k in sorted(places)], test.outputs)
    outputs = [body.outputs[k] for k in sorted(places)]
    body = _part(body, steps, [body.inputs[k] for k in sorted(places)], outputs)
    most = min(_MOST_TURNS, _MOST_ELEMENTS // max(1, sum(t.elements for t in body.tensors)))
    turns = 0
    while evaluate(test, list(values.values()), oracle)[test.outputs[0].index].reshape(-1).all():
        turns += 1
        if turns > most:
            raise _RefusedError(
                f"it has more than {most:,} iterations, or never ends", "fewer iterations"
            )
        found = evaluate(body, list(values.values()), oracle)
        values = {k: found[t.index] for k, t in zip(sorted(places), outputs, strict=True)}
    return turns


def _part(
    graph: Graph, nodes: Sequence[Node], inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> Graph:
    """Return some nodes of a graph as a graph that can be evaluated."""
    known = {tensor.index for tensor in inputs}
    tensors: dict[int, Tensor] = {}
    for node in nodes:
        for tensor in (*node.inputs, *node.outputs):
            if tensor is not None:
                tensors[tensor.index] = tensor
        read = [t.index for t in node.inputs if t is not None and t.data is None]
        if not known.issuperset(read):
            raise _RefusedError(f"{node.operator} reads a tensor that nothing has written")
        known.update(tensor.index for tensor in node.outputs)
    tensors.update((tensor.index, tensor) for tensor in outputs)
    if any(tensor.data is None and tensor.index not in known for tensor in outputs):
        raise _RefusedError("nothing writes a result of a subgraph")
    return Graph(tuple(tensors.values()), tuple(nodes), tuple(inputs), tuple(outputs), {})


def _alike(*tensors: Tensor) -> bool:
    return len({(tensor.shape, tensor.dtype) for tensor in tensors}) == 1


def _check_alike(*tensors: Tensor) -> None:
    if not _alike(*tensors):
        shapes = " and ".join(f"{t.dtype} {list(t.shape)}" for t in tensors)
        raise _RefusedError(
            f"a value is {shapes} in different iterations",
            "one dtype and shape for each value: build the layer with unroll=True",
        )


def with_unique_indices(graph: Graph) -> Graph:
    """Renumber tensors and nodes of subprograms, so that their indices follow the graph's own.

    Several results of one function get a block that holds them, see `tvmtiny.ops.shared.block`.
    """
    if not any(_is_in_block(node) for node in graph.nodes):
        return graph
    numberer = _Numberer(graph)
    nodes = tuple(numberer.node(node, {}) for node in graph.nodes)
    return replace(graph, nodes=nodes, tensors=tuple(numberer.tensors))


def _is_in_block(node: Node) -> bool:
    operator = find_operator(node.operator)
    return operator is not None and operator.in_block


class _Numberer:
    def __init__(self, graph: Graph) -> None:
        self.tensors = list(graph.tensors)
        self._next_node = max((node.index for node in graph.nodes), default=-1) + 1

    def node(self, node: Node, renamed: Mapping[int, Tensor]) -> Node:
        """Renumber a node and its subprograms; `renamed` maps old indices to the new tensors."""
        inputs = tuple(None if t is None else renamed.get(t.index, t) for t in node.inputs)
        outputs = tuple(renamed.get(t.index, t) for t in node.outputs)
        node = replace(node, inputs=inputs, outputs=outputs)
        programs = subprograms(node)
        if _is_in_block(node) and len(outputs) > 1:
            self.tensors.append(block(len(self.tensors), outputs))
            outputs = (self.tensors[-1], *outputs)
            node = replace(node, outputs=outputs, options={**node.options, BLOCK: True})
        if not programs:
            return node
        inner = tuple(replace(program, graph=self._graph(program.graph)) for program in programs)
        return replace(node, options={**node.options, SUBPROGRAMS: inner})

    def _graph(self, graph: Graph) -> Graph:
        renamed: dict[int, Tensor] = {}
        for tensor in _used(graph):
            if tensor.index not in renamed:
                renamed[tensor.index] = replace(tensor, index=len(self.tensors))
                self.tensors.append(renamed[tensor.index])
        nodes = []
        for node in graph.nodes:
            self._next_node += 1
            nodes.append(self.node(replace(node, index=self._next_node - 1), renamed))
        own = {tensor.index for tensor in renamed.values()}
        return replace(
            graph,
            tensors=tuple(t for t in self.tensors if t.index in own),
            nodes=tuple(nodes),
            inputs=tuple(renamed[t.index] for t in graph.inputs),
            outputs=tuple(renamed[t.index] for t in graph.outputs),
            states=tuple(
                replace(s, before=renamed[s.before.index], after=renamed[s.after.index])
                for s in graph.states
            ),
            shape_signatures={
                renamed[index].index: signature
                for index, signature in graph.shape_signatures.items()
                if index in renamed
            },
        )


def _used(graph: Graph) -> Iterator[Tensor]:
    for node in graph.nodes:
        for tensor in (*node.inputs, *node.outputs):
            if tensor is not None:
                yield tensor
    yield from (*graph.inputs, *graph.outputs)
    for state in graph.states:
        yield from (state.before, state.after)
