"""Turn QuantizeLinear and DequantizeLinear into properties of values: scales and zero points.

The remaining operators compute with real numbers. Operators whose operands and results all have a
scale become integer operators; all others become float operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tvmtiny.errors import OperatorProblem
from tvmtiny.importers.onnx.graph import Graph, Op

__all__ = ["Scales", "annotated", "dequantized"]

#: An operator that replaces a pair of QuantizeLinear and DequantizeLinear: rounding to a scale.
ROUND = "Quantize"
#: Operators that return values of their first input, or the largest of them. Their effect on real
#: numbers is the same as on steps of a scale.
_COPYING = (
    *("DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice"),
    *("SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "GlobalMaxPool"),
)
_WIDTHS = ("int8", "uint8", "int16", "int32")


@dataclass(frozen=True, eq=False)
class Scales:
    """How integers represent real numbers: ``real = scale * (value - zero_point)``.

    Attributes
    ----------
    scales, zero_points
        One number for all values, or one for each slice along `axis`.
    dtype
        The dtype of the integers.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    dtype: str
    axis: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scales) and (
            self.dtype == other.dtype
            and self.scales.tolist() == other.scales.tolist()
            and self.zero_points.tolist() == other.zero_points.tolist()
            and (self.scales.size == 1 or self.axis == other.axis)
        )

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale."""
        return self.scales.size > 1

    def signed(self) -> Scales:
        """The same quantization with int8 for uint8: values and zero points are 128 less."""
        if self.dtype != "uint8":
            return self
        return Scales(self.scales, self.zero_points - 128, "int8", self.axis)


@dataclass(frozen=True, eq=False)
class Annotations:
    """The quantization of a graph.

    Attributes
    ----------
    scales
        The scales of values of the graph, with signed integers.
    integers
        Quantized constants as signed integers; their real numbers are among the graph's constants.
    """

    scales: dict[str, Scales]
    integers: dict[str, np.ndarray]


def dequantized(values: np.ndarray, scales: Scales) -> np.ndarray:
    """Dequantize integers to float32."""
    shape = [1] * values.ndim
    if scales.per_channel:
        shape[scales.axis] = -1
    factors, zeros = scales.scales.reshape(shape), scales.zero_points.reshape(shape)
    return (values.astype(np.int64) - zeros).astype(np.float32) * factors.astype(np.float32)


def annotated(graph: Graph) -> tuple[Annotations, list[OperatorProblem]]:
    """Remove the quantizing operators from a graph; changes the graph."""
    problems: list[OperatorProblem] = []
    found = Annotations({}, {})
    _fold_weights(graph, found, problems)
    _join_pairs(graph, found, problems)
    _merge(graph, found)
    _pass_on(graph, found)
    return found, problems


def _scales(graph: Graph, op: Op) -> Scales | OperatorProblem:
    scale = graph.constants.get(op.input(1))
    name = op.input(2)
    zero = graph.constants.get(name)
    if scale is None or (name and zero is None):
        return op.problem("a scale that is computed when the model runs", "a constant scale")
    if zero is None:
        zero = np.zeros_like(scale, np.uint8)
    if zero.dtype.name not in _WIDTHS:
        return op.problem(f"{zero.dtype} data", " or ".join(_WIDTHS))
    rank = len(graph.shapes.get(op.inputs[0], ()))
    axis = int(op.attributes.get("axis", 1)) % max(rank, 1)
    if scale.ndim > 1 or op.attributes.get("block_size"):
        return op.problem("blocks with a scale each", "one scale, or one for each channel")
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        return op.problem("a scale that is not positive", "positive scales")
    flat = scale.reshape(-1).astype(np.float32)
    return Scales(flat, zero.reshape(-1).astype(np.int64), zero.dtype.name, axis)


def _fold_weights(graph: Graph, found: Annotations, problems: list[OperatorProblem]) -> None:
    """Evaluate constants that pass through QuantizeLinear, DequantizeLinear or both."""
    left = []
    for op in graph.ops:
        data = graph.constants.get(op.input(0)) if "Linear" in op.kind else None
        if data is None or op.kind not in ("QuantizeLinear", "DequantizeLinear"):
            left.append(op)
            continue
        scales = _scales(graph, op)
        if isinstance(scales, OperatorProblem):
            problems.append(scales)
            left.append(op)
            continue
        (result,) = op.outputs
        if op.kind == "QuantizeLinear":
            graph.constants[result] = _rounded(data, scales)
            continue
        if op.input(2) == "":
            scales = Scales(scales.scales, scales.zero_points, data.dtype.name, scales.axis)
        graph.constants[result] = dequantized(data, scales)
        signed = data.astype(np.int64) - (128 if scales.dtype == "uint8" else 0)
        found.scales[result] = scales.signed()
        found.integers[result] = signed.astype(found.scales[result].dtype)
    graph.ops = left


def _rounded(data: np.ndarray, scales: Scales) -> np.ndarray:
    shape = [1] * data.ndim
    if scales.per_channel:
        shape[scales.axis] = -1
    steps = np.rint(data / scales.scales.reshape(shape)) + scales.zero_points.reshape(shape)
    limits = np.iinfo(scales.dtype)
    return np.clip(steps, limits.min, limits.max).astype(scales.dtype)


def _join_pairs(graph: Graph, found: Annotations, problems: list[OperatorProblem]) -> None:
    """Replace each QuantizeLinear by a rounding of real numbers, and remove DequantizeLinear."""
    names: dict[str, str] = {}
    kept: list[tuple[str, Scales, str]] = []
    left = []
    for op in graph.ops:
        op.inputs = [names.get(name, name) for name in op.inputs]
        if op.kind not in ("QuantizeLinear", "DequantizeLinear"):
            left.append(op)
            continue
        scales = _scales(graph, op)
        if isinstance(scales, OperatorProblem):
            problems.append(scales)
            left.append(op)
            continue
        source, (result,) = op.inputs[0], op.outputs
        if scales.per_channel:
            problems.append(op.problem("one scale for each channel of data", "one scale"))
        if op.kind == "DequantizeLinear":
            # An integer input, or the result of a QuantizeLinear that already has a name.
            found.scales.setdefault(source, scales.signed())
            names[result] = source
            continue
        same = next((n for s, q, n in kept if s == source and q == scales), None)
        if same is not None:
            names[result] = same
            continue
        kept.append((source, scales, result))
        found.scales[result] = scales.signed()
        left.append(Op(ROUND, op.name, op.index, [source], [result]))
    graph.ops = left
    # Outputs keep the user's names, whatever value represents them.
    inner: dict[str, str] = {}
    for name in graph.outputs:
        source = names.get(name, "")
        if source and source not in (*inner, *graph.inputs, *graph.outputs):
            inner[source] = name
        elif source:
            graph.ops.append(Op("Identity", name, len(graph.ops), [source], [name]))
    _rename(graph, found, inner)


def _rename(graph: Graph, found: Annotations, names: Mapping[str, str]) -> None:
    for op in graph.ops:
        op.inputs = [names.get(name, name) for name in op.inputs]
        op.outputs = [names.get(name, name) for name in op.outputs]
    for old, new in names.items():
        if old in found.scales:
            found.scales[new] = found.scales.pop(old)


def _merge(graph: Graph, found: Annotations) -> None:
    """If a result is only read by a rounding, the operator rounds it."""
    while True:
        readers, makers = graph.readers(), graph.makers()
        for op in graph.ops:
            if op.kind != ROUND:
                continue
            (source,), (result,) = op.inputs, op.outputs
            if source in found.scales or source in graph.outputs or len(readers[source]) > 1:
                continue
            if source in graph.inputs:
                # In this case the input itself holds the integers.
                names = {result: source}
                if result in graph.outputs:
                    continue
            elif source in makers:
                # The real numbers have the name in the user's model.
                names = {source: result} if result in graph.outputs else {result: source}
            else:
                continue
            graph.ops.remove(op)
            _rename(graph, found, names)
            break
        else:
            return


def _pass_on(graph: Graph, found: Annotations) -> None:
    """Propagate scales through operators that only copy values."""
    for op in graph.ops:
        scales = found.scales.get(op.input(0))
        if op.kind in _COPYING and scales is not None and not scales.per_channel:
            for name in op.outputs:
                found.scales.setdefault(name, scales)
    readers = graph.readers()
    for op in reversed(graph.ops):
        scales = found.scales.get(op.outputs[0])
        source = op.input(0)
        alone = len(op.outputs) == 1 and len(readers.get(source, ())) == 1
        if op.kind in _COPYING and scales is not None and alone and source not in graph.outputs:
            inner = source not in graph.constants and source not in graph.inputs
            if inner and source not in found.scales:
                found.scales[source] = scales
