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
        Of the resource variable or the variable tensor.
    before
        What a run begins with; nothing in the graph writes it.
    after
        What the next run begins with; of the shape and dtype of `before`.
    initial
        What the first run begins with.
    """

    name: str
    before: Tensor
    after: Tensor
    initial: np.ndarray


@dataclass(frozen=True, eq=False)
class Graph:
    """The first subgraph of a TFLite model.

    Attributes
    ----------
    tensors
        By TFLite's tensor index; those that stand for states come behind TFLite's own.
    nodes
        In execution order.
    states
        What the model remembers.
    problems
        Why states could not be made of the model's variables.
    input_labels, output_labels
        What the model's signature calls inputs and outputs, in their order; empty for one that it
        does not name, and no entries at all without a signature.
    moved
        The tensors that are uint8 in the file and int8 here, with values that are 128 less: the
        file's index by that of the tensor, see `tvmtiny.frontend.legacy`.
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
