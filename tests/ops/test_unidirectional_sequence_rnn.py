"""UNIDIRECTIONAL_SEQUENCE_RNN against LiteRT, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

import tvmtiny
from tests.frames import assert_frames_are_litert
from tests.tflite_builder import ModelBuilder
from tvmtiny.ops import find_operator

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_RNN"
FAMILY = "state"
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Rnn:
    """One layer."""

    inputs: int = 3
    cells: int = 4
    steps: int = 3
    batch: int = 1
    time_major: bool = False
    activation: str = "TANH"

    def model(self) -> bytes:
        rng = np.random.default_rng(self.cells)
        b = ModelBuilder()

        def shape(size: int) -> tuple[int, int, int]:
            rows = (self.batch, self.steps)
            return (*(reversed(rows) if self.time_major else rows), size)

        x = b.input("x", shape(self.inputs), "float32")
        sizes = ((self.cells, self.inputs), (self.cells, self.cells), (self.cells,))
        constants = [
            b.constant(f"c{i}", rng.normal(0, 0.4, size).astype(np.float32))
            for i, size in enumerate(sizes)
        ]
        state = b.tensor("h", (self.batch, self.cells), "float32", variable=True)
        y = b.tensor("y", shape(self.cells), "float32")
        options = {"time_major": self.time_major, "fused_activation_function": self.activation}
        b.op(OPERATOR, [x, *constants, state], [y], options)
        return b.build([y])


CASES = {
    "plain": Rnn(),
    "batches": Rnn(batch=2, activation="RELU"),
    "time_major": Rnn(batch=2, time_major=True, activation="RELU6"),
    "linear": Rnn(steps=1, activation="NONE"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_are_litert(case: Rnn) -> None:
    assert_frames_are_litert(case.model(), FLOAT_TOLERANCE)


def test_what_is_not_supported_is_said() -> None:
    node = tvmtiny.load(Rnn().model()).graph.nodes[0]
    operator = find_operator(OPERATOR)
    assert operator is not None
    inputs = node.inputs
    odd = [
        (replace(node, inputs=inputs[:4]), "4 inputs"),
        (replace(node, outputs=node.outputs[:1]), "the state is not a variable"),
        (replace(node, options={"fused_activation_function": "SIGN_BIT"}), "SIGN_BIT"),
        (replace(node, inputs=(inputs[0], inputs[2], *inputs[2:])), "c1 is [4, 4]"),
        (replace(node, inputs=(inputs[0], inputs[0], *inputs[2:])), "computed at run time"),
    ]
    for changed, reason in odd:
        reasons = [p.reason for p in operator.check(changed)]
        assert any(reason in text for text in reasons), (reason, reasons)
