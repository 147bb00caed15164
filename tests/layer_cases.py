"""Single-operator models described by their tensors, for operators without a geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tflite_builder import ModelBuilder

from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.oracle import run_litert_frames


@dataclass(frozen=True)
class Operand:
    """A tensor of a layer; a constant if it has a `value`.

    `scale` is ignored for floats and wide integers; None omits the scale, unless there are
    `scales`, one for each slice along `axis`. `limits` are the smallest and largest value that
    tests use.
    """

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | None = 0.05
    zero_point: int = 0
    value: np.ndarray | None = None
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    limits: tuple[float, float] | None = None

    def quantization(self) -> dict[str, Any]:
        """Keyword arguments for `ModelBuilder`."""
        if self.scales:
            zeros = self.zero_points or (0,) * len(self.scales)
            return {"scales": self.scales, "zero_points": zeros, "axis": self.axis}
        if self.dtype not in ("int8", "uint8", "int16") or self.scale is None:
            return {}
        return {"scale": self.scale, "zero_point": self.zero_point}


def numbers(values: Any, dtype: str = "int32") -> Operand:
    """A constant that holds no data but axes, paddings or a shape."""
    array = np.array(values, dtype)
    return Operand(array.shape, dtype, value=array)


def random_constant(shape: tuple[int, ...], dtype: str = "int8", **fields: Any) -> Operand:
    """A constant with random data."""
    rng = np.random.default_rng(len(shape) + sum(shape))
    return Operand(shape, dtype, value=random_values(shape, dtype, rng), **fields)


@dataclass(frozen=True)
class Layer:
    """One operator; builds the model that holds only this operator."""

    operator: str
    inputs: tuple[Operand, ...]
    output: Operand
    options: Mapping[str, Any] | None = None
    version: int = 2
    more_outputs: tuple[Operand, ...] = ()

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        return self._model

    @cached_property
    def _model(self) -> bytes:
        b = ModelBuilder()
        indices: list[int | None] = []
        for position, operand in enumerate(self.inputs):
            name, quantization = f"x{position}", operand.quantization()
            if operand.value is None:
                indices.append(b.input(name, operand.shape, operand.dtype, **quantization))
            else:
                value = operand.value.astype(operand.dtype).reshape(operand.shape)
                indices.append(b.constant(name, value, **quantization))
        outputs = [
            b.tensor(f"y{i or ''}", o.shape, o.dtype, **o.quantization())
            for i, o in enumerate((self.output, *self.more_outputs))
        ]
        b.op(self.operator, indices, outputs, self.options, self.version)
        return b.build(outputs)

    def limits(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of the inputs that have limits, by name."""
        return {f"x{i}": o.limits for i, o in enumerate(self.inputs) if o.limits is not None}

    def node(self) -> Node:
        """The layer in the form that operators take; the same object every time."""
        return self._node

    @cached_property
    def _node(self) -> Node:
        return read_graph(self.model(), "test").nodes[0]


def random_values(
    shape: tuple[int, ...],
    dtype: str,
    rng: np.random.Generator,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Values within `limits`; by default the whole range of an integer dtype, or -20 to 20."""
    if dtype in ("float16", "float32"):
        return rng.uniform(*(limits or (-20, 20)), shape).astype(dtype)
    low, high = limits or _range(dtype)
    return rng.integers(int(low), int(high), shape, np.int64, endpoint=True).astype(dtype)


def input_sets(layer: Layer, seed: int = 0) -> list[list[np.ndarray]]:
    """Random inputs, the ends of the range, and random mixes of these."""
    rng = np.random.default_rng(seed)
    operands = [operand for operand in layer.inputs if operand.value is None]

    def ends(operand: Operand) -> np.ndarray:
        if operand.limits is not None:
            low, high = operand.limits
            return np.array([low, high, (low + high) / 2], operand.dtype)
        if operand.dtype == "float32":
            return np.array([-1e4, 1e4, 0, 0.5, -0.5], np.float32)
        return np.array([*_range(operand.dtype), 0], operand.dtype)

    sets = [[random_values(o.shape, o.dtype, rng, o.limits) for o in operands] for _ in range(3)]
    sets += [[np.full(o.shape, ends(o)[i], o.dtype) for o in operands] for i in range(3)]
    sets += [[np.array(rng.choice(ends(o), o.shape), o.dtype) for o in operands]]
    return sets


def _range(dtype: str) -> tuple[int, int]:
    return (0, 1) if dtype == "bool" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def problems(layer: Layer) -> list[str]:
    """The operator's objections."""
    operator = find_operator(layer.operator)
    assert operator is not None
    return [problem.reason for problem in operator.check(layer.node())]


def reference(layer: Layer, inputs: list[np.ndarray], oracle: Oracle) -> np.ndarray:
    """The first output by the operator's numpy reference."""
    return references(layer, inputs, oracle)[0]


def references(layer: Layer, inputs: list[np.ndarray], oracle: Oracle) -> list[np.ndarray]:
    """The outputs by the operator's numpy reference."""
    operator = find_operator(layer.operator)
    assert operator is not None
    values = iter(inputs)
    present = [
        next(values) if t.data is None else t.data for t in layer.node().inputs if t is not None
    ]
    return operator.reference(layer.node(), present, oracle)


def assert_is_litert(layer: Layer, tolerance: float = 0.0, seed: int = 0) -> None:
    """Assert that the numpy reference gives LiteRT's bytes.

    Parameters
    ----------
    tolerance
        Allowed relative and absolute error of float32 results.
    """
    assert problems(layer) == []
    node, sets = layer.node(), input_sets(layer, seed)
    for inputs, everything in zip(sets, run_litert_frames(layer.model(), sets), strict=True):
        for output, got in zip(node.outputs, references(layer, inputs, Oracle.LITERT), strict=True):
            expected = everything[output.index]
            assert got.dtype == np.dtype(output.dtype)
            assert got.shape == output.shape == expected.shape
            if tolerance:
                np.testing.assert_allclose(got, expected, tolerance, tolerance)
            else:
                np.testing.assert_array_equal(got, expected)


def assert_refused(operator: str, node: Node, reason: str) -> None:
    """Assert that `operator` refuses `node` and says `reason`."""
    found = find_operator(operator)
    assert found is not None
    reasons = [problem.reason for problem in found.check(node)]
    assert any(reason in text for text in reasons), reasons


#: Strategies of property tests.
scale = st.floats(1e-3, 2.0)
zero_point = st.integers(-128, 127)
shape = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
activation = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
