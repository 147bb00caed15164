"""Choice of the layer that is trained on the device: its weights become states."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.model import Model
from tvmtiny.frontend.training import Training
from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.graph import State

__all__ = ["trainable"]

_LAYERS = ("last",)

#: Limit of weights, because C indexes them by int32.
_MOST_WEIGHTS = 1 << 24


def trainable(model: Model, which: str = "last") -> Model:
    """Make a layer of a model trainable on the device.

    The weights and biases of the layer become states with the values of the file as initial values.
    Its input and output become outputs of the model, unless they are outputs already.

    Parameters
    ----------
    model
        The model; it is not changed.
    which
        The layer. ``last`` is the last FULLY_CONNECTED.

    Returns
    -------
    Model
        The trainable model.

    Raises
    ------
    InputError
        If there is no such layer, or its activations or weights are not int8.
    """
    if which not in _LAYERS:
        raise InputError(f"{quoted(which)} cannot be trained; allowed: {', '.join(_LAYERS)}")
    if model.training is not None:
        raise InputError(f"{model.name} is trainable already")
    graph = model.graph
    found = [node for node in graph.nodes if node.operator == "FULLY_CONNECTED"]
    if not found:
        raise InputError(f"{model.name} has no FULLY_CONNECTED, the only layer that can be trained")
    node = found[-1]
    x, weights, bias = _parts(model, node)
    changed = {t.index: replace(t, data=None, variable=True) for t in (weights, bias)}
    new = replace(
        node, inputs=tuple(changed.get(t.index, t) if t is not None else None for t in node.inputs)
    )
    outputs = list(graph.outputs)
    for tensor in (node.output, x):
        if all(tensor.index != output.index for output in outputs):
            outputs.append(tensor)
    positions = {output.index: position for position, output in enumerate(outputs)}
    states = list(graph.states)
    for tensor in (weights, bias):
        variable = changed[tensor.index]
        assert tensor.data is not None
        states.append(State(tensor.name, variable, variable, tensor.data))
    channels, depth = weights.shape
    assert weights.quantization is not None
    scales = weights.quantization.scales
    labels = graph.output_labels
    training = Training(
        node.output.name,
        depth,
        channels,
        len(graph.states),
        len(graph.states) + 1,
        positions[x.index],
        positions[node.output.index],
        tuple(scales if len(scales) == channels else scales * channels),
        x.scale,
        x.zero_point,
        node.output.scale,
        node.output.zero_point,
        _identity(*(tensor.data for tensor in (weights, bias)), np.array(scales, np.float32)),
    )
    marked = replace(
        graph,
        tensors=tuple(changed.get(t.index, t) for t in graph.tensors),
        nodes=tuple(new if n is node else n for n in graph.nodes),
        outputs=tuple(outputs),
        states=tuple(states),
        output_labels=(*labels, *[""] * (len(outputs) - len(labels))) if labels else labels,
    )
    return replace(model, graph=marked, training=training)


def _identity(*arrays: np.ndarray | None) -> int:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc


def _parts(model: Model, node: Node) -> tuple[Tensor, Tensor, Tensor]:
    """Return input, weights and bias of a layer; raise an error if it cannot be trained."""
    x, weights, bias = node.input(0), node.input(1), node.optional_input(2)
    problem = ""
    if {x.dtype, weights.dtype, node.output.dtype} != {"int8"}:
        problem = f"has {x.dtype} activations and {weights.dtype} weights, not int8"
    elif weights.data is None or bias is None or bias.data is None or bias.dtype != "int32":
        problem = "has no constant weights and biases"
    elif node.output.elements != weights.shape[0]:
        problem = "computes more than one row"
    elif node.options.get("fused_activation_function", "NONE") not in ("NONE", None):
        problem = "has a fused activation"
    elif weights.elements > _MOST_WEIGHTS or any(
        sum(
            other is not None and other.index == t.index
            for n in model.graph.nodes
            for other in n.inputs
        )
        > 1
        for t in (weights, bias)
    ):
        problem = "shares its weights with another layer"
    if problem or bias is None:
        raise InputError(
            f"the last FULLY_CONNECTED of {model.name} ({node.output.name}) {problem}; only an "
            "int8 layer of one row with a bias and without an activation can be trained"
        )
    return x, weights, bias
