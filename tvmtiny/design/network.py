"""A network with float weights, as the stage between training and a .tflite file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.writer import ModelWriter
from tvmtiny.oracle import run_litert_frames

__all__ = ["Network", "Op", "Ranges", "calibrated_ranges", "guessed_ranges", "macs", "to_tflite"]

#: Scale and zero point of a softmax's output: 256 steps from 0.
_PROBABILITIES = (1 / 256, -128)

#: Operators whose output shares the scale of their input.
_SAME_SCALE = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "RESHAPE")

_QUANTIZED = {"int8": (-128, 127)}

#: Dimension of the filters in TFLite's weights.
_AXES = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}

_VERSIONS = {"CONV_2D": 3, "FULLY_CONNECTED": 4, "DEPTHWISE_CONV_2D": 3, "RESHAPE": 1}


@dataclass(frozen=True, eq=False)
class Op:
    """An operator of a network.

    Attributes
    ----------
    operator
        TFLite's name.
    inputs, output
        Names of activations.
    shape
        Shape of the output, including the batch of 1.
    weights, bias
        float32 arrays in TFLite's layout, or None.
    constant
        Another constant input, such as paddings.
    options
        Options for `tvmtiny.frontend.writer.ModelWriter.op`.
    layers
        Names of the framework's layers that the operator stands for; the one with the weights is
        first.
    """

    operator: str
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None
    constant: np.ndarray | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Network:
    """A network with one input and one output.

    Attributes
    ----------
    input, input_shape
        Name and shape of the input, including the batch of 1.
    ops
        The operators in the order of execution; the last one computes the output.
    """

    input: str
    input_shape: tuple[int, ...]
    ops: tuple[Op, ...]

    @property
    def output(self) -> str:
        """Name of the output."""
        return self.ops[-1].output

    @property
    def weights(self) -> int:
        """Number of weights, without biases."""
        return sum(op.weights.size for op in self.ops if op.weights is not None)


#: Smallest and largest value of each activation, by name.
Ranges = Mapping[str, tuple[float, float]]


def guessed_ranges(network: Network) -> Ranges:
    """Guess ranges for estimates of untrained networks, whose costs hardly depend on them."""
    found = {network.input: (-1.0, 1.0)}
    for op in network.ops:
        clamped = str(op.options.get("fused_activation_function", "NONE"))
        low, high = found[op.inputs[0]]
        if op.operator not in _SAME_SCALE:
            low, high = (0.0 if clamped != "NONE" else -6.0), 6.0
        found[op.output] = (low, high)
    return found


def to_tflite(network: Network, ranges: Ranges | None, description: str = "tvmtiny") -> bytes:
    """Convert `network` to an int8 or a float32 model.

    The int8 model has a scale per channel for weights and a scale per tensor for activations.

    Parameters
    ----------
    network
        The network.
    ranges
        Ranges of all activations for representative data, to which zero is added. None for a
        float model.
    description
        Description in the file.

    Returns
    -------
    bytes
        The content of a .tflite file.

    Raises
    ------
    InputError
        If a weight or a range is not finite.
    """
    return _written(network, ranges, description)[0]


def calibrated_ranges(network: Network, samples: np.ndarray) -> Ranges:
    """Measure the smallest and largest values of all activations.

    Parameters
    ----------
    network
        The network.
    samples
        Inputs: float32, ``(count, *shape)``.

    Raises
    ------
    InputError
        If a weight is not finite.
    ToolMissingError
        If LiteRT is not installed.
    """
    content, indices = _written(network, None, "calibration")
    frames = [[x.reshape(network.input_shape).astype(np.float32)] for x in samples]
    found = dict.fromkeys(indices, (np.inf, -np.inf))
    for tensors in run_litert_frames(content, frames):
        for name, index in indices.items():
            low, high = found[name]
            values = tensors[index]
            found[name] = (np.minimum(low, values.min()), np.maximum(high, values.max()))
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def _written(
    network: Network, ranges: Ranges | None, description: str
) -> tuple[bytes, dict[str, int]]:
    """Return the content of the file, and the tensor indices of activations by name."""
    writer = ModelWriter(description)
    scales = None if ranges is None else _scales(network, ranges)
    dtype = "float32" if scales is None else "int8"

    def quantization(name: str) -> dict[str, Any]:
        if scales is None:
            return {}
        scale, zero_point = scales[name]
        return {"scale": scale, "zero_point": zero_point}

    name = network.input
    indices = {name: writer.input(name, network.input_shape, dtype, **quantization(name))}
    for op in network.ops:
        inputs: list[int | None] = [indices[name] for name in op.inputs]
        if op.weights is not None:
            source = None if scales is None else scales[op.inputs[0]][0]
            inputs += _weights(writer, op, source)
        if op.constant is not None:
            inputs.append(writer.constant(f"{op.output}/constant", op.constant))
        index = writer.tensor(op.output, op.shape, dtype, **quantization(op.output))
        version = 1 if scales is None else _VERSIONS.get(op.operator, 2)
        writer.op(op.operator, inputs, [index], op.options, version=version)
        indices[op.output] = index
    output = indices[network.output]
    writer.signature([(network.input, indices[network.input])], [(network.output, output)])
    return writer.build([output]), indices


def _scales(network: Network, ranges: Ranges) -> dict[str, tuple[float, int]]:
    found = {network.input: _affine(network.input, ranges)}
    for op in network.ops:
        if op.operator in _SAME_SCALE:
            found[op.output] = found[op.inputs[0]]
        elif op.operator == "SOFTMAX":
            found[op.output] = _PROBABILITIES
        else:
            found[op.output] = _affine(op.output, ranges)
    return found


def _affine(name: str, ranges: Ranges) -> tuple[float, int]:
    low, high = (float(end) for end in ranges[name])
    if not np.isfinite([low, high]).all():
        raise InputError(
            f"the activation {quoted(name)} is not finite on the data; check data and weights for "
            "NaN and infinity"
        )
    low, high = min(low, 0.0), max(high, 0.0)
    least, most = _QUANTIZED["int8"]
    scale = float(np.float32(max(high - low, 1e-6) / (most - least)))
    return scale, int(np.clip(round(least - low / scale), least, most))


def _weights(writer: ModelWriter, op: Op, input_scale: float | None) -> list[int | None]:
    """Add constants for weights and bias; float32 if `input_scale` is None."""
    assert op.weights is not None
    if not np.isfinite(op.weights).all():
        raise InputError(f"the weights of {quoted(op.layers[0])} hold NaN or infinity")
    if input_scale is None:
        filters = op.weights.shape[_AXES[op.operator]]
        zeros = np.zeros(filters, np.float32)
        return [
            writer.constant(f"{op.output}/weights", op.weights),
            writer.constant(f"{op.output}/bias", zeros if op.bias is None else op.bias),
        ]
    axis = _AXES[op.operator]
    others = tuple(i for i in range(op.weights.ndim) if i != axis)
    largest = np.abs(op.weights).max(axis=others)
    scales = np.maximum(largest, 1e-8).astype(np.float32) / np.float32(127)
    shape = [1] * op.weights.ndim
    shape[axis] = -1
    rounded = np.rint(op.weights / scales.reshape(shape)).clip(-127, 127).astype(np.int8)
    listed = [float(s) for s in scales]
    bias = np.zeros(len(scales)) if op.bias is None else op.bias
    steps = np.float32(input_scale) * scales
    integers = np.rint(bias / steps).clip(-(2**31) + 1, 2**31 - 1).astype(np.int32)
    return [
        writer.constant(f"{op.output}/weights", rounded, scales=listed, axis=axis),
        writer.constant(f"{op.output}/bias", integers, scales=[float(s) for s in steps], axis=0),
    ]


def macs(network: Network) -> int:
    """Count the multiply-accumulate operations of convolutions and dense layers."""
    total = 0
    for op in network.ops:
        if op.weights is None:
            continue
        filters = op.weights.shape[_AXES[op.operator]]
        total += prod(op.shape) * op.weights.size // filters
    return total
