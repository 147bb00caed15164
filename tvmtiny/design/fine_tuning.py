"""Quantization-aware fine-tuning: training with the rounding of the integer model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tvmtiny.design.data import Dataset
from tvmtiny.design.network import Network, Op, Precisions, Ranges, dtypes_of, scales_of
from tvmtiny.design.scales import AXES, LARGEST, weight_scales
from tvmtiny.design.training import TrainOptions, fit, keras_package
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.ops.shared.quantization import INTEGER_RANGES

__all__ = ["FINE_TUNING", "fine_tuned"]

#: Default parameters: few epochs at a low rate, as the network is trained already.
FINE_TUNING = TrainOptions(epochs=10, rate=0.001)

_ACTIVATIONS = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0)}


def fine_tuned(
    network: Network,
    data: Dataset,
    ranges: Ranges,
    options: TrainOptions | None = None,
    *,
    precisions: Precisions | None = None,
    targets: np.ndarray | None = None,
    loss: Any = None,
) -> Network:
    """Train a network with rounded weights and activations.

    Forward, weights and activations have the values of the integer model; backward, rounding
    counts as the identity within the range of an activation (Jacob and others: Quantization and
    Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018).
    Normalizations are already folded, and scales of weights and ranges of activations do not
    change.

    Parameters
    ----------
    network
        A trained network; a softmax at its end is part of the loss.
    data
        Samples for training.
    ranges
        Ranges of activations of the integer model.
    options
        Parameters of the training; `FINE_TUNING` by default.
    precisions
        Precisions of layers other than ``int8``.
    targets, loss
        Targets and loss function of logits; by default the classes and cross entropy.

    Returns
    -------
    Network
        The network with weights and scales to use with `ranges` and `precisions`.

    Raises
    ------
    ToolMissingError
        If Keras is not installed.
    InputError
        If the loss is not finite, the network does not fit the data, or there is no such layer or
        precision.
    """
    options = options or FINE_TUNING
    keras = keras_package()
    keras.utils.set_random_seed(options.seed)
    if network.input_shape[1:] != data.shape:
        raise InputError(
            f"the network takes inputs of shape {list(network.input_shape[1:])}, but samples have "
            f"shape {list(data.shape)}"
        )
    model = _rounding_model(keras, network, ranges, precisions or {})
    fit(
        model,
        data,
        options,
        targets=targets,
        loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model.network()


def _rounding_model(keras: Any, network: Network, ranges: Ranges, precisions: Precisions) -> Any:
    """Make a Keras model that computes the logits of `network` with rounding."""
    dtypes = dtypes_of(network, precisions)
    scales = {dtype: scales_of(network, ranges, dtype) for dtype in {*dtypes.values(), "int8"}}
    ops = keras.ops
    weighted: dict[str, tuple[Any, Any, np.ndarray]] = {}

    def rounding(x: Any, name: str, dtype: str) -> Any:
        scale, zero = scales[dtype][name]
        least, most = ((end - zero) * scale for end in INTEGER_RANGES[dtype])
        inside = ops.clip(x, least, most)
        return inside + ops.stop_gradient(ops.round(inside / scale) * scale - inside)

    class RoundingModel(keras.Model):  # type: ignore[misc]
        """The network, with a weight and a bias for each operator that has them."""

        def __init__(self) -> None:
            super().__init__()
            for number, op in enumerate(network.ops):
                if op.weights is None:
                    continue
                filters = op.weights.shape[AXES[op.operator]]
                bias = np.zeros(filters, np.float32) if op.bias is None else op.bias
                made = [
                    self.add_weight(
                        name=f"{part}_{number}",
                        shape=value.shape,
                        initializer=keras.initializers.Constant(value),
                    )
                    for part, value in (("weights", op.weights), ("bias", bias))
                ]
                weighted[op.output] = (*made, _scales(op, precisions))

        def call(self, x: Any) -> Any:
            found = {network.input: rounding(x, network.input, dtypes[network.input])}
            for op in network.ops:
                dtype = dtypes[op.output]
                inputs = [
                    found[name] if dtypes[name] == dtype else rounding(found[name], name, dtype)
                    for name in op.inputs
                ]
                if op.operator == "SOFTMAX" and op.output == network.output:
                    return inputs[0]
                found[op.output] = rounding(self._computed(op, inputs), op.output, dtype)
            return found[network.output]

        def _computed(self, op: Op, inputs: list[Any]) -> Any:
            if op.weights is None:
                return _unweighted(ops, op, inputs)
            weights, bias, steps = weighted[op.output]
            most, shape = LARGEST[precisions.get(op.output, "int8")], [1] * op.weights.ndim
            shape[AXES[op.operator]] = -1
            steps = steps.reshape(shape)
            near = ops.clip(ops.round(weights / steps), -most, most) * steps
            weights = weights + ops.stop_gradient(near - weights)
            low, high = _ACTIVATIONS[str(op.options.get("fused_activation_function", "NONE"))]
            return _clamped(ops, _product(ops, op, inputs[0], weights) + bias, low, high)

        def network(self) -> Network:
            """Return the network with the trained weights, and the scales of their rounding."""
            made = []
            for op in network.ops:
                if op.output in weighted:
                    *trained, steps = weighted[op.output]
                    weights, bias = (np.asarray(ops.convert_to_numpy(v)) for v in trained)
                    op = replace(op, weights=weights, bias=bias, scales=steps)
                made.append(op)
            return replace(network, ops=tuple(made))

    return RoundingModel()


def _scales(op: Op, precisions: Precisions) -> np.ndarray:
    assert op.weights is not None
    if op.scales is not None:
        return op.scales
    return weight_scales(op.weights, AXES[op.operator], precisions.get(op.output, "int8"))


def _clamped(ops: Any, x: Any, low: float | None, high: float | None) -> Any:
    if low is None:
        return x
    return ops.maximum(x, low) if high is None else ops.clip(x, low, high)


def _product(ops: Any, op: Op, x: Any, weights: Any) -> Any:
    """Compute a convolution or a dense layer without its bias; weights are in TFLite's layout."""
    if op.operator == "FULLY_CONNECTED":
        return ops.matmul(x, ops.transpose(weights))
    options = op.options
    window = {
        "strides": (options["stride_h"], options["stride_w"]),
        "padding": str(options["padding"]).lower(),
        "data_format": "channels_last",
        "dilation_rate": (options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)),
    }
    if op.operator == "CONV_2D":
        return ops.conv(x, ops.transpose(weights, (1, 2, 3, 0)), **window)
    assert op.weights is not None
    height, width, channels = op.weights.shape[1:]
    multiplier = int(options["depth_multiplier"])
    kernel = ops.reshape(weights, (height, width, channels // multiplier, multiplier))
    return ops.depthwise_conv(x, kernel, **window)


def _unweighted(ops: Any, op: Op, inputs: list[Any]) -> Any:
    """Compute an operator without weights."""
    x, options = inputs[0], op.options
    if op.operator == "ADD":
        low, high = _ACTIVATIONS[str(options.get("fused_activation_function", "NONE"))]
        return _clamped(ops, x + inputs[1], low, high)
    if op.operator in ("RELU", "RELU6"):
        return _clamped(ops, x, *_ACTIVATIONS[op.operator])
    if op.operator == "MEAN":
        return ops.mean(x, axis=(1, 2), keepdims=bool(options["keep_dims"]))
    if op.operator == "RESHAPE":
        return ops.reshape(x, (-1, *op.shape[1:]))
    if op.operator == "SOFTMAX":
        return ops.softmax(x)
    if op.operator == "PAD":
        assert op.constant is not None
        return ops.pad(x, [tuple(int(v) for v in pair) for pair in op.constant])
    if op.operator not in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        raise InputError(f"the operator {quoted(op.operator)} cannot be trained with rounding")
    pool = ops.max_pool if op.operator == "MAX_POOL_2D" else ops.average_pool
    return pool(
        x,
        (options["filter_height"], options["filter_width"]),
        strides=(options["stride_h"], options["stride_w"]),
        padding=str(options["padding"]).lower(),
        data_format="channels_last",
    )
