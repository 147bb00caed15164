"""Products of two matrices on the tile kernels: instructions, and the cases left to plain C."""

from __future__ import annotations

import tvmtiny
from tests.ops.test_batch_matmul import _layer
from tests.tools import on_qemu

BOARD = "mps2-an386"


def test_a_transposed_left_operand_is_left_to_plain_c() -> None:
    model = tvmtiny.load(_layer(adjoint=(True, False)).model(), name="product")
    (layer,) = tvmtiny.compile(model, BOARD).layers
    assert layer.schedule.startswith("scalar")


@on_qemu
def test_instructions() -> None:
    model = tvmtiny.load(_layer(64, 64, 64, ((), ())).model(), name="product")
    artifact = tvmtiny.compile(model, BOARD)
    (layer,) = artifact.layers
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert result.instructions < 1.05 * layer.macs
