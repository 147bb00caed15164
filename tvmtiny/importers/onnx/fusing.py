"""Fuse operators into others: activations, biases, batch normalization and GELU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tvmtiny.importers.onnx.graph import Graph, Op
from tvmtiny.importers.onnx.quantization import Annotations

__all__ = ["CLIPS", "clip_range", "fused"]

#: Operators whose TFLite counterparts can have a fused activation.
_TAKES_ACTIVATION = ("Add", "AveragePool", "Conv", "Gemm", "MatMul", "MaxPool", "Mul", "Sub")
#: TFLite's activations by their limits.
CLIPS: Mapping[tuple[float, float], str] = {
    (0.0, np.inf): "RELU",
    (0.0, 6.0): "RELU6",
    (-1.0, 1.0): "RELU_N1_TO_1",
}
_SQRT_2 = 2**0.5


def fused(graph: Graph, found: Annotations) -> None:
    """Fuse operators until nothing is left to fuse; changes the graph."""
    steps: tuple[Callable[[Graph, Annotations, Op], bool], ...] = (
        *(_normalization, _scaling, _bias, _gelu, _hard_swish, _activation),
    )
    while any(step(graph, found, op) for op in [*graph.ops] for step in steps):
        pass


def clip_range(graph: Graph, op: Op) -> tuple[float, float] | None:
    """The limits of Clip or Relu; None if they are computed when the model runs."""
    if op.kind == "Relu":
        return 0.0, np.inf
    limits = []
    for position, name, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        value = op.attributes.get(name, default)
        if op.input(position):
            constant = graph.constants.get(op.input(position))
            if constant is None:
                return None
            value = constant.reshape(-1)[0]
        limits.append(float(value))
    # The largest float means no limit.
    low, high = (x if abs(x) < 3.4e38 else float(np.copysign(np.inf, x)) for x in limits)
    return low, high


def _before(graph: Graph, found: Annotations, name: str, rounded: bool = False) -> Op | None:
    """The operator that computes a value with a single reader, if the value may be fused."""
    if name in graph.outputs or (name in found.scales and not rounded):
        return None
    if sum(name in op.inputs for op in graph.ops) != 1:
        return None
    return next((op for op in graph.ops if name in op.outputs), None)


def _replace(graph: Graph, made: Op, *gone: Op) -> None:
    """Replace the last of several operators, and remove the others."""
    position = max(graph.ops.index(op) for op in gone)
    graph.ops[position] = made
    graph.ops = [op for op in graph.ops if op is made or op not in gone]


def _activation(graph: Graph, found: Annotations, op: Op) -> bool:
    if op not in graph.ops or op.kind not in ("Relu", "Clip"):
        return False
    limits = clip_range(graph, op)
    before = _before(graph, found, op.inputs[0])
    if limits is None or limits not in CLIPS:
        return False
    if before is None or before.kind not in _TAKES_ACTIVATION:
        return False
    if before.activation != "NONE" or len(before.outputs) != 1:
        return False
    if before.kind == "MatMul" and before.input(1) not in graph.constants:
        return False
    made = Op(before.kind, before.name, before.index, before.inputs, op.outputs, before.attributes)
    made.activation = CLIPS[limits]
    _replace(graph, made, before, op)
    return True


def _bias(graph: Graph, found: Annotations, op: Op) -> bool:
    """Fuse MatMul with constant weights and the constant that is added to its result.

    A rounding between the two is dropped: TFLite rounds only the sum.
    """
    if op not in graph.ops or op.kind != "Add":
        return False
    for value, bias in (op.inputs, op.inputs[::-1]):
        before = _before(graph, found, value, rounded=True)
        if before is None or before.kind != "MatMul" or len(before.inputs) > 2:
            continue
        weights, constant = graph.constants.get(before.inputs[1]), graph.constants.get(bias)
        if weights is None or constant is None or weights.ndim != 2 or not constant.ndim:
            continue
        if constant.size == constant.shape[-1] == weights.shape[1]:
            name = f"{bias}/flat"
            graph.constants[name] = constant.reshape(-1)
            if bias in found.integers and not found.scales[bias].per_channel:
                found.scales[name] = found.scales[bias]
                found.integers[name] = found.integers[bias].reshape(-1)
            inputs = [*before.inputs, name]
            made = Op("MatMul", before.name, before.index, inputs, op.outputs)
            _replace(graph, made, before, op)
            return True
    return False


def _normalization(graph: Graph, found: Annotations, op: Op) -> bool:
    """Fold BatchNormalization into a float convolution, or replace it by MUL and ADD."""
    if op not in graph.ops or op.kind != "BatchNormalization":
        return False
    parameters = [graph.constants.get(name) for name in op.inputs[1:5]]
    if len(parameters) < 4 or any(p is None for p in parameters) or len(op.outputs) > 1:
        return False
    scale, bias, mean, variance = (np.asarray(p, np.float64) for p in parameters)
    factor = scale / np.sqrt(variance + float(op.attributes.get("epsilon", 1e-5)))
    offset = bias - mean * factor
    before = _before(graph, found, op.inputs[0])
    weights = graph.constants.get(before.input(1)) if before is not None else None
    if before is not None and before.kind == "Conv" and weights is not None:
        old = graph.constants.get(before.input(2), np.zeros(len(weights)))
        if before.input(1) not in found.scales and (not before.input(2) or len(old)):
            names = [f"{op.outputs[0]}/weights", f"{op.outputs[0]}/bias"]
            shaped = factor.reshape(-1, *[1] * (weights.ndim - 1))
            graph.constants[names[0]] = (weights * shaped).astype(np.float32)
            graph.constants[names[1]] = (old * factor + offset).astype(np.float32)
            inputs = [before.inputs[0], *names]
            made = Op("Conv", before.name, before.index, inputs, op.outputs, before.attributes)
            _replace(graph, made, before, op)
            return True
    rank = len(graph.shapes[op.inputs[0]])
    inner = f"{op.outputs[0]}/scaled"
    names = [f"{op.outputs[0]}/factor", f"{op.outputs[0]}/offset"]
    for name, value in zip(names, (factor, offset), strict=True):
        graph.constants[name] = value.astype(np.float32).reshape(-1, *[1] * (rank - 2))
    graph.shapes[inner] = graph.shapes[op.inputs[0]]
    graph.dtypes[inner] = "float32"
    position = graph.ops.index(op)
    graph.ops[position : position + 1] = [
        Op("Mul", op.name, op.index, [op.inputs[0], names[0]], [inner]),
        Op("Add", op.name, op.index, [inner, names[1]], op.outputs),
    ]
    return True


def _scaling(graph: Graph, found: Annotations, op: Op) -> bool:
    """Fold constants that are added to or multiplied with the channels of a float convolution."""
    if op not in graph.ops or op.kind not in ("Add", "Mul") or op.activation != "NONE":
        return False
    for value, name in (op.inputs, op.inputs[::-1]):
        constant = graph.constants.get(name)
        before = _before(graph, found, value)
        if constant is None or before is None or before.kind != "Conv" or name in found.scales:
            continue
        weights, shape = graph.constants.get(before.input(1)), graph.shapes[op.outputs[0]]
        if weights is None or before.activation != "NONE" or before.input(1) in found.scales:
            continue
        channels = len(weights)
        wide = (1,) * (len(shape) - constant.ndim) + constant.shape
        if wide not in ((1, channels, *[1] * (len(shape) - 2)), (1,) * len(shape)):
            continue
        numbers = np.broadcast_to(constant.reshape(-1), (channels,)).astype(np.float64)
        bias = graph.constants.get(before.input(2), np.zeros(channels))
        if before.input(2) and before.input(2) not in graph.constants:
            continue
        names = [before.inputs[1], f"{op.outputs[0]}/bias"]
        if op.kind == "Mul":
            names[0] = f"{op.outputs[0]}/weights"
            shaped = numbers.reshape(-1, *[1] * (weights.ndim - 1))
            graph.constants[names[0]] = (weights * shaped).astype(np.float32)
        added = bias + numbers if op.kind == "Add" else bias * numbers
        graph.constants[names[1]] = added.astype(np.float32)
        inputs = [before.inputs[0], *names]
        made = Op("Conv", before.name, before.index, inputs, op.outputs, before.attributes)
        _replace(graph, made, before, op)
        return True
    return False


def _hard_swish(graph: Graph, found: Annotations, op: Op) -> bool:
    """Match ``x * clip(x + 3, 0, 6) / 6``, with the division before or after the product."""
    if op not in graph.ops or op.kind != "Mul":
        return False
    for x, gate in (op.inputs, op.inputs[::-1]):
        parts = [op]
        value = gate
        divided = _before(graph, found, value)
        in_front = divided is not None and _sixth(graph, divided)
        if divided is not None and in_front:
            parts.append(divided)
            value = next(n for n in divided.inputs if n not in graph.constants)
        plus = _before(graph, found, value)
        if plus is not None and plus.kind == "Clip" and clip_range(graph, plus) == (0.0, 6.0):
            parts.append(plus)
            plus = _before(graph, found, plus.inputs[0])
        elif plus is not None and plus.activation != "RELU6":
            continue
        if plus is None or x not in plus.inputs or not _with_constant(graph, plus, {"Add": 3.0}):
            continue
        parts.append(plus)
        result = op.outputs[0]
        if not in_front:
            behind = _only_reader(graph, result)
            unseen = result not in graph.outputs and result not in found.scales
            if behind is None or not unseen or not _sixth(graph, behind):
                continue
            parts.append(behind)
            result = behind.outputs[0]
        made = Op("HardSwish", op.name, op.index, [x], [result])
        _replace(graph, made, *parts)
        return True
    return False


def _sixth(graph: Graph, op: Op) -> bool:
    return _with_constant(graph, op, {"Div": 6.0, "Mul": 1 / 6})


def _gelu(graph: Graph, found: Annotations, op: Op) -> bool:
    """Match ``x * 0.5 * (1 + erf(x / sqrt(2)))``, which exporters wrote before opset 20.

    Roundings between its operators are dropped: TFLite rounds only the result.
    """
    if op not in graph.ops or op.kind != "Erf":
        return False
    scaled = next((o for o in graph.ops if op.inputs[0] in o.outputs), None)
    if scaled is None or not _with_constant(graph, scaled, {"Div": _SQRT_2, "Mul": 1 / _SQRT_2}):
        return False
    x = next(n for n in scaled.inputs if n not in graph.constants)
    parts, value = [scaled, op], op.outputs[0]
    halved = False
    while True:
        following = _only_reader(graph, value)
        if following is None or value in graph.outputs:
            return False
        if len(parts) == 2:
            if not _with_constant(graph, following, {"Add": 1.0}):
                return False
        elif _with_constant(graph, following, {"Mul": 0.5}):
            halved = True
        elif following.kind == "Mul":
            other = next(n for n in following.inputs if n != value)
            half = next((o for o in graph.ops if other in o.outputs), None)
            if other != x:
                if half is None or x not in half.inputs:
                    return False
                if not _with_constant(graph, half, {"Mul": 0.5}):
                    return False
                halved = True
                parts.append(half)
        else:
            return False
        parts.append(following)
        value = following.outputs[0]
        whole = sum(x in o.inputs for o in parts if o is not scaled) == 1
        if halved and whole:
            made = Op("Gelu", op.name, op.index, [x], [value])
            _replace(graph, made, *parts)
            return True


def _only_reader(graph: Graph, name: str) -> Op | None:
    found = [op for op in graph.ops if name in op.inputs]
    return found[0] if len(found) == 1 else None


def _with_constant(graph: Graph, op: Op, known: Mapping[str, float]) -> bool:
    """Whether an operator has one of these constants as its second operand."""
    wanted = known.get(op.kind)
    if wanted is None:
        return False
    names = op.inputs[1:] if op.kind == "Div" else op.inputs
    values = [graph.constants[name] for name in names if name in graph.constants]
    return any(v.size == 1 and abs(float(v.reshape(-1)[0]) - wanted) < 1e-5 for v in values)
