"""Operators of an int8 tensor and a constant number, which become tables."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from layer_cases import Layer, Operand

from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu

BOARD = "mps2-an385"

_SHAPE = (2, 8, 16)
_ACTIVATIONS = {"ADD": "RELU", "MUL": "NONE", "SUB": "NONE"}


def _layer(operator: str, shape: tuple[int, ...], swapped: bool = False) -> Layer:
    number = Operand(shape, "int8", 0.03, 7, value=np.full(shape, -91))
    operands = (Operand(_SHAPE, "int8", 0.05, -3), number)
    activation = _ACTIVATIONS.get(operator)
    options = None if activation is None else {"fused_activation_function": activation}
    y = Operand(_SHAPE, "int8", 0.07, 4)
    version = 1 if operator == "PRELU" else 2
    return Layer(operator, operands[::-1] if swapped else operands, y, options, version)


@cache
def layers() -> SideBySide:
    cases = {
        name: _layer(name, (1, 1))
        for name in ("ADD", "MUL", "SUB", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM", "PRELU")
    }
    cases["SUB/swapped"] = _layer("SUB", (), swapped=True)
    return SideBySide("scalar_operand", cases, 0.0, external=True)


def test_on_host(tmp_path: Path) -> None:
    layers().check_host(BOARD, tmp_path)


@on_qemu
def test_on_board() -> None:
    layers().check_board(BOARD)


def test_tables() -> None:
    """Only loops over tables are flat here, since the operands' shapes differ."""
    artifact = layers().compile(BOARD)
    assert all(layer.schedule == "scalar, 4 lanes" for layer in artifact.layers)
