"""How fast elements move, and copies of words of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers

import tvmtiny
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu


def _concatenation(axis: int, *shapes: tuple[int, ...]) -> Layer:
    total = list(shapes[0])
    total[axis] = sum(shape[axis] for shape in shapes)
    return Layer(
        "CONCATENATION",
        tuple(Operand(shape) for shape in shapes),
        Operand(tuple(total)),
        {"axis": axis, "fused_activation_function": "NONE"},
    )


def _pad(shape: tuple[int, ...], *pairs: tuple[int, int], zero_point: int = -7) -> Layer:
    padded = tuple(d + a + b for d, (a, b) in zip(shape, pairs, strict=True))
    x, y = Operand(shape, zero_point=zero_point), Operand(padded, zero_point=zero_point)
    return Layer("PAD", (x, numbers(pairs)), y, {})


_CASES = {
    "channels": _concatenation(3, (1, 3, 4, 16), (1, 3, 4, 8)),
    "odd_channels": _concatenation(3, (1, 3, 4, 9), (1, 3, 4, 31), (1, 3, 4, 13)),
    "rows": _concatenation(1, (2, 3, 5, 3), (2, 1, 5, 3)),
    "batch": _concatenation(0, (2, 33), (3, 33)),
    "last_of_two": _concatenation(-1, (2, 17), (2, 10)),
    "short": _concatenation(3, (1, 3, 4, 2), (1, 3, 4, 3)),
    "around": _pad((1, 5, 6, 3), (0, 0), (1, 2), (2, 1), (0, 0)),
    "rows_only": _pad((1, 5, 6, 3), (0, 0), (1, 0), (0, 0), (0, 0), zero_point=100),
    "channels_too": _pad((1, 3, 4, 9), (0, 0), (0, 1), (1, 0), (2, 3)),
    "every_dimension": _pad((2, 3, 2, 11), (1, 0), (0, 1), (1, 1), (1, 2)),
    "nothing": _pad((2, 9), (0, 0), (0, 0)),
    "rank_1": _pad((19,), (3, 2)),
    "short_rows": _pad((3, 5), (1, 1), (1, 1)),
}
_ALL = SideBySide("copies", _CASES, 0.0)


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
def test_on_host(cpu: str, tmp_path: Path) -> None:
    _ALL.check_host(cpu, tmp_path)


@on_qemu
def test_on_board() -> None:
    _ALL.check_board("mps2-an386")


@on_qemu
@pytest.mark.parametrize(
    ("layer", "limit"),
    [
        (_concatenation(3, (1, 16, 16, 16), (1, 16, 16, 16)), 1.1),
        (_pad((1, 16, 16, 16), (0, 0), (1, 1), (1, 1), (0, 0)), 1.1),
    ],
    ids=["concatenation", "pad"],
)
def test_copies_are_fast(layer: Layer, limit: float) -> None:
    """Instructions per output element."""
    artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="copy"), "mps2-an386")
    inputs = [np.zeros(t.shape, t.dtype) for t in artifact.inputs]
    result = tvmtiny.run(artifact, *inputs)
    assert result.instructions <= limit * result.outputs[0].data.size
