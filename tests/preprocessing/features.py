"""Models that pass on the features of a front end, and their numpy outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tflite_builder import ModelBuilder

import tvmtiny


def passing(
    front_end: tvmtiny.FrontEnd,
    rows: int,
    *,
    scale: float,
    zero_point: int,
    attach: bool = True,
    name: str = "passing",
) -> tvmtiny.Model:
    """A model whose output is its input, which `front_end` computes for `rows` rows."""
    width = front_end.features
    b = ModelBuilder()
    x = b.input("x", (1, rows, width), "int8", scale=scale, zero_point=zero_point)
    shape = b.constant("shape", np.array([1, rows * width], np.int32))
    y = b.tensor("y", (1, rows * width), "int8", scale=scale, zero_point=zero_point)
    b.op("RESHAPE", [x, shape], [y], {"new_shape": [1, rows * width]})
    model = tvmtiny.load(b.build([y]), name=name)
    if not attach:
        return model
    detection = tvmtiny.Detection(classes=(0,))
    return tvmtiny.with_front_end(model, front_end, stride=rows, detection=detection)


def in_turn(model: tvmtiny.Model, sets: Sequence[Sequence[np.ndarray]]) -> Iterator[np.ndarray]:
    """The numpy reference's outputs of successive runs."""
    states = [state.initial for state in model.graph.states]
    for inputs in sets:
        values = model.reference(list(inputs), states)
        states = [values[state.after.index] for state in model.graph.states]
        yield values[model.graph.outputs[0].index]
