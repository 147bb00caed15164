"""SVDF around the tile kernels, with states that are full from the start."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host

import tvmtiny
from tests.ops.test_svdf import Filter
from tests.tools import on_qemu
from tvmtiny.compiler import compile_layer, optimized_nodes

BOARD = "mps2-an386"

#: States with as many pairs as every part of the kernel needs, at words and between them.
CASES = {
    "memory_1": Filter(memory=1, units=5),
    "memory_8": Filter(memory=8, units=5, inputs=19, batch=2),
    "memory_12": Filter(memory=12, units=5, rank=1, time_range=32767, output_scale=0.5),
    "memory_15": Filter(memory=15, units=3, rank=3, state_scale=0.00005),
    "shift_to_the_left": Filter(memory=3, state_scale=0.0001, output_scale=1e-7),
}


@cache
def layer(name: str) -> tuple[tvmtiny.Artifact, list[np.ndarray], np.ndarray]:
    """The layer alone, a random input and state, and its results."""
    model = tvmtiny.load(CASES[name].model(), name=name)
    (node,) = optimized_nodes(model)
    artifact = compile_layer(model, node, BOARD)
    assert artifact is not None and artifact.layers[0].schedule.startswith("dsp")
    inputs = tvmtiny.make_inputs("random:5", artifact.inputs)
    operator = tvmtiny.ops.find_operator(node.operator)
    assert operator is not None
    constants = [None if t is None else t.data for t in node.inputs]
    values = [inputs[0], *constants[1:4], inputs[1]]
    given = [value for value in values if value is not None]
    return artifact, inputs, operator.reference(node, given, model.oracle)[0]


def test_on_the_host(tmp_path: Path) -> None:
    runs = {}
    for name in CASES:
        artifact, inputs, _ = layer(name)
        runs[name] = HostRun(artifact, [inputs])
    for name, (result,) in run_each_on_host(runs, tmp_path).items():
        _, _, expected = layer(name)
        np.testing.assert_array_equal(result.outputs[0].data, expected, name)


@on_qemu
@pytest.mark.parametrize("name", CASES)
def test_on_a_board(name: str) -> None:
    artifact, inputs, expected = layer(name)
    result = tvmtiny.run(artifact, *inputs)
    np.testing.assert_array_equal(result.outputs[0].data, expected)


@on_qemu
def test_instructions_of_a_layer() -> None:
    model = tvmtiny.load(Filter(inputs=64, units=256, rank=1, memory=8).model(), name="svdf")
    artifact = tvmtiny.compile(model, BOARD)
    (done,) = artifact.layers
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert result.instructions < 1.5 * done.macs
