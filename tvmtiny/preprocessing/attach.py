"""Combination of a front end with a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import short_name
from tvmtiny.frontend import Model
from tvmtiny.frontend.feed import Feed
from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.graph import Graph, State
from tvmtiny.preprocessing.detection import Detection
from tvmtiny.preprocessing.front_end import FrontEnd, Parts

__all__ = ["with_front_end"]


def with_front_end(
    model: Model,
    front_end: FrontEnd,
    *,
    stride: int | None = None,
    detection: Detection | None = None,
) -> Model:
    """Put a front end before a model, which then takes samples in place of features.

    Parameters
    ----------
    model
        A model whose only input holds rows of the front end's features, the oldest first.
    front_end
        The front end.
    stride
        Number of new rows in each decision: by default all rows for a model with states, and one
        row for other models. With fewer new rows than the input holds, the model runs on sliding
        windows.
    detection
        The condition for an event; by default an output above 0.5.

    Returns
    -------
    Model
        A model whose input is the samples of one decision. Its states hold the samples and rows
        that later windows need.

    Raises
    ------
    InputError
        If the model's input is not a stack of the front end's features, or `stride` or `detection`
        cannot be used.
    """
    if model.feed is not None:
        raise InputError(f"{model.name} has a front end already: {model.feed.front_end}")
    graph, detection = model.graph, detection or Detection()
    x = _input(model)
    front_end = front_end.fitted(model.name, x.shape)
    rows = _rows(model, x, front_end)
    new_rows = _stride(stride, rows, bool(graph.states))
    tensors = list(graph.tensors)

    def new(name: str, shape: tuple[int, ...], dtype: str) -> Tensor:
        tensor = Tensor(len(tensors), name, shape, dtype)
        tensors.append(tensor)
        return tensor

    def like(name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = replace(new(name, shape, x.dtype), quantization=x.quantization)
        tensors[tensor.index] = tensor
        return tensor

    width = front_end.features
    slides = new_rows < rows
    features = like("features", (1, new_rows * width)) if slides else x
    parts = front_end.parts(features, new_rows, new)
    nodes, states = list(parts.nodes), list(parts.states)
    if slides:
        kept = (rows - new_rows) * width
        before, after = like("window", (1, rows * width)), like("window/after", (1, rows * width))
        older, whole = like("window/older", (1, kept)), like("window/new", (1, rows * width))
        begin = _constant(tensors, np.array([0, new_rows * width], np.int32))
        end = _constant(tensors, np.array([1, rows * width], np.int32))
        step = _constant(tensors, np.array([1, 1], np.int32))
        shape = _constant(tensors, np.array(x.shape, np.int32))
        masks = dict.fromkeys(
            ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0
        )
        nodes += [
            Node(0, "STRIDED_SLICE", 1, (before, begin, end, step), (older,), masks),
            Node(0, "CONCATENATION", 1, (older, features), (whole,), {"axis": 1}),
            Node(0, "RESHAPE", 1, (whole, shape), (x,), {"new_shape": list(x.shape)}),
            Node(0, "ASSIGN_VARIABLE", 1, (whole,), (after,)),
        ]
        silence = np.full(before.shape, x.zero_point, x.dtype)
        states.append(State("window", before, after, silence))
    added = _numbered(nodes, graph.nodes)
    front = Graph(tuple(tensors), added, (parts.samples,), (x,), {}, tuple(states))
    whole_graph = replace(
        graph,
        tensors=tuple(tensors),
        nodes=(*added, *graph.nodes),
        inputs=(parts.samples,),
        states=(*states, *graph.states),
        input_labels=(parts.samples.name,),
    )
    feed = _feed(model, front_end, parts, len(added), detection)
    return replace(model, graph=whole_graph, front=front, feed=feed)


def _input(model: Model) -> Tensor:
    """Return the model's only input."""
    inputs = model.graph.inputs
    if len(inputs) != 1:
        raise InputError(
            f"{model.name} has {len(inputs)} inputs; a front end needs a model with one"
        )
    return inputs[0]


def _rows(model: Model, x: Tensor, front_end: FrontEnd) -> int:
    """Return the number of rows of features in the model's input."""
    width = front_end.features
    wanted = f"rows of the {width} features of the front end {front_end.name}"
    sizes = [int(np.prod(x.shape[first:])) for first in range(len(x.shape))]
    flat = sum(size > 1 for size in x.shape) == 1 and x.elements % width == 0
    if not (width in sizes or flat):
        raise InputError(
            f"{model.name}'s input {short_name(x.name, 60)} is {list(x.shape)}, not a stack of "
            f"{wanted}, such as [1, {max(1, x.elements // width)}, {width}]"
        )
    if x.dtype != "int8" or x.quantization is None or x.quantization.per_channel:
        kind = x.dtype if x.quantization else f"{x.dtype} without a scale"
        raise InputError(
            f"{model.name}'s input {short_name(x.name, 60)} is {kind}; a front end computes int8 "
            "with one scale: quantize the model first (tvmtiny quantize)"
        )
    return x.elements // width


def _stride(stride: int | None, rows: int, remembers: bool) -> int:
    if stride is None:
        return rows if remembers else 1
    if not 1 <= stride <= rows:
        raise InputError(f"{stride} new rows per decision are not possible; give 1 to {rows}")
    return stride


def _numbered(added: list[Node], others: tuple[Node, ...]) -> tuple[Node, ...]:
    """Number nodes starting after the indices of others."""
    first = max((node.index for node in others), default=-1) + 1
    return tuple(replace(node, index=first + i) for i, node in enumerate(added))


def _constant(tensors: list[Tensor], data: np.ndarray) -> Tensor:
    tensor = Tensor(
        len(tensors), f"constant_{len(tensors)}", data.shape, str(data.dtype), data=data
    )
    tensors.append(tensor)
    return tensor


def _feed(
    model: Model, front_end: FrontEnd, parts: Parts, nodes: int, detection: Detection
) -> Feed | None:
    """Return the parameters of the feed; None if the front end takes no endless samples."""
    if not front_end.steps:
        return None
    detection.check()
    outputs = model.graph.outputs
    output = outputs[0]
    if len(outputs) != 1 or output.dtype not in ("int8", "uint8", "int16"):
        kinds = ", ".join(f"{t.dtype} {list(t.shape)}" for t in outputs)
        raise InputError(
            f"{model.name} has {kinds} outputs; events need one output of int8, uint8 or int16: "
            "quantize the model (tvmtiny quantize)"
        )
    if output.quantization is None or output.quantization.per_channel:
        raise InputError(f"the output of {model.name} has no scale, which events need")
    early = 0 if parts.early is None else parts.states[parts.early].before.elements
    samples = parts.samples.elements
    milliseconds = 1000 * samples / front_end.sample_rate
    return Feed(
        front_end.name,
        nodes,
        front_end.sample_rate,
        samples,
        parts.early or 0,
        early,
        detection.positions(output),
        detection.average,
        detection.least_sum(output),
        detection.refractory(milliseconds),
    )
