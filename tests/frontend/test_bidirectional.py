"""BIDIRECTIONAL_SEQUENCE_LSTM against LiteRT, as the two layers that replace it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tests.frames import assert_frames_are_litert
from tests.host_runner import run_on_host
from tests.tflite_builder import ModelBuilder
from tests.tools import on_qemu
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.oracle import run_litert_frames

_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Bidirectional:
    """One layer; a `second` input serves both directions or only the backward one."""

    inputs: int = 3
    cells: tuple[int, int] = (3, 3)
    steps: int = 4
    batch: int = 1
    time_major: bool = False
    merged: bool = True
    coupled: bool = False
    peepholes: bool = False
    projected: int = 0
    second: int = 0
    crossed: bool = False
    dtype: str = "float32"

    def model(self) -> bytes:
        rng = np.random.default_rng(self.steps)
        b = ModelBuilder()

        def shape(size: int) -> tuple[int, int, int]:
            rows = (self.batch, self.steps)
            return (*(reversed(rows) if self.time_major else rows), size)

        def constant(*size: int) -> int:
            values = rng.normal(0, 0.5, size).astype(np.float32)
            return b.constant(f"c{len(b._tensors)}", values)

        first = 1 if self.coupled else 0
        operands: list[int | None] = [b.input("x", shape(self.inputs), self.dtype)]
        sizes = [self.projected or cells for cells in self.cells]
        for cells, outputs, inputs in zip(
            self.cells, sizes, (self.inputs, self._backward), strict=True
        ):
            for depth in (inputs, outputs):
                operands += [None] * first + [constant(cells, depth) for _ in range(first, 4)]
            seeing = [i >= first and self.peepholes for i in range(3)]
            operands += [constant(cells) if sees else None for sees in seeing]
            operands += [None] * first + [constant(cells) for _ in range(first, 4)]
            operands += [constant(outputs, cells) if self.projected else None, None]
        for cells, outputs in zip(self.cells, sizes, strict=True):
            for size in (outputs, cells):
                name = f"state{len(b._tensors)}"
                operands.append(b.tensor(name, (self.batch, size), "float32", variable=True))
        operands.append(b.input("second", shape(self.second), "float32") if self.second else None)
        for cells in self.cells:
            for gate in range(4):
                given = self.crossed and gate >= first
                operands.append(constant(cells, self.second) if given else None)
        depths = [sum(sizes)] if self.merged else sizes
        results = [b.tensor(f"y{i}", shape(size), self.dtype) for i, size in enumerate(depths)]
        options = {"fused_activation_function": "TANH", "time_major": self.time_major}
        options |= {"cell_clip": 0.7, "proj_clip": 0.3, "merge_outputs": self.merged}
        b.op("BIDIRECTIONAL_SEQUENCE_LSTM", operands, results, options)
        return b.build(results)

    @property
    def _backward(self) -> int:
        return self.second if self.second and not self.crossed else self.inputs


CASES = {
    "merged": Bidirectional(),
    "apart": Bidirectional(merged=False, batch=2, time_major=True),
    # Where outputs are merged, LiteRT writes states of a second batch past their tensor.
    "batches": Bidirectional(batch=2, coupled=True, merged=False),
    "everything": Bidirectional(peepholes=True, projected=2, merged=False),
    "crossed": Bidirectional(second=2, crossed=True),
    "stacked": Bidirectional(second=3, merged=False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_are_litert(case: Bidirectional) -> None:
    assert_frames_are_litert(case.model(), _TOLERANCE)


def test_in_c(tmp_path: Path) -> None:
    content = CASES["crossed"].model()
    model = tvmtiny.load(content, name="both_ways")
    artifact = tvmtiny.compile(model, "cortex-m4")
    frames = [tvmtiny.make_inputs(f"random:{seed}", artifact.inputs) for seed in range(4)]
    results = run_on_host(artifact, frames, tmp_path, successive=True)
    (output,) = model.graph.outputs
    for result, expected in zip(results, run_litert_frames(content, frames), strict=True):
        right = expected[output.index]
        np.testing.assert_allclose(result.outputs[0].data, right, 0, _TOLERANCE)


@on_qemu
def test_parts_that_nobody_else_knows_are_not_compared() -> None:
    model = tvmtiny.load(Bidirectional().model(), name="parts")
    artifact = tvmtiny.compile(model, "mps2-an386")
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    checked = tvmtiny.check(model, artifact, result, inputs)
    assert checked.exact and checked.layers_compared == 1 < len(artifact.layers)


def test_other_layers_are_refused() -> None:
    content = Bidirectional(dtype="int8").model()
    with pytest.raises(UnsupportedModelError, match="BIDIRECTIONAL_SEQUENCE_LSTM"):
        tvmtiny.load(content)
