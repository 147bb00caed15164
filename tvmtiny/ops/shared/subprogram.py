"""Subgraphs that a node runs: the body of a loop, the branches of a condition.

`tvmtiny.frontend.control` makes them of what a file says: with constants in place of values that no
turn changes, without what nothing needs, and with indices of tensors and nodes that no other graph
of the model has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.ops.shared.control_call import SUBPROGRAMS
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.node import DTYPE_BYTES, Node, Tensor
from tvmtiny.ops.shared.operator import Oracle

#: Of results in one block; wider ones come first.
_ALIGNMENT = 4


@dataclass(frozen=True, eq=False)
class Subprogram:
    """A subgraph and how its values belong to those of the node.

    Attributes
    ----------
    graph
        Its inputs are values of the graph around it, its states what one turn leaves to the next.
    captured
        For each of its inputs, the position among the node's inputs.
    initial
        For each of its states, the position among the node's inputs of the value at first.
    kept
        For each of its states, the position among the node's results of the value at last; None
        where that is no result.
    given
        For each of its outputs, the position among the node's results.
    """

    graph: Graph
    captured: tuple[int, ...]
    initial: tuple[int, ...] = ()
    kept: tuple[int | None, ...] = ()
    given: tuple[int, ...] = ()

    def run(self, turns: int, inputs: Sequence[np.ndarray], oracle: Oracle) -> list[np.ndarray]:
        """The results after so many turns, by the operators' numpy references.

        Parameters
        ----------
        inputs
            The values of all inputs of the node.
        """
        captured = [inputs[position] for position in self.captured]
        states = [inputs[position] for position in self.initial]
        values: dict[int, np.ndarray] = {}
        for _ in range(turns):
            values = evaluate(self.graph, captured, oracle, states)
            states = [values[state.after.index] for state in self.graph.states]
        results = dict(zip(self.kept, states, strict=True))
        for position, output in zip(self.given, self.graph.outputs, strict=True):
            results[position] = values[output.index]
        results.pop(None, None)
        return [results[position] for position in range(len(results))]


def subprograms(node: Node) -> tuple[Subprogram, ...]:
    """What a node runs; nothing for most."""
    found: tuple[Subprogram, ...] = node.options.get(SUBPROGRAMS, ())
    return found


def all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph, each in front of those that it runs."""
    for node in graph.nodes:
        yield node
        for subprogram in subprograms(node):
            yield from all_nodes(subprogram.graph)


def results(node: Node) -> tuple[Tensor, ...]:
    """What a node with subprograms gives.

    Where that are several tensors, they lie in one block, which is the node's first output.
    """
    return node.outputs[1:] if len(node.outputs) > 1 else node.outputs


def block_offsets(tensors: Sequence[Tensor]) -> tuple[tuple[int, ...], int]:
    """Where tensors lie in one block, and its size in bytes."""
    wide = [max(_ALIGNMENT, DTYPE_BYTES[tensor.dtype]) for tensor in tensors]
    order = sorted(range(len(tensors)), key=lambda position: -wide[position])
    offsets, end = [0] * len(tensors), 0
    for position in order:
        offsets[position] = end
        end += -(-tensors[position].nbytes // _ALIGNMENT) * _ALIGNMENT
    return tuple(offsets), -(-end // max(wide)) * max(wide)


def block(index: int, tensors: Sequence[Tensor]) -> Tensor:
    """The tensor that holds several others, called by the first one."""
    size = block_offsets(tensors)[1]
    word = "int64" if any(DTYPE_BYTES[tensor.dtype] == 8 for tensor in tensors) else "int32"
    return Tensor(index, f"{tensors[0].name}/block", (size // DTYPE_BYTES[word],), word)


def block_value(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    """What the block of a node holds: its results, and zeros between them."""
    tensors = results(node)
    offsets, size = block_offsets(tensors)
    content = np.zeros(size, np.uint8)
    for offset, value in zip(offsets, values, strict=True):
        content[offset : offset + value.nbytes] = np.frombuffer(value.tobytes(), np.uint8)
    return content.view(node.output.dtype)


def without_blocks(graph: Graph, values: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Values of tensors, with the results that lie in blocks in place of those.

    Parameters
    ----------
    values
        By tensor index.
    """
    found = dict(values)
    for node in graph.nodes:
        if not subprograms(node) or len(node.outputs) == 1 or node.output.index not in values:
            continue
        content, tensors = found.pop(node.output.index).tobytes(), results(node)
        for tensor, offset in zip(tensors, block_offsets(tensors)[0], strict=True):
            part = np.frombuffer(content, tensor.dtype, tensor.elements, offset)
            found[tensor.index] = part.reshape(tensor.shape)
    return found
