"""Evaluation of graphs with the operators' numpy references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.operator import Oracle, find_operator


def evaluate(
    graph: Graph,
    inputs: Sequence[np.ndarray],
    oracle: Oracle,
    states: Sequence[np.ndarray] | None = None,
) -> dict[int, np.ndarray]:
    """Compute every tensor of a verified graph.

    Parameters
    ----------
    graph
        The graph.
    inputs
        One array for each input, of the input's shape and dtype.
    oracle
        The reference whose rounding is reproduced.
    states
        One array for each state; by default the initial values.

    Returns
    -------
    dict[int, np.ndarray]
        Values by TFLite's tensor index, including constants.
    """
    values = {t.index: t.data for t in graph.tensors if t.data is not None}
    values.update(zip((t.index for t in graph.inputs), inputs, strict=True))
    given = [state.initial for state in graph.states] if states is None else states
    values.update(zip((state.before.index for state in graph.states), given, strict=True))
    for node in graph.nodes:
        operator = find_operator(node.operator)
        assert operator is not None
        present = [values[t.index] for t in node.inputs if t is not None]
        results = operator.reference(node, present, oracle)
        values.update(zip((t.index for t in node.outputs), results, strict=True))
    return values
