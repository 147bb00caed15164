"""Element-wise results that overwrite an input whose lifetime ends there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.oracle import run_litert

_SHAPE = (1, 5, 7)
_BYTES = 4 * 5 * 7


def _chain(other: tuple[int, ...] | None = None) -> bytes:
    """``sqrt(abs(x)) - w`` in float32, with `w` of the shape `other` if given."""
    b = ModelBuilder()
    x = b.input("x", _SHAPE, "float32")
    size, root = b.tensor("size", _SHAPE, "float32"), b.tensor("root", _SHAPE, "float32")
    b.op("ABS", [x], [size])
    b.op("SQRT", [size], [root])
    if other is None:
        return b.build([root])
    w, y = b.input("w", other, "float32"), b.tensor("y", _SHAPE, "float32")
    b.op("SUB", [root, w], [y])
    return b.build([y])


#: Shapes of the last operand, and the bytes of all inputs.
_OPERANDS = ((None, _BYTES), (_SHAPE, 2 * _BYTES), ((7,), _BYTES + 28))


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
def test_chain(cpu: str, tmp_path: Path) -> None:
    """Only the inputs need memory, whether or not the last operand broadcasts."""
    runs = {}
    for number, (other, inputs) in enumerate(_OPERANDS):
        artifact = tvmtiny.compile(tvmtiny.load(_chain(other), name=f"chain{number}"), cpu)
        assert artifact.arena_bytes == inputs
        rng = np.random.default_rng(1)
        values = [rng.normal(size=t.shape).astype(np.float32) for t in artifact.inputs]
        runs[other] = HostRun(artifact, [values])
    for other, (result,) in run_each_on_host(runs, tmp_path).items():
        (values,), graph = runs[other].input_sets, runs[other].artifact.graph
        expected = run_litert(_chain(other), values)[graph.outputs[0].index]
        np.testing.assert_array_equal(result.outputs[0].data, expected, str(other))


def test_an_input_that_is_read_again_is_kept() -> None:
    b = ModelBuilder()
    x = b.input("x", _SHAPE, "float32")
    size, y = b.tensor("size", _SHAPE, "float32"), b.tensor("y", _SHAPE, "float32")
    b.op("ABS", [x], [size])
    b.op("SUB", [x, size], [y])
    artifact = tvmtiny.compile(tvmtiny.load(b.build([y]), name="kept"), "cortex-m4")
    assert artifact.arena_bytes == 2 * _BYTES
