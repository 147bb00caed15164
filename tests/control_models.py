"""Models with loops and branches in the form that converters write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tflite_builder import ModelBuilder

#: A function that adds the operators of a graph, given its inputs, and returns its outputs.
Make = Callable[[ModelBuilder, Sequence[int]], Sequence[int]]


@dataclass(frozen=True)
class Value:
    """A tensor that enters a subgraph; a constant if the tensor has a value."""

    shape: tuple[int, ...] = ()
    dtype: str = "int32"
    scale: float | None = None
    value: Any = None

    def tensor(self, b: ModelBuilder, name: str, *, given: bool = False) -> int:
        """An input of this kind or, with `given`, a tensor that an operator writes."""
        keywords = {} if self.scale is None else {"scale": self.scale}
        if given:
            return b.tensor(name, self.shape, self.dtype, **keywords)
        return b.input(name, self.shape, self.dtype, **keywords)


@dataclass(frozen=True, eq=False)
class Control:
    """A model of one WHILE or IF that can stand in a table of cases.

    Attributes
    ----------
    operator
        ``WHILE`` or ``IF``.
    values
        Inputs of the operator; those of an IF follow its condition.
    graphs
        Condition and body, or the two branches.
    condition
        Condition of an IF.
    results
        Results of an IF; by default those of its values, as for a loop.
    outputs
        Positions of the results that are outputs of the model; by default all.
    ranges
        Smallest and largest value of inputs by name.
    """

    operator: str
    values: tuple[Value, ...]
    graphs: tuple[Make, Make]
    condition: Value | None = None
    results: tuple[Value, ...] = ()
    outputs: tuple[int, ...] | None = None
    ranges: dict[str, tuple[float, float]] | None = None

    def model(self) -> bytes:
        return self._model

    def limits(self) -> dict[str, tuple[float, float]]:
        return self.ranges or {}

    @cached_property
    def _model(self) -> bytes:
        b = ModelBuilder()
        given = [
            value.tensor(b, f"x{i}")
            if value.value is None
            else b.constant(f"x{i}", np.array(value.value, value.dtype).reshape(value.shape))
            for i, value in enumerate((*([self.condition] if self.condition else []), *self.values))
        ]
        found = self.add(b, given)
        chosen = range(len(found)) if self.outputs is None else self.outputs
        return b.build([found[i] for i in chosen])

    def add(self, b: ModelBuilder, given: Sequence[int], name: str = "y") -> list[int]:
        """Add the operator to a model or a subgraph."""
        numbers = [b.subgraph(f"graph{i}", self._inner(make)) for i, make in enumerate(self.graphs)]
        results = [
            value.tensor(b, f"{name}{i}", given=True)
            for i, value in enumerate(self.results or self.values)
        ]
        keys = {
            "WHILE": ("cond_subgraph_index", "body_subgraph_index"),
            "IF": ("then_subgraph_index", "else_subgraph_index"),
        }[self.operator]
        b.op(self.operator, list(given), results, dict(zip(keys, numbers, strict=True)))
        return results

    def _inner(self, make: Make) -> Callable[[ModelBuilder], Sequence[int]]:
        def filled(b: ModelBuilder) -> Sequence[int]:
            return make(b, [value.tensor(b, f"in{i}") for i, value in enumerate(self.values)])

        return filled


def less(limit: int, position: int = 0, dtype: str = "int32") -> Make:
    """The condition that a value is below a number."""

    def make(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
        result = b.tensor("more", (), "bool")
        b.op("LESS", [x[position], b.constant("limit", np.array(limit, dtype))], [result], {})
        return [result]

    return make


def made(
    b: ModelBuilder, operator: str, inputs: Sequence[int | None], like: Value, **options: Any
) -> int:
    """The output of a new operator."""
    result = like.tensor(b, f"{operator.lower()}{len(b._tensors)}", given=True)
    b.op(operator, inputs, [result], None if operator == "TANH" else options)
    return result


def plus(b: ModelBuilder, x: int, number: int = 1, dtype: str = "int32") -> int:
    """Add a constant to a scalar."""
    return made(b, "ADD", [x, b.constant("number", np.array(number, dtype))], Value((), dtype))


def recurrent(
    steps: int = 4,
    features: int = 3,
    units: int = 2,
    dtype: str = "float32",
    joined: bool = False,
    outputs: tuple[int, ...] | None = None,
) -> Control:
    """A recurrent layer as a loop over the steps of its input.

    Its values are the counter, the outputs of all steps, the state and the input.

    Parameters
    ----------
    joined
        Whether each step is joined by CONCATENATION, as converters without DYNAMIC_UPDATE_SLICE
        write it.
    """
    scale = {"float32": None, "int8": 1 / 64, "int16": 1 / 16384}[dtype]
    state = Value((1, units), dtype, scale)
    every = Value((steps, 1, units), dtype, scale)
    x = Value((steps, 1, features), dtype, scale)
    rng = np.random.default_rng(units)

    def weights(b: ModelBuilder, name: str, depth: int) -> tuple[int, int | None]:
        if dtype == "float32":
            value = rng.normal(size=(units, depth)).astype(np.float32)
            return b.constant(name, value), None
        value = rng.integers(-90, 91, (units, depth)).astype(np.int8)
        bias = np.zeros(units, np.int32 if dtype == "int8" else np.int64)
        return b.constant(name, value, scale=1 / 90), b.constant(f"{name}/bias", bias)

    def body(b: ModelBuilder, given: Sequence[int]) -> Sequence[int]:
        count, outputs, before, source = given
        step = made(b, "GATHER", [source, count], Value((1, features), dtype, scale), axis=0)
        dense = {"fused_activation_function": "NONE"}
        left = made(b, "FULLY_CONNECTED", [step, *weights(b, "w", features)], state, **dense)
        right = made(b, "FULLY_CONNECTED", [before, *weights(b, "u", units)], state, **dense)
        total = made(b, "ADD", [left, right], state)
        after = total if dtype != "float32" else made(b, "TANH", [total], state)
        more = plus(b, count)
        row = b.constant("row", np.array([1, 1, units], np.int32))
        one = b.constant("one", np.array([1], np.int32))
        value = made(b, "RESHAPE", [after, row], Value((1, 1, units), dtype, scale))
        write = _joined if joined else _updated
        return [more, write(b, outputs, value, (count, more), every, one), after, source]

    zero = np.zeros((steps, 1, units), dtype)
    values = (Value(value=0), _with(every, zero), _with(state, zero[0]), x)
    return Control("WHILE", values, (less(steps), body), outputs=outputs)


def _with(value: Value, content: Any) -> Value:
    return Value(value.shape, value.dtype, value.scale, content)


def _updated(
    b: ModelBuilder, x: int, value: int, counts: tuple[int, int], like: Value, one: int
) -> int:
    first = made(b, "RESHAPE", [counts[0], one], Value((1,)))
    rest = b.constant("rest", np.zeros(2, np.int32))
    place = made(b, "CONCATENATION", [first, rest], Value((3,)), axis=0)
    result = like.tensor(b, "updated", given=True)
    b.op("DYNAMIC_UPDATE_SLICE", [x, value, place], [result])
    return result


def _joined(
    b: ModelBuilder, x: int, value: int, counts: tuple[int, int], like: Value, one: int
) -> int:
    zeros, all_of = (b.constant("numbers", np.full(3, n, np.int32)) for n in (0, -1))
    parts = []
    for count, rest, front in ((counts[0], -1, True), (counts[1], 0, False)):
        first = made(b, "RESHAPE", [count, one], Value((1,)))
        others = b.constant("others", np.full(2, rest, np.int32))
        place = made(b, "CONCATENATION", [first, others], Value((3,)), axis=0)
        shape = (1, 1, 1) if front else (1, *like.shape[1:])
        signature = (-1, -1, -1) if front else (-1, *like.shape[1:])
        part = b.tensor("part", shape, like.dtype, scale=like.scale)
        b._tensors[part].shapeSignature = signature
        b.op("SLICE", [x, *([zeros, place] if front else [place, all_of])], [part], {})
        parts.append(part)
    return made(b, "CONCATENATION", [parts[0], value, parts[1]], like, axis=0)
