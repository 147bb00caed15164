"""`Graph`: a TFLite subgraph as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tvmtiny.errors import OperatorProblem
from tvmtiny.ops.shared.node import Node, Tensor


@dataclass(frozen=True, eq=False)
class State:
    """A tensor that keeps its value from one run to the next.

    Attributes
    ----------
    name
        Name of the resource variable or of the variable tensor.
    before
        The tensor with the value at the start of a run; no node writes it.
    after
        The tensor with the value for the next run; it has the shape and dtype of `before`.
    initial
        The value at the start of the first run.
    """

    name: str
    before: Tensor
    after: Tensor
    initial: np.ndarray


@dataclass(frozen=True, eq=False)
class Graph:
    """A subgraph of a TFLite model.

    Attributes
    ----------
    tensors
        Tensors by TFLite's index; tensors that stand for states follow TFLite's own.
    nodes
        The nodes in the order of execution.
    states
        Values that the model keeps from one run to the next.
    problems
        Reasons why the model's variables could not become states.
    input_labels, output_labels
        Names in the model's signature, in the order of the inputs and outputs; empty for a tensor
        without a name, and no entries at all without a signature.
    moved
        Index in the file by tensor index, for tensors that are uint8 in the file and int8 here,
        with values that are 128 less; see `tvmtiny.frontend.legacy`.
    """

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    shape_signatures: Mapping[int, tuple[int, ...]]
    states: tuple[State, ...] = ()
    problems: tuple[OperatorProblem, ...] = ()
    input_labels: tuple[str, ...] = ()
    output_labels: tuple[str, ...] = ()
    moved: Mapping[int, int] = field(default_factory=dict)
