"""Conversion of Keras models to `Network`.

Normalizations are folded, activations are fused, and weights are laid out as in TFLite. Keras
itself is not imported: a model brings its layers with it, whatever its backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tvmtiny.design.network import Network, Op
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted

__all__ = ["KERAS_LAYERS", "from_keras"]

_ACTIVATIONS = {"linear": "NONE", "relu": "RELU", "relu6": "RELU6"}
_WEIGHTED = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense")

#: Layers that have no effect in an inference.
_NOTHING = ("Dropout", "SpatialDropout2D", "GaussianNoise", "ActivityRegularization")

#: Layers that can be converted.
KERAS_LAYERS = (
    "Activation",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    *_NOTHING,
    "Flatten",
    "GlobalAveragePooling2D",
    "MaxPooling2D",
    "ReLU",
    "Reshape",
    "Softmax",
    "ZeroPadding2D",
    *_WEIGHTED,
)


@dataclass(eq=False)
class _Step:
    """A layer, with its inputs and its output by name."""

    layer: Any
    kind: str
    inputs: list[str]
    output: str
    shape: tuple[int, ...]


def from_keras(model: Any) -> Network:
    """Convert a Keras model to a network.

    Parameters
    ----------
    model
        A functional or sequential model with one output, and with one input that is an image
        (height, width, channels) or a vector.

    Raises
    ------
    InputError
        If the model has other inputs or outputs, a layer that is not in `KERAS_LAYERS`, or a layer
        with an option that cannot be converted.
    """
    steps = _steps(model)
    readers: dict[str, list[_Step]] = {}
    for step in steps:
        for name in step.inputs:
            readers.setdefault(name, []).append(step)
    ops: list[Op] = []
    renamed: dict[str, str] = {}
    done: set[int] = set()
    for step in steps:
        if id(step) in done:
            continue
        step.inputs = [renamed.get(name, name) for name in step.inputs]
        if step.kind in _NOTHING or _is_linear(step):
            renamed[step.output] = step.inputs[0]
            continue
        made = _MADE[step.kind](step)
        if made[-1].weights is not None or step.kind == "Add":
            last, fused = _fused(step, made[-1], readers)
            made[-1] = last
            done |= {id(other) for other in fused}
        ops += made
    tensors = model.inputs[0]
    if not ops:
        raise InputError("the Keras model computes nothing")
    return Network(tensors.name, _shape(tensors), tuple(ops))


def _steps(model: Any) -> list[_Step]:
    """Return the layers in the order of execution."""
    inputs, outputs = list(getattr(model, "inputs", None) or ()), list(model.outputs or ())
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"the Keras model has {len(inputs)} inputs and {len(outputs)} outputs; tvmtiny designs "
            "models with one of each"
        )
    layers = {id(layer) for layer in model.layers}
    for operation in getattr(model, "operations", ()):
        if id(operation) not in layers:
            raise InputError(
                f"the operation {quoted(operation.name)} is not a layer; use layers only: "
                f"{', '.join(sorted(KERAS_LAYERS))}"
            )
    names = {id(inputs[0]): inputs[0].name}
    found: list[_Step] = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        if kind not in KERAS_LAYERS:
            raise InputError(
                f"the layer {quoted(layer.name)} is a {kind}, which is not supported; supported: "
                f"{', '.join(sorted(KERAS_LAYERS))}"
            )
        nodes = [n for n in layer._inbound_nodes if all(_known(t, names) for t in n.input_tensors)]
        if len(nodes) != 1:
            raise InputError(
                f"the layer {quoted(layer.name)} is used {len(nodes)} times in the model; use a "
                "separate layer each time"
            )
        (output,) = nodes[0].outputs
        names[id(output)] = layer.name
        inside = [names[id(tensor)] for tensor in nodes[0].input_tensors]
        found.append(_Step(layer, kind, inside, layer.name, _shape(output)))
    if names.get(id(outputs[0])) != found[-1].output:
        raise InputError("the output of the Keras model is not the output of its last layer")
    return found


def _known(tensor: Any, names: dict[int, str]) -> bool:
    return id(tensor) in names


def _shape(tensor: Any) -> tuple[int, ...]:
    shape = tuple(tensor.shape)[1:]
    if None in shape or len(shape) not in (1, 3):
        raise InputError(
            f"the tensor {quoted(tensor.name)} has the shape {list(shape)}; tvmtiny designs "
            "networks of images (height, width, channels) and vectors of known size"
        )
    return (1, *(int(d) for d in shape))


def _activation(layer: Any) -> str:
    """Return the name of a layer's activation function in Keras."""
    if type(layer).__name__ == "ReLU":
        largest = getattr(layer, "max_value", None)
        plain = not getattr(layer, "negative_slope", 0) and not getattr(layer, "threshold", 0)
        if not plain or largest not in (None, 6, 6.0):
            raise InputError(
                f"the layer {quoted(layer.name)} is a ReLU with options; allowed: none, or "
                "max_value=6"
            )
        return "relu" if largest is None else "relu6"
    function = getattr(layer, "activation", None)
    name = str(getattr(function, "__name__", "linear")) if function is not None else "linear"
    if name not in (*_ACTIVATIONS, "softmax"):
        raise InputError(
            f"the layer {quoted(layer.name)} has the activation {quoted(name)}; known: "
            f"{', '.join(_ACTIVATIONS)}, softmax"
        )
    return name


def _is_linear(step: _Step) -> bool:
    return step.kind == "Activation" and _activation(step.layer) == "linear"


def _fused(step: _Step, op: Op, readers: dict[str, list[_Step]]) -> tuple[Op, list[_Step]]:
    """Return an operator with the normalization and the activation that follow it."""
    fused: list[_Step] = []
    current, activation = step, _activation(step.layer) if step.kind != "Add" else "linear"
    while activation == "linear":
        after = readers.get(current.output, [])
        if len(after) != 1:
            break
        following = after[0]
        if following.kind == "BatchNormalization" and op.weights is not None:
            op = _normalized(op, following.layer)
        elif following.kind in ("ReLU", "Activation"):
            activation = _activation(following.layer)
            if activation == "softmax":
                break
        else:
            break
        fused.append(following)
        op = replace(op, output=following.output, layers=(*op.layers, following.output))
        current = following
    if activation == "softmax":
        activation = "linear"
    options = {**op.options, "fused_activation_function": _ACTIVATIONS[activation]}
    return replace(op, options=options), fused


def _normalized(op: Op, layer: Any) -> Op:
    """Fold a batch normalization into weights and bias."""
    assert op.weights is not None
    mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else np.ones_like(mean)
    beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + layer.epsilon)
    axis = 3 if op.operator == "DEPTHWISE_CONV_2D" else 0
    shape = [1] * op.weights.ndim
    shape[axis] = -1
    bias = np.zeros_like(mean) if op.bias is None else op.bias
    return replace(
        op,
        weights=(op.weights * factor.reshape(shape)).astype(np.float32),
        bias=((bias - mean) * factor + beta).astype(np.float32),
    )


def _array(weights: Any) -> np.ndarray:
    return np.asarray(weights, np.float32)


def _bias(layer: Any) -> np.ndarray | None:
    return _array(layer.bias) if layer.use_bias else None


def _window(layer: Any, rates: Sequence[int] | None = None) -> dict[str, Any]:
    rates = rates or layer.dilation_rate
    return {
        "padding": layer.padding.upper(),
        "stride_h": int(layer.strides[0]),
        "stride_w": int(layer.strides[1]),
        "dilation_h_factor": int(rates[0]),
        "dilation_w_factor": int(rates[1]),
    }


def _finished(step: _Step, op: Op) -> list[Op]:
    """Return the operator, followed by a softmax if that is the layer's activation."""
    if _activation(step.layer) != "softmax":
        return [op]
    inner = replace(
        op,
        output=f"{op.output}/logits",
        options={**op.options, "fused_activation_function": "NONE"},
    )
    softmax = Op(
        "SOFTMAX", (inner.output,), op.output, op.shape, options={"beta": 1.0}, layers=op.layers
    )
    return [inner, softmax]


def _conv(step: _Step) -> list[Op]:
    layer = step.layer
    if layer.groups != 1:
        raise InputError(f"the layer {quoted(layer.name)} has {layer.groups} groups; allowed: 1")
    weights = _array(layer.kernel).transpose(3, 0, 1, 2)
    return _finished(step, _op(step, "CONV_2D", weights, _bias(layer), _window(layer)))


def _op(
    step: _Step,
    operator: str,
    weights: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    options: dict[str, Any] | None = None,
    constant: np.ndarray | None = None,
) -> Op:
    weights = None if weights is None else np.ascontiguousarray(weights)
    return Op(
        operator,
        tuple(step.inputs),
        step.output,
        step.shape,
        weights,
        bias,
        constant,
        options or {},
        (step.output,),
    )


def _depthwise_options(layer: Any, multiplier: int) -> dict[str, Any]:
    return {**_window(layer), "depth_multiplier": multiplier}


def _depthwise_weights(kernel: Any) -> np.ndarray:
    array = _array(kernel)
    return array.reshape(1, *array.shape[:2], -1)


def _depthwise(step: _Step) -> list[Op]:
    layer = step.layer
    weights = _depthwise_weights(layer.kernel)
    options = _depthwise_options(layer, layer.depth_multiplier)
    return _finished(step, _op(step, "DEPTHWISE_CONV_2D", weights, _bias(layer), options))


def _separable(step: _Step) -> list[Op]:
    layer = step.layer
    weights = _depthwise_weights(layer.depthwise_kernel)
    options = _depthwise_options(layer, layer.depth_multiplier)
    options["fused_activation_function"] = "NONE"
    inner = f"{step.output}/depthwise"
    shape = (*step.shape[:3], weights.shape[3])
    first = replace(
        _op(step, "DEPTHWISE_CONV_2D", weights, None, options), output=inner, shape=shape
    )
    pointwise = _array(layer.pointwise_kernel).transpose(3, 0, 1, 2)
    window = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    window |= {"dilation_h_factor": 1, "dilation_w_factor": 1}
    second = replace(_op(step, "CONV_2D", pointwise, _bias(layer), window), inputs=(inner,))
    return [first, *_finished(step, second)]


def _dense(step: _Step) -> list[Op]:
    if len(step.shape) != 2:
        raise InputError(
            f"the layer {quoted(step.output)} is a Dense over images; put a Flatten before it"
        )
    weights = _array(step.layer.kernel).T
    return _finished(step, _op(step, "FULLY_CONNECTED", weights, _bias(step.layer)))


def _pool(step: _Step) -> list[Op]:
    layer = step.layer
    operator = "MAX_POOL_2D" if step.kind == "MaxPooling2D" else "AVERAGE_POOL_2D"
    options = {
        "padding": layer.padding.upper(),
        "stride_h": int(layer.strides[0]),
        "stride_w": int(layer.strides[1]),
        "filter_height": int(layer.pool_size[0]),
        "filter_width": int(layer.pool_size[1]),
    }
    return [_op(step, operator, options=options)]


def _mean(step: _Step) -> list[Op]:
    axes = np.array([1, 2], np.int32)
    keep = bool(getattr(step.layer, "keepdims", False))
    return [_op(step, "MEAN", options={"keep_dims": keep}, constant=axes)]


def _reshape(step: _Step) -> list[Op]:
    return [_op(step, "RESHAPE", options={}, constant=np.array(step.shape, np.int32))]


def _add(step: _Step) -> list[Op]:
    if len(step.inputs) != 2:
        raise InputError(
            f"the layer {quoted(step.output)} adds {len(step.inputs)} tensors; allowed: 2"
        )
    return [_op(step, "ADD")]


def _pad(step: _Step) -> list[Op]:
    paddings = np.array([(0, 0), *step.layer.padding, (0, 0)], np.int32)
    return [_op(step, "PAD", options={}, constant=paddings)]


def _alone(step: _Step) -> list[Op]:
    """Convert an activation that could not be fused."""
    name = "softmax" if step.kind == "Softmax" else _activation(step.layer)
    if name == "softmax":
        return [_op(step, "SOFTMAX", options={"beta": 1.0})]
    return [_op(step, _ACTIVATIONS[name])]


def _normalization(step: _Step) -> list[Op]:
    raise InputError(
        f"the layer {quoted(step.output)} normalizes what is no convolution or dense layer without "
        "an activation; put it behind one"
    )


_MADE: dict[str, Callable[[_Step], list[Op]]] = {
    "Activation": _alone,
    "Add": _add,
    "AveragePooling2D": _pool,
    "BatchNormalization": _normalization,
    "Conv2D": _conv,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Flatten": _reshape,
    "GlobalAveragePooling2D": _mean,
    "MaxPooling2D": _pool,
    "ReLU": _alone,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
    "Softmax": _alone,
    "ZeroPadding2D": _pad,
}
