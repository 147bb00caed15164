"""Convert an ONNX graph to a .tflite file."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from tvmtiny.errors import UnsupportedModelError
from tvmtiny.frontend.writer import ModelWriter
from tvmtiny.importers.onnx import (
    arithmetic,
    control,
    convolution,
    matrices,
    movement,
    recurrent,
    reduce,
)
from tvmtiny.importers.onnx.context import HANDLERS, Context, RefusedError
from tvmtiny.importers.onnx.fusing import fused
from tvmtiny.importers.onnx.graph import Graph, Op, read
from tvmtiny.importers.onnx.quantization import annotated
from tvmtiny.importers.onnx.values import Value, channels_last
from tvmtiny.importers.results import Imported, ImportedTensor, moved_notes

__all__ = ["convert"]

#: Modules that register converters when they are imported.
_REGISTERED = (arithmetic, control, matrices, movement, recurrent, reduce, convolution)
#: Operators that need channels last.
_WINDOWS = (
    *("AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"),
    *("DepthToSpace", "InstanceNormalization", "Resize", "SpaceToDepth", "Upsample"),
)
#: Operators that work with any order of axes.
_KEEPING = (
    *("Add", "BatchNormalization", "Cast", "Clip", "Div", "HardSigmoid", "HardSwish", "Identity"),
    *("LeakyRelu", "Mul", "Pad", "Quantize", "Relu", "Sigmoid", "Sub", "Tanh"),
)
_ADVICE = "docs/from-onnx.md"


def convert(model: Any, path: str, *, keep_layout: bool = False) -> Imported:
    """Convert an ONNX model.

    Parameters
    ----------
    model
        An ``onnx.ModelProto``.
    path
        The path of the model, for messages.
    keep_layout
        Whether inputs and outputs keep ONNX's order of axes, at the cost of transpositions.

    Raises
    ------
    UnsupportedModelError
        If operators cannot be converted; the error lists all of them with the names of the user's
        nodes.
    ToolMissingError, ModelFormatError, DynamicShapeError
        See `tvmtiny.importers.onnx.graph.read`.
    """
    graph = read(model, path)
    found, problems = annotated(graph)
    fused(graph, found)
    writer = ModelWriter("tvmtiny, from ONNX")
    ctx = Context(graph, found, writer)
    ctx.problems += problems
    for name in graph.inputs:
        shape = graph.shapes[name]
        last = not keep_layout and _wants_channels_last(graph, name)
        order = channels_last(len(shape)) if last else tuple(range(len(shape)))
        ctx.add_input(name, shape, order)
    for op in graph.ops:
        _convert(ctx, op)
    if ctx.problems:
        unique = dict.fromkeys(sorted(ctx.problems, key=lambda p: p.index))
        raise UnsupportedModelError(tuple(unique), table=_ADVICE)
    inputs = [ctx.value(name) for name in graph.inputs]
    outputs = [ctx.output(name, keep_layout) for name in graph.outputs]
    writer.signature(
        [(v.name, v.index) for v in inputs],
        [(name, v.index) for name, v in zip(graph.outputs, outputs, strict=True)],
    )
    pairs = (graph.inputs, inputs), (graph.outputs, outputs)
    described = [
        tuple(_described(graph, name, v) for name, v in zip(names, values, strict=True))
        for names, values in pairs
    ]
    content = writer.build([v.index for v in outputs])
    notes = (
        *ctx.notes,
        *moved_notes("ONNX", "input", described[0]),
        *moved_notes("ONNX", "output", described[1]),
    )
    return Imported("ONNX", content, described[0], described[1], notes)


def _convert(ctx: Context, op: Op) -> None:
    handler = HANDLERS.get(op.kind)
    shapes = ctx.graph.shapes
    values = [n for n in (*op.inputs, *op.outputs) if n not in ctx.graph.constants]
    if handler is None:
        near = get_close_matches(op.kind, HANDLERS, 1, 0.8)
        ctx.problems.append(op.problem("the operator is not supported", " or ".join(near)))
    elif op.kind not in control.KINDS and any(
        min(shapes.get(name, ()), default=1) < 1 for name in values
    ):
        if not any(p.index < op.index for p in ctx.problems):
            ctx.problems.append(op.problem("a shape that is not known", "fixed shapes"))
    else:
        try:
            handler(ctx, op)
            return
        except RefusedError as error:
            ctx.problems.append(op.problem(error.reason, error.allowed))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # ONNX's checker accepts some faults, such as an axis that a value does not have.
            reason = f"operands that do not fit ({type(error).__name__}: {error})"
            ctx.problems.append(op.problem(reason, "what ONNX's specification allows"))
    # Define the outputs, so that later operators are checked as well.
    for name in op.outputs:
        shape = tuple(max(n, 1) for n in shapes.get(name, ()))
        dtype = ctx.graph.dtypes.get(name, "float32")
        order = tuple(range(len(shape)))
        ctx.define(name, ctx.result(name, shape, order, ctx.scaled_by_model(name), dtype))


def _wants_channels_last(graph: Graph, name: str) -> bool:
    """Whether an input reaches an operator on channels through operators of any order."""
    readers = graph.readers()
    if len(graph.shapes[name]) not in (3, 4):
        return False
    names, seen = [name], {name}
    while names:
        value = names.pop()
        for op in readers.get(value, ()):
            if op.kind in _WINDOWS and op.inputs[0] == value:
                return True
            if op.kind in _KEEPING:
                new = [n for n in op.outputs if n not in seen]
                seen.update(new)
                names += new
    return False


def _described(graph: Graph, name: str, value: Value) -> ImportedTensor:
    scale = value.scales
    return ImportedTensor(
        name,
        value.physical,
        value.dtype,
        None if scale is None else float(scale.scales[0]),
        0 if scale is None else int(scale.zero_points[0]),
        graph.shapes[name],
        value.order,
    )
