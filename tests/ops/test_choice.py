"""ADD_N, CAST, CUMSUM, LOGICAL_NOT, SELECT and SELECT_V2 against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers

from tvmtiny.ops import Node, Oracle, Tensor

FAMILY = "binary"
_SHAPE = (2, 3, 4)
_BOOL = Operand(_SHAPE, "bool")


def _select(
    operator: str,
    dtype: str,
    condition: tuple[int, ...] = _SHAPE,
    x: tuple[int, ...] = _SHAPE,
    y: tuple[int, ...] = _SHAPE,
) -> Layer:
    out = np.broadcast_shapes(condition, x, y) if operator == "SELECT_V2" else x
    operands = Operand(condition, "bool"), Operand(x, dtype), Operand(y, dtype)
    return Layer(operator, operands, Operand(out, dtype), {}, 1)


def _cast(source: str, target: str) -> Layer:
    limits = {
        "bool": None,
        "int8": (-128, 127),
        "uint8": (0, 255),
        "int16": (-32768, 32767),
        "int32": (-2e9, 2e9),
        "int64": (-9e18, 9e18),
        "float32": (-1e6, 1e6),
    }
    within = limits[target] if source == "float32" else limits[source]
    x = Operand((2, 20), source, None, limits=within)
    return Layer("CAST", (x,), Operand((2, 20), target, None), None, 1)


def _cumsum(dtype: str, axis: int, exclusive: bool = False, reverse: bool = False) -> Layer:
    x = Operand(_SHAPE, dtype, limits=(-9, 9) if dtype == "float32" else None)
    options = {"exclusive": exclusive, "reverse": reverse}
    return Layer("CUMSUM", (x, numbers(axis)), Operand(_SHAPE, dtype), options, 1)


_CASTS = [
    ("float32", "int8"),
    ("float32", "int16"),
    ("float32", "int32"),
    ("float32", "int64"),
    ("float32", "uint8"),
    ("float32", "bool"),
    ("bool", "float32"),
    ("bool", "int8"),
    ("int8", "float32"),
    ("int8", "int32"),
    ("int16", "int8"),
    ("int32", "float32"),
    ("int32", "bool"),
    ("int32", "int64"),
    ("int64", "int32"),
    ("int64", "float32"),
    ("uint8", "int8"),
    ("int8", "int8"),
]
TABLES = {
    "ADD_N": {
        "three_floats": Layer(
            "ADD_N", (Operand(_SHAPE, "float32"),) * 3, Operand(_SHAPE, "float32"), {}, 1
        ),
        "two_integers": Layer(
            "ADD_N", (Operand(_SHAPE, "int32"),) * 2, Operand(_SHAPE, "int32"), {}, 1
        ),
    },
    "CAST": {f"{source}_to_{target}": _cast(source, target) for source, target in _CASTS},
    "CUMSUM": {
        "int32": _cumsum("int32", 1),
        "int64_exclusive": _cumsum("int64", -1, exclusive=True),
        "float_reverse": _cumsum("float32", 0, reverse=True),
        "float_both": _cumsum("float32", 2, True, True),
    },
    "LOGICAL_NOT": {"bool": Layer("LOGICAL_NOT", (_BOOL,), _BOOL, {}, 1)},
    "SELECT": {
        "int8": _select("SELECT", "int8"),
        "rows": _select("SELECT", "float32", (2,)),
        "scalar": _select("SELECT", "int32", ()),
        "bool": _select("SELECT", "bool"),
    },
    "SELECT_V2": {
        "int8": _select("SELECT_V2", "int8"),
        "broadcast": _select("SELECT_V2", "float32", (3, 1), (2, 1, 4), (4,)),
        "int16": _select("SELECT_V2", "int16", (4,), _SHAPE, ()),
        "int64": _select("SELECT_V2", "int64", (), (3, 4), (3, 4)),
    },
}
_EVERY = {f"{name}-{key}": layer for name, table in TABLES.items() for key, layer in table.items()}


@pytest.mark.parametrize("layer", _EVERY.values(), ids=_EVERY)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    flags=st.tuples(st.booleans(), st.booleans()),
    shape=cases.shape,
    axis=st.integers(0, 3),
    dtype=st.sampled_from(["int32", "int64", "float32"]),
)
def test_any_cumsum(
    flags: tuple[bool, bool], shape: tuple[int, ...], axis: int, dtype: str
) -> None:
    layer = _cumsum(dtype, axis % len(shape), *flags)
    x = replace(layer.inputs[0], shape=shape)
    output = replace(layer.output, shape=shape)
    cases.assert_is_litert(replace(layer, inputs=(x, layer.inputs[1]), output=output))


def test_floats_beyond_an_integer_saturate() -> None:
    x = np.array([1e30, -1e30, np.inf, -np.inf, np.nan, 127.9, -128.9, 300, -300], np.float32)
    layer = _cast("float32", "int8")
    got = cases.reference(layer, [x], Oracle.LITERT)
    np.testing.assert_array_equal(got, [127, -128, 127, -128, 127, 127, -128, 127, -128])


_X = Tensor(0, "x", (2, 3), "float32")
_C = Tensor(1, "c", (2, 3), "bool")
_AXIS = Tensor(2, "axis", (), "int32", data=np.array(1, np.int32))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Node(0, "ADD_N", 1, (), (_X,)), "missing"),
        (Node(0, "ADD_N", 1, (_X, replace(_X, shape=(3,))), (_X,)), "the output is"),
        (Node(0, "CAST", 1, (_X, _X), (_X,)), "2 inputs"),
        (Node(0, "CAST", 1, (_X,), (replace(_X, shape=(6,)),)), "the output is"),
        (Node(0, "CUMSUM", 1, (_X, replace(_AXIS, data=None)), (_X,)), "run time"),
        (Node(0, "CUMSUM", 1, (_X, replace(_AXIS, data=np.array(2))), (_X,)), "axis 2"),
        (Node(0, "CUMSUM", 1, (_X, replace(_AXIS, dtype="int64")), (_X,)), "int64"),
        (Node(0, "LOGICAL_NOT", 1, (_C,), (replace(_C, shape=(6,)),)), "the output is"),
        (Node(0, "SELECT", 1, (_X, _X, _X), (_X,)), "a condition of float32"),
        (Node(0, "SELECT", 1, (replace(_C, shape=(3,)), _X, _X), (_X,)), "a condition of [3]"),
        (Node(0, "SELECT_V2", 1, (_C, _X, _C), (_X,)), "an output of float32"),
        (Node(0, "SELECT_V2", 1, (replace(_C, shape=(5,)), _X, _X), (_X,)), "do not broadcast"),
    ],
)
def test_problems(node: Node, reason: str) -> None:
    cases.assert_refused(node.operator, node, reason)
