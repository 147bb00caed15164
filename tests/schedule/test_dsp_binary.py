"""Operators with two int8 operands around the micro-kernels of the DSP extension."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand, random_constant

import tvmtiny
from tests.ops.three_ways import SideBySide
from tests.schedule.test_dsp_add import PAIRS
from tests.tools import on_qemu
from tvmtiny.schedule.broadcast import plan_rows

BOARD = "mps2-an386"

_IMAGE = (2, 3, 5, 8)
#: Shapes of the second operand; 5 and 15 elements are no whole number of words.
_SHAPES = {
    "same": _IMAGE,
    "scalar": (1,),
    "channels": (8,),
    "rows": (5, 8),
    "pixels": (2, 3, 5, 1),
    "images": (2, 1, 1, 8),
    "columns": (1, 3, 1, 8),
    "odd": (1, 3, 5, 8),
}
_OPERATORS = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")


def _layer(
    operator: str,
    shape: tuple[int, ...],
    image: tuple[int, ...] = _IMAGE,
    quantized: str = "linear",
    swapped: bool = False,
    constant: bool = False,
) -> Layer:
    first, second, out, activation = PAIRS[quantized]
    if operator == "MUL":
        out = (first[0] * second[0] * 90, out[1])
    arithmetic = operator in ("ADD", "SUB", "MUL")
    scale, zero = second if arithmetic else first
    if constant:
        other = random_constant(shape, "int8", scale=scale, zero_point=zero)
    else:
        other = Operand(shape, "int8", scale, zero)
    operands = [Operand(image, "int8", *first), other]
    options = {"fused_activation_function": activation} if arithmetic else None
    y = Operand(image, "int8", *(out if arithmetic else first))
    return Layer(operator, tuple(operands[:: -1 if swapped else 1]), y, options)


@cache
def layers() -> SideBySide:
    cases = {f"{o}_{name}": _layer(o, s) for o in _OPERATORS for name, s in _SHAPES.items()}
    for operator in _OPERATORS:
        cases[f"{operator}_swapped"] = _layer(operator, (8,), swapped=True)
        cases[f"{operator}_odd"] = _layer(operator, (7,), (3, 7))
        cases[f"{operator}_tiled"] = _layer(operator, (3,), (4, 4, 3), constant=True)
    for name in PAIRS:
        cases[f"MUL_{name}"] = _layer("MUL", (6, 11), (6, 11), name)
    return SideBySide("binary", cases, 0.0, external=True)


def test_on_host(tmp_path: Path) -> None:
    layers().check_host(BOARD, tmp_path)


def test_plain_c_on_host(tmp_path: Path) -> None:
    """Kernels of other cores: MUL has the same constants there."""
    layers().check_host("mps2-an385", tmp_path)


@on_qemu
def test_on_board() -> None:
    layers().check_board(BOARD)


def test_all_have_kernels() -> None:
    artifact = layers().compile(BOARD)
    schedules = {layer.name: layer.schedule for layer in artifact.layers}
    assert all(schedule.startswith("dsp") for schedule in schedules.values()), schedules


@on_qemu
def test_products_take_ten_instructions() -> None:
    for shape in ((4096,), (1,)):
        layer = _layer("MUL", shape, (4096,))
        artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="product"), BOARD)
        inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
        assert tvmtiny.run(artifact, *inputs).instructions < 10 * 4096


@pytest.mark.parametrize("shape", _SHAPES.values(), ids=_SHAPES)
def test_rows_cover_the_broadcast(shape: tuple[int, ...]) -> None:
    """The walk over rows visits the elements in the order of numpy's rules."""
    plan = plan_rows(_IMAGE, shape)
    places = np.zeros(1, int)
    for extent, step in plan.outer:
        places = np.add.outer(places, np.arange(extent) * step)
    row = np.arange(plan.rows)[:, None] if plan.values else np.zeros((plan.rows, 1), int)
    inside = row + (0 if plan.values else np.arange(plan.count))
    walked = np.add.outer(places, np.broadcast_to(inside, (plan.rows, plan.count)))
    small = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(walked.ravel(), np.broadcast_to(small, _IMAGE).ravel())
