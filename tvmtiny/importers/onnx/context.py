"""The context in which operators are converted: tensors, layouts, scales and problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tvmtiny.errors import OperatorProblem
from tvmtiny.frontend.writer import ModelWriter
from tvmtiny.importers.onnx.graph import Graph, Op
from tvmtiny.importers.onnx.quantization import Annotations, Scales, dequantized
from tvmtiny.importers.onnx.values import Value, channels_last, neighbours, regrouped, without_ones

__all__ = ["HANDLERS", "Context", "RefusedError", "handles"]

#: Versions of operators that LiteRT does not have in version 1.
_VERSIONS = {"BROADCAST_TO": 2}

Handler = Callable[["Context", Op], None]

#: Converters by ONNX operator.
HANDLERS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Register a converter of operators."""

    def add(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return add


class RefusedError(Exception):
    """An operator is used in a way that cannot be converted.

    Parameters
    ----------
    reason, allowed
        As in `tvmtiny.errors.OperatorProblem`.
    """

    def __init__(self, reason: str, allowed: str = "") -> None:
        super().__init__(reason)
        self.reason, self.allowed = reason, allowed


class Context:
    """The model while it is written.

    Attributes
    ----------
    graph, found
        The graph to convert, and its quantization.
    problems
        Problems of operators that could not be converted.
    notes
        Remarks for the user about the result.
    """

    def __init__(self, graph: Graph, found: Annotations, writer: ModelWriter) -> None:
        self.graph = graph
        self.found = found
        self.problems: list[OperatorProblem] = []
        self.notes: list[str] = []
        self._writer = writer
        self._values: dict[str, Value] = {}
        self._moved: dict[tuple[int, str], Value] = {}
        self._constants: dict[tuple[str, str, bytes, str], int] = {}
        self._data: dict[int, np.ndarray] = {}
        self._outputs: set[int] = set()

    # Tensors

    def constant(
        self, name: str, data: np.ndarray, scales: Scales | None = None, axis: int = 0
    ) -> int:
        """Add a constant tensor; several scales belong to one slice each along `axis`."""
        key = (data.dtype.name, str(data.shape), data.tobytes(), repr(_written(scales, axis)))
        if key not in self._constants:
            written = _written(scales, axis)
            self._constants[key] = self._writer.constant(name, data, **written)
            self._data[self._constants[key]] = data
        return self._constants[key]

    def shape_constant(self, numbers: Sequence[int], name: str = "shape") -> int:
        """Add a constant of int32, such as a shape or axes."""
        return self.constant(name, np.array(numbers, np.int32))

    def scalar(self, number: float, name: str = "number") -> int:
        """Add a float32 constant without dimensions."""
        return self.constant(name, np.array(number, np.float32))

    def tensor(
        self, name: str, shape: Sequence[int], dtype: str, scales: Scales | None = None
    ) -> int:
        """Add a tensor that an operator writes."""
        return self._writer.tensor(name, shape, dtype, **_written(scales))

    def variable(self, name: str, shape: Sequence[int]) -> int:
        """Add a float32 tensor that keeps its value from one run to the next."""
        return self._writer.tensor(name, shape, "float32", variable=True)

    def parameter(self, name: str, shape: Sequence[int], dtype: str) -> int:
        """Add an input of a subgraph."""
        return self._writer.input(name, shape, dtype)

    def subgraph(self, name: str, make: Callable[[], Sequence[int]]) -> int:
        """Add a subgraph, to which `make` writes everything; `make` returns the outputs."""
        outer = self._writer, self._constants, self._data

        def filled(writer: ModelWriter) -> Sequence[int]:
            self._writer, self._constants, self._data = writer, {}, {}
            return make()

        try:
            return outer[0].subgraph(name, filled)
        finally:
            self._writer, self._constants, self._data = outer

    def emit(
        self,
        operator: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Append a TFLite operator."""
        self._writer.op(operator, inputs, outputs, options, _VERSIONS.get(operator, 1))

    def add_input(self, name: str, shape: Sequence[int], order: tuple[int, ...]) -> Value:
        """Add an input of the model."""
        scales = self.found.scales.get(name)
        dtype = scales.dtype if scales is not None else self.graph.dtypes[name]
        physical = [shape[axis] for axis in order]
        index = self._writer.input(name, physical, dtype, **_written(scales))
        value = Value(index, tuple(shape), order, dtype, scales, name=name)
        self._values[name] = value
        return value

    # Values

    def known(self, name: str) -> np.ndarray | None:
        """The value of a constant; None if the name is missing or not constant."""
        return self.graph.constants.get(name)

    def numbers(self, op: Op, name: str, position: int) -> list[Any] | None:
        """Return numbers that are an attribute in one opset and a constant input in another.

        Raises
        ------
        RefusedError
            If the numbers are computed when the model runs.
        """
        if name in op.attributes:
            found = op.attributes[name]
            return list(found) if isinstance(found, Sequence) else [found]
        source = op.input(position)
        if not source:
            return None
        constant = self.known(source)
        if constant is None:
            raise RefusedError(f"{name} that are computed when the model runs", "constant ones")
        return list(constant.reshape(-1).tolist())

    def value(self, name: str) -> Value:
        """Return a value of the graph; a constant becomes an unchanged tensor."""
        if name not in self._values:
            data = self.graph.constants[name]
            scales = self.found.scales.get(name)
            if scales is not None and not scales.per_channel:
                data = self.found.integers[name]
            else:
                scales = None
            if data.dtype == np.float64:
                data = data.astype(np.float32)
            index = self.constant(name, data, scales)
            order = tuple(range(data.ndim))
            made = Value(index, data.shape, order, data.dtype.name, scales, name=name)
            self._values[name] = made
        return self._values[name]

    def define(self, name: str, value: Value) -> None:
        """Define the value of a name of the graph."""
        self._values[name] = replace(value, name=name)

    def result(
        self,
        name: str,
        shape: Sequence[int],
        order: tuple[int, ...],
        scales: Scales | None,
        dtype: str = "float32",
    ) -> Value:
        """Create a value with a new tensor, which the caller's operator writes."""
        dtype = scales.dtype if scales is not None else dtype
        physical = [shape[axis] for axis in order]
        index = self.tensor(name, physical, dtype, scales)
        return Value(index, tuple(shape), order, dtype, scales, name=name)

    # Layout

    def plain(self, value: Value) -> Value:
        """Return the value with the axes and the shape of ONNX."""
        if value.plain:
            return value
        base = replace(value, view=None)
        ordered = self.arranged(base, tuple(range(len(value.shape))))
        return ordered if value.view is None else self.reshaped(ordered, value.view)

    def ordered(self, value: Value) -> Value:
        """Return the value with its shape in ONNX and its axes in any order.

        Joined axes are moved together; the order of the other axes does not change.
        """
        if value.view is None:
            return value
        groups = [old for old, _ in neighbours(value.shape, value.view)]
        order: list[int] = []
        for axis in value.order:
            if axis not in order:
                order += next(old for old in groups if axis in old)
        base = self.arranged(replace(value, view=None), tuple(order))
        return self.reshaped(base, value.view)

    def arranged(self, value: Value, order: tuple[int, ...]) -> Value:
        """Return the value with its axes in the given order."""
        value = self.ordered(value)
        if value.order == order:
            return value
        key = value.index, f"order {order}"
        if key in self._moved:
            return self._moved[key]
        made = replace(value, order=order)
        constant = self._data.get(value.index)
        if constant is not None:
            moved = np.ascontiguousarray(constant.transpose([value.axis(axis) for axis in order]))
            made = made.at(self.constant(value.name, moved, value.scales))
        else:
            made = made.at(self.tensor(value.name, made.physical, value.dtype, value.scales))
            if without_ones(value.shape, value.order) == without_ones(value.shape, order):
                self._reshape(value.index, made.index, made.physical)
            else:
                axes = self.shape_constant([value.axis(axis) for axis in order], "axes")
                self.emit("TRANSPOSE", [value.index, axes], [made.index], {})
        self._moved[key] = made
        return made

    def reshaped(self, value: Value, shape: Sequence[int]) -> Value:
        """Return the value with another shape in ONNX.

        Elements move only when a later operator needs it.
        """
        shape = tuple(shape)
        if value.logical == shape:
            return value
        order = None if value.view is not None else regrouped(value.shape, value.order, shape)
        if order is None:
            if value.view is not None and shape == value.shape:
                return replace(value, view=None)
            return replace(value, view=shape)
        made = Value(0, shape, order, value.dtype, value.scales, name=value.name)
        key = value.index, f"shape {made.physical}"
        if key in self._moved:
            return made.at(self._moved[key].index)
        made = made.at(self.with_shape(value, made.physical))
        self._moved[key] = made
        return made

    def with_shape(self, value: Value, physical: Sequence[int]) -> int:
        """Add a tensor with the bytes of another tensor and the given TFLite shape."""
        if tuple(physical) == value.physical:
            return value.index
        constant = self._data.get(value.index)
        if constant is not None:
            return self.constant(value.name, constant.reshape(physical), value.scales)
        index = self.tensor(value.name, physical, value.dtype, value.scales)
        self._reshape(value.index, index, physical)
        return index

    def _reshape(self, source: int, target: int, shape: Sequence[int]) -> None:
        numbers = self.shape_constant(shape)
        self.emit("RESHAPE", [source, numbers], [target], {"new_shape": list(shape)})

    # Scales

    def real(self, value: Value) -> Value:
        """Return the value as float32 numbers."""
        if value.scales is None:
            return value
        key = value.index, "real"
        if key not in self._moved:
            made = replace(value, scales=None, dtype="float32")
            constant = self._data.get(value.index)
            if constant is not None:
                data = dequantized(constant, value.scales)
                made = made.at(self.constant(f"{value.name}/real", data))
            else:
                made = made.at(self.tensor(f"{value.name}/real", value.physical, "float32"))
                self.emit("DEQUANTIZE", [value.index], [made.index], {})
            self._moved[key] = made
        return replace(value, scales=None, dtype="float32").at(self._moved[key].index)

    def scaled(self, value: Value, scales: Scales | None) -> Value:
        """Return the value with the given scales, or as float32 numbers if there are none."""
        if scales is None:
            return self.real(value)
        if value.scales == scales:
            return value
        key = value.index, f"{scales.dtype} {scales.scales} {scales.zero_points}"
        if key not in self._moved:
            made = replace(value, scales=scales, dtype=scales.dtype)
            made = made.at(self.tensor(value.name, value.physical, scales.dtype, scales))
            self.emit("QUANTIZE", [value.index], [made.index], {})
            self._moved[key] = made
        return replace(value, scales=scales, dtype=scales.dtype).at(self._moved[key].index)

    def operands(self, op: Op, *positions: int) -> tuple[list[Value], Scales | None]:
        """Return integer operands and the result's scales, or float operands and None.

        Parameters
        ----------
        positions
            Positions of the inputs; all inputs by default.
        """
        chosen = positions or tuple(i for i, name in enumerate(op.inputs) if name)
        values = [self.value(op.inputs[i]) for i in chosen]
        scales = self.found.scales.get(op.outputs[0])
        if scales is not None and all(
            v.scales is not None and v.dtype == scales.dtype for v in values
        ):
            return values, scales
        return [self.real(v) if v.scales is not None else v for v in values], None

    def finish(self, op: Op, value: Value, output: int = 0) -> None:
        """Define a result with its scales in the model."""
        name = op.outputs[output]
        self.define(name, self.scaled(value, self.found.scales.get(name)))

    def output(self, name: str, keep_layout: bool) -> Value:
        """Return the value of an output in a separate tensor.

        Parameters
        ----------
        keep_layout
            Whether its axes keep ONNX's order.
        """
        value = self.value(name)
        last = channels_last(len(value.shape))
        if keep_layout or value.view is not None or value.order != last:
            value = self.plain(value)
        if value.index in self._outputs or value.index in self._data or self._is_input(value):
            again = replace(value, name=name)
            index = self.tensor(name, value.physical, value.dtype, value.scales)
            self._reshape(value.index, index, value.physical)
            value = again.at(index)
        self._outputs.add(value.index)
        return replace(value, name=name)

    def _is_input(self, value: Value) -> bool:
        return any(value.index == self._values[name].index for name in self.graph.inputs)

    def scaled_by_model(self, name: str) -> Scales | None:
        """The scales of a value in the model."""
        return self.found.scales.get(name)


def _written(scales: Scales | None, axis: int = 0) -> dict[str, Any]:
    """Convert scales to the arguments of `ModelWriter`."""
    if scales is None:
        return {}
    numbers, zeros = scales.scales.tolist(), scales.zero_points.tolist()
    return {"scales": numbers, "zero_points": zeros, "axis": axis}
