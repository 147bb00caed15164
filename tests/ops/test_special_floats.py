"""Infinities and NaN in float operators that promise the oracle's bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers

from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu

_X = Operand((2, 6, 6), "float32")
_SPECIAL = np.array([np.inf, -np.inf, np.nan, -0.0, 0.0, 3e38, -3e38, 1.0], np.float32)
_ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def _binary(operator: str, activation: str | None = None) -> Layer:
    options = None if activation is None else {"fused_activation_function": activation}
    return Layer(operator, (_X, _X), _X, options, 1)


def _constants(dtype: str = "float32") -> Layer:
    value = np.resize(_SPECIAL, (2, 6, 6))
    return Layer("MAXIMUM", (_X, Operand((2, 6, 6), dtype, value=value)), _X, None, 1)


def _filled(value: float) -> Layer:
    x = Operand((1, 2, 2), "float32")
    constants = numbers([[0, 0], [1, 0], [0, 0]]), Operand((), "float32", value=np.array(value))
    return Layer("PADV2", (x, *constants), Operand((1, 3, 2), "float32"), {}, 1)


def _convolution(activation: str) -> Layer:
    """Multiply by 1, since a single product has only one order of sums."""
    options: dict[str, Any] = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    options["fused_activation_function"] = activation
    x = Operand((1, 6, 6, 1), "float32")
    weights = Operand((1, 1, 1, 1), "float32", value=np.ones(1))
    return Layer("CONV_2D", (x, weights, Operand((1,), "float32", value=np.zeros(1))), x, options)


_LAYERS = {
    **{f"{o}/{a}": _binary(o, a) for o in ("ADD", "SUB", "MUL", "DIV") for a in _ACTIVATIONS},
    **{f"CONV_2D/{a}": _convolution(a) for a in _ACTIVATIONS},
    **{o: _binary(o) for o in ("MAXIMUM", "MINIMUM")},
    **{o: Layer(o, (_X,), _X, None, 1) for o in ("ABS", "NEG", "RELU6", "RELU_N1_TO_1")},
    "constants": _constants(),
    **{f"PADV2/{value}": _filled(value) for value in (np.inf, -np.inf, np.nan)},
}


class _Special(SideBySide):
    @property
    def input_sets(self) -> list[list[np.ndarray]]:  # type: ignore[override]
        """Every pair of special values, and random ones of them."""
        pairs = np.stack(np.meshgrid(_SPECIAL, _SPECIAL)).reshape(2, 64)
        rng = np.random.default_rng(3)
        shapes = [tuple(t.shape) for t in self.load().graph.inputs]
        systematic = [np.resize(pairs[i % 2], shape) for i, shape in enumerate(shapes)]
        return [systematic, [rng.choice(_SPECIAL, shape) for shape in shapes]]


_ALL = _Special("special_floats", _LAYERS, 0.0, external=True)


def test_numpy_reference() -> None:
    _ALL.check_reference()


def test_c_on_host(tmp_path: Path) -> None:
    _ALL.check_host("mps2-an386", tmp_path)


@on_qemu
@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an385"])
def test_c_on_a_board(board: str) -> None:
    """With a floating-point unit and without one."""
    _ALL.check_board(board)
