"""Compare an operator's numpy reference with LiteRT, for whole models built in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.ops import Oracle, Tensor, find_operator
from tvmtiny.oracle import run_litert, run_litert_frames

#: Allowed error of float32 sums, relative to the result and to the tensor's largest result.
FLOAT_TOLERANCE = 2e-5


def random_input(tensor: Tensor, rng: np.random.Generator) -> np.ndarray:
    """A value for `tensor` that covers the whole int8 range, or -4 to 4 for float32."""
    if tensor.dtype == "int8":
        return rng.integers(-128, 128, tensor.shape).astype(np.int8)
    return rng.uniform(-4, 4, tensor.shape).astype(np.float32)


def extreme_inputs(tensor: Tensor, rng: np.random.Generator) -> list[np.ndarray]:
    """Values at the ends of the range: each end as a constant, and a random mix of both."""
    ends = (-128, 127) if tensor.dtype == "int8" else (-100.0, 100.0)
    dtype = np.dtype(tensor.dtype)
    constants = [np.full(tensor.shape, end, dtype) for end in ends]
    return [*constants, rng.choice(np.array(ends, dtype), tensor.shape)]


def first_runs(
    graph: Graph, content: bytes, input_sets: Sequence[Sequence[np.ndarray]]
) -> Sequence[Mapping[int, np.ndarray]]:
    """Every tensor by LiteRT for each input set, computed from the model's initial state.

    LiteRT prepares the model once if runs leave no state.
    """
    if graph.states:
        return [run_litert(content, inputs) for inputs in input_sets]
    return run_litert_frames(content, input_sets)


def accepted(graph: Graph) -> list[str]:
    """The objections of the operators of `graph`; empty if all are accepted."""
    reasons = []
    for node in graph.nodes:
        operator = find_operator(node.operator)
        assert operator is not None, node.operator
        reasons += [problem.reason for problem in operator.check(node)]
    return reasons


def assert_reference_is_litert(model: bytes, seed: int = 0) -> None:
    """Assert that the numpy reference of each node gives LiteRT's result, on several inputs.

    int8 results must be equal, float32 ones within `FLOAT_TOLERANCE`.
    """
    graph = read_graph(model, "test")
    assert accepted(graph) == []
    rng = np.random.default_rng(seed)
    sets = [[random_input(t, rng) for t in graph.inputs] for _ in range(3)]
    sets += [list(s) for s in zip(*(extreme_inputs(t, rng) for t in graph.inputs), strict=True)]
    for expected in run_litert_frames(model, sets):
        for node in graph.nodes:
            operator = find_operator(node.operator)
            assert operator is not None
            values = [expected[t.index] for t in node.inputs if t is not None]
            got = operator.reference(node, values, Oracle.LITERT)
            for tensor, value in zip(node.outputs, got, strict=True):
                assert value.dtype == tensor.dtype
                assert value.shape == tensor.shape == expected[tensor.index].shape
                if tensor.dtype == "float32":
                    largest = np.abs(expected[tensor.index]).max(initial=0.0)
                    np.testing.assert_allclose(
                        value, expected[tensor.index], FLOAT_TOLERANCE, FLOAT_TOLERANCE * largest
                    )
                else:
                    np.testing.assert_array_equal(value, expected[tensor.index])
