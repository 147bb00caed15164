"""CIRCULAR_BUFFER frame by frame, against the package tflite-micro, the only other source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import flexbuffers
from host_runner import run_on_host

import tvmtiny
from tests.tflite_builder import ModelBuilder
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import find_operator

OPERATOR = "CUSTOM:CIRCULAR_BUFFER"


def _model(cycles: int = 1, slots: int = 3) -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 1, 2, 5), scale=0.1, zero_point=-4)
    y = b.tensor("y", (1, slots, 2, 5), scale=0.1, zero_point=-4, variable=True)
    content = bytes(flexbuffers.Dumps({"cycles_max": cycles}))
    b.op(OPERATOR, [x], [y], custom_options=content)
    return b.build([y])


def _frames() -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.integers(-128, 128, (1, 1, 2, 5)).astype(np.int8)] for _ in range(5)]


def test_in_c(tmp_path: Path) -> None:
    model = tvmtiny.load(_model(), name="frames")
    artifact = tvmtiny.compile(model, "cortex-m4")
    last = np.full((1, 3, 2, 5), -4, np.int8)
    results = run_on_host(artifact, _frames(), tmp_path, successive=True)
    for (frame,), result in zip(_frames(), results, strict=True):
        last = np.concatenate([last[:, 1:], frame], axis=1)
        np.testing.assert_array_equal(result.outputs[0].data, last)


def test_is_that_of_the_package() -> None:
    package = pytest.importorskip("tflite_micro", reason="needs the package tflite-micro")
    content = _model()
    interpreter = package.runtime.Interpreter.from_bytes(content, arena_size=1 << 16)
    model, states = tvmtiny.load(content), None
    for (frame,) in _frames():
        interpreter.set_input(frame, 0)
        interpreter.invoke()
        values = model.reference([frame], states)
        states = [values[state.after.index] for state in model.graph.states]
        found = interpreter.get_output(0)
        np.testing.assert_array_equal(found, values[model.graph.outputs[0].index])


def test_what_is_not_supported_is_said() -> None:
    operator = find_operator(OPERATOR)
    assert operator is not None
    node = read_graph(_model(), "m").nodes[0]
    assert not list(operator.check(node))
    odd = [
        (
            read_graph(_model(2), "m").nodes[0],
            "cycles_max is 2, with which TFLM runs later operators",
        ),
        (replace(node, inputs=(node.outputs[0], *node.inputs[1:])), "frames of [1, 3, 2, 5]"),
    ]
    for changed, reason in odd:
        reasons = [p.reason for p in operator.check(changed)]
        assert any(reason in text for text in reasons), (reason, reasons)
