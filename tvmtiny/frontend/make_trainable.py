"""Choice of the layers that are trained on the device: their weights become states."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.model import Model
from tvmtiny.frontend.training import Training
from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.graph import State

__all__ = ["make_trainable"]

#: Number of layers by the value of the option.
_LAYERS = {"last": 1, "last2": 2}

#: Limit of weights, because C indexes them by int32.
_MOST_WEIGHTS = 1 << 24


def make_trainable(model: Model, which: str = "last") -> Model:
    """Make the last layers of a model trainable on the device.

    The weights and biases of the layers become states with the values of the file as initial
    values. Their inputs and outputs become outputs of the model, unless they are outputs already.

    Parameters
    ----------
    model
        The model; it is not changed.
    which
        The layers. ``last`` is the last FULLY_CONNECTED, ``last2`` are the last two, of which the
        second one takes the output of the first one.

    Returns
    -------
    Model
        The trainable model.

    Raises
    ------
    InputError
        If there are no such layers, or their activations or weights are not int8.
    """
    if which not in _LAYERS:
        raise InputError(f"{quoted(which)} cannot be trained; allowed: {', '.join(_LAYERS)}")
    if model.training is not None:
        raise InputError(f"{model.name} is trainable already")
    graph = model.graph
    found = [node for node in graph.nodes if node.operator == "FULLY_CONNECTED"]
    count = _LAYERS[which]
    if len(found) < count:
        few = "has no FULLY_CONNECTED, the only layer that can be trained"
        if found:
            few = f"has {len(found)} FULLY_CONNECTED; {which} trains two"
        raise InputError(f"{model.name} {few}")
    nodes = found[: -count - 1 : -1]
    parts = [_parts(model, node, last=node is nodes[0]) for node in nodes]
    if count > 1:
        _check_chain(model, *nodes)
    variables = [tensor for _, weights, bias in parts for tensor in (weights, bias)]
    changed = {t.index: replace(t, data=None, variable=True) for t in variables}
    outputs = list(graph.outputs)
    for node, (x, *_) in zip(nodes, parts, strict=True):
        for tensor in (node.output, x):
            if all(tensor.index != output.index for output in outputs):
                outputs.append(tensor)
    states = list(graph.states)
    for tensor in variables:
        variable = changed[tensor.index]
        assert tensor.data is not None
        states.append(State(tensor.name, variable, variable, tensor.data))
    labels = graph.output_labels
    training = None
    for number in reversed(range(count)):
        state = len(graph.states) + 2 * number
        training = _training(nodes[number], parts[number], outputs, state, training)
    marked = replace(
        graph,
        tensors=tuple(changed.get(t.index, t) for t in graph.tensors),
        nodes=tuple(_with_inputs(n, changed) if n in nodes else n for n in graph.nodes),
        outputs=tuple(outputs),
        states=tuple(states),
        output_labels=(*labels, *[""] * (len(outputs) - len(labels))) if labels else labels,
    )
    return replace(model, graph=marked, training=training)


def _with_inputs(node: Node, changed: Mapping[int, Tensor]) -> Node:
    inputs = (changed.get(t.index, t) if t is not None else None for t in node.inputs)
    return replace(node, inputs=tuple(inputs))


def _training(
    node: Node,
    parts: tuple[Tensor, Tensor, Tensor],
    outputs: Sequence[Tensor],
    state: int,
    before: Training | None,
) -> Training:
    """Describe a layer whose weights and biases are the states from number ``state`` on."""
    x, weights, bias = parts
    channels, depth = weights.shape
    assert weights.quantization is not None
    scales = weights.quantization.scales
    positions = {output.index: position for position, output in enumerate(outputs)}
    lower, upper = _bounds(node)
    return Training(
        node.output.name,
        depth,
        channels,
        state,
        state + 1,
        positions[x.index],
        positions[node.output.index],
        tuple(scales if len(scales) == channels else scales * channels),
        x.scale,
        x.zero_point,
        node.output.scale,
        node.output.zero_point,
        _identity(
            *(tensor.data for tensor in (weights, bias)),
            np.array(scales, np.float32),
            start=before.identity if before else 0,
        ),
        lower,
        upper,
        before,
    )


def _bounds(node: Node) -> tuple[int, int]:
    """Return the int8 values at which the fused activation stops the gradient."""
    lower, upper = -129, 128
    activation = _activation(node)
    if activation != "NONE":
        lower = node.output.zero_point
    if activation == "RELU6":
        six = np.float32(6) / np.float32(node.output.scale)
        upper = min(upper, node.output.zero_point + int(np.floor(six + np.float32(0.5))))
    return lower, upper


def _activation(node: Node) -> str:
    return str(node.options.get("fused_activation_function") or "NONE")


def _check_chain(model: Model, last: Node, before: Node) -> None:
    """Refuse two layers between which there is anything but the activation of the first one."""
    between = before.output.index
    users = [n for n in model.graph.nodes for t in n.inputs if t is not None and t.index == between]
    if last.input(0).index != between or users != [last]:
        raise InputError(
            f"the output of {before.output.name} is not only the input of {last.output.name}; two "
            "layers can be trained if the second one takes the output of the first one and nothing "
            "else does"
        )


def _identity(*arrays: np.ndarray | None, start: int) -> int:
    crc = start
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc


def _parts(model: Model, node: Node, *, last: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return input, weights and bias of a layer; raise an error if it cannot be trained."""
    allowed = ("NONE",) if last else ("NONE", "RELU", "RELU6")
    x, weights, bias = node.input(0), node.input(1), node.optional_input(2)
    problem = ""
    if {x.dtype, weights.dtype, node.output.dtype} != {"int8"}:
        problem = f"has {x.dtype} activations and {weights.dtype} weights, not int8"
    elif weights.data is None or bias is None or bias.data is None or bias.dtype != "int32":
        problem = "has no constant weights and biases"
    elif node.output.elements != weights.shape[0]:
        problem = "computes more than one row"
    elif _activation(node) not in allowed:
        problem = f"has the fused activation {_activation(node)}"
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
            f"the last FULLY_CONNECTED{'' if last else ' but one'} of {model.name} "
            f"({node.output.name}) {problem}; only an int8 layer of one row with a bias and "
            f"{'without an activation' if last else 'RELU, RELU6 or no activation'} can be trained"
        )
    return x, weights, bias
