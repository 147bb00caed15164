"""Tuning tasks: the distinct layers of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tvmtiny.checking import FLOAT_TOLERANCE
from tvmtiny.inputs import make_inputs
from tvmtiny.ops import find_operator
from tvmtiny.schedule import Goal, Space, space

if TYPE_CHECKING:
    from tvmtiny.ops import Node, Oracle
    from tvmtiny.targets import Cpu

__all__ = ["Task", "layer_inputs", "make_tasks", "reference_outputs", "same_outputs"]


@dataclass(frozen=True, eq=False)
class Task:
    """A layer to tune.

    Attributes
    ----------
    position
        Position of this task among the tasks of the model.
    node
        The first layer with this workload.
    space
        Design space of the layer.
    layers
        Positions of all layers of the model that have this workload.
    """

    position: int
    node: Node
    space: Space
    layers: tuple[int, ...]

    @property
    def weight(self) -> int:
        """Number of times that an inference runs the layer."""
        return len(self.layers)

    @property
    def label(self) -> str:
        """Label for people: position, operator, and number of layers with this workload."""
        more = f" (x{self.weight})" if self.weight > 1 else ""
        return f"{self.node.index} {self.node.operator}{more}"


def make_tasks(nodes: Sequence[Node], cpu: Cpu, oracle: Oracle, goal: Goal) -> tuple[Task, ...]:
    """Create a task for each workload that has more than one candidate.

    Parameters
    ----------
    nodes
        Nodes of the model; see `tvmtiny.compiler.optimized_nodes`.
    """
    groups: dict[str, list[tuple[Node, Space]]] = {}
    for node in nodes:
        found = space(node, cpu, oracle, goal)
        if len(found) > 1 and found.default is not None:
            groups.setdefault(found.workload.key, []).append((node, found))
    return tuple(
        Task(position, *layers[0], tuple(node.index for node, _ in layers))
        for position, layers in enumerate(groups.values())
    )


def layer_inputs(node: Node) -> list[np.ndarray]:
    """Make random activations for the inputs of `node`, the same in every run."""
    return make_inputs("random:1", [t for t in node.inputs if t is not None and t.data is None])


def reference_outputs(node: Node, inputs: Sequence[np.ndarray], oracle: Oracle) -> list[np.ndarray]:
    """Compute the outputs of the operator's numpy reference for `inputs`."""
    operator = find_operator(node.operator)
    assert operator is not None
    given = iter(inputs)
    values = [
        next(given) if tensor.data is None else tensor.data
        for tensor in node.inputs
        if tensor is not None
    ]
    return operator.reference(node, values, oracle)


def same_outputs(outputs: Sequence[bytes], expected: Sequence[np.ndarray]) -> str | None:
    """Compare a candidate's outputs with the reference.

    Returns
    -------
    str or None
        Description of the difference, or None if the outputs match. Floats may differ by the
        rounding of sums in another order; see `tvmtiny.checking`.
    """
    for position, (data, wanted) in enumerate(zip(outputs, expected, strict=True)):
        got = np.frombuffer(data, wanted.dtype.newbyteorder("<")).reshape(wanted.shape)
        if wanted.dtype.kind == "f":
            largest = float(np.abs(wanted).max(initial=0.0)) or 1.0
            wrong = ~(np.abs(got - wanted) <= FLOAT_TOLERANCE * largest)
        else:
            wrong = got != wanted
        if wrong.any():
            first = int(wrong.ravel().argmax())
            return (
                f"{int(wrong.sum())} of {wrong.size} elements of output {position} differ, first "
                f"element {first}: {got.ravel()[first]} instead of {wanted.ravel()[first]}"
            )
    return None
