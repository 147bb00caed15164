"""Models with state: several frames in sequence, against LiteRT."""

from __future__ import annotations

import numpy as np

import tvmtiny
from tvmtiny.frontend.variables import with_assigned
from tvmtiny.oracle import run_litert_frames


def assert_frames_are_litert(content: bytes, tolerance: float = 0.0, count: int = 6) -> None:
    """Assert that the numpy references give LiteRT's outputs and states for random frames.

    Parameters
    ----------
    tolerance
        Allowed error of float32 results, relative to the largest of the tensor.
    """
    model = tvmtiny.load(content, name="frames")
    frames = [tvmtiny.make_inputs(f"random:{seed}", model.graph.inputs) for seed in range(count)]
    states = None
    for inputs, expected in zip(frames, run_litert_frames(content, frames), strict=True):
        values = model.reference(inputs, states)
        states = [values[state.after.index] for state in model.graph.states]
        wanted = with_assigned(model.graph, expected)
        for node in model.graph.nodes:
            for tensor in (t for t in node.outputs if t.index in wanted):
                got, right = values[tensor.index], wanted[tensor.index]
                assert (got.dtype, got.shape) == (right.dtype, right.shape)
                if tensor.dtype == "float32":
                    allowed = tolerance * np.abs(right).max(initial=0.0)
                    np.testing.assert_allclose(got, right, 0.0, allowed)
                else:
                    np.testing.assert_array_equal(got, right)
