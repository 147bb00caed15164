"""A network with float weights, as the stage between training and a .tflite file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tvmtiny.design.scales import AXES, PRECISIONS, affine, rounded, weight_scales
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.writer import ModelWriter
from tvmtiny.oracle import run_litert_frames

__all__ = [
    "Network",
    "Op",
    "Precisions",
    "Ranges",
    "Scales",
    "calibrated_ranges",
    "dtypes_of",
    "guessed_ranges",
    "macs",
    "scales_of",
    "to_tflite",
]

#: Scale and zero point of a softmax's output, by dtype.
_PROBABILITIES = {"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}

#: Operators whose output shares the scale of their input.
_SAME_SCALE = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "RESHAPE")

_VERSIONS = {"CONV_2D": 3, "FULLY_CONNECTED": 4, "DEPTHWISE_CONV_2D": 3, "RESHAPE": 1}

#: Versions of operators on int16.
_VERSIONS_16 = {"CONV_2D": 4, "FULLY_CONNECTED": 7, "DEPTHWISE_CONV_2D": 5, "RESHAPE": 1}


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
    scales
        Scale of each filter's weights: float32, ``(filters,)``; None to derive the scales from the
        weights.
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
    scales: np.ndarray | None = None


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

#: Scale and zero point of each activation, by name.
Scales = Mapping[str, tuple[float, int]]

#: Precisions of layers with weights, by name of the operator's output; ``int8`` by default.
Precisions = Mapping[str, str]


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


def to_tflite(
    network: Network,
    ranges: Ranges | None,
    description: str = "tvmtiny",
    precisions: Precisions | None = None,
) -> bytes:
    """Convert `network` to an integer or a float32 model.

    The integer model has a scale per channel for weights and a scale per tensor for activations.

    Parameters
    ----------
    network
        The network.
    ranges
        Ranges of all activations for representative data, to which zero is added. None for a
        float model.
    description
        Description in the file.
    precisions
        Precisions of layers other than ``int8``; see `tvmtiny.design.scales.PRECISIONS`.

    Returns
    -------
    bytes
        The content of a .tflite file.

    Raises
    ------
    InputError
        If a weight or a range is not finite, or there is no such layer or precision.
    """
    return _written(network, ranges, description, precisions)[0]


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


def dtypes_of(network: Network, precisions: Precisions | None = None) -> Mapping[str, str]:
    """Return the dtype of each activation by name.

    The output of a layer with weights is int16 if that is the layer's precision, and int8
    otherwise. The output of any other operator is int16 if one of its inputs is. The input of the
    network is int16 if only layers of this precision read it.

    Raises
    ------
    InputError
        If there is no such layer or precision.
    """
    precisions = precisions or {}
    weighted = {op.output: op for op in network.ops if op.weights is not None}
    for name, precision in precisions.items():
        if name not in weighted or precision not in PRECISIONS:
            raise InputError(
                f"the layer {quoted(name)} cannot have the precision {quoted(precision)}; layers: "
                f"{', '.join(weighted)}; precisions: {', '.join(PRECISIONS)}"
            )
    readers = [op for op in network.ops if network.input in op.inputs]
    wide = all(precisions.get(op.output) == "int16" for op in readers)
    found = {network.input: "int16" if wide else "int8"}
    for op in network.ops:
        if op.weights is not None:
            found[op.output] = "int16" if precisions.get(op.output) == "int16" else "int8"
        else:
            inputs = {found[name] for name in op.inputs}
            found[op.output] = "int16" if "int16" in inputs else "int8"
    return found


def scales_of(network: Network, ranges: Ranges, dtype: str = "int8") -> Scales:
    """Return scale and zero point of each activation as `dtype`.

    Raises
    ------
    InputError
        If a range is not finite.
    """
    found = {network.input: affine(network.input, *ranges[network.input], dtype)}
    for op in network.ops:
        if op.operator in _SAME_SCALE:
            found[op.output] = found[op.inputs[0]]
        elif op.operator == "SOFTMAX":
            found[op.output] = _PROBABILITIES[dtype]
        else:
            found[op.output] = affine(op.output, *ranges[op.output], dtype)
    return found


def _written(
    network: Network,
    ranges: Ranges | None,
    description: str,
    precisions: Precisions | None = None,
) -> tuple[bytes, dict[str, int]]:
    """Return the content of the file, and the tensor indices of activations by name."""
    if ranges is None:
        return _Writing(network, description, {}, {}, {}).written()
    dtypes = dtypes_of(network, precisions)
    scales = {dtype: scales_of(network, ranges, dtype) for dtype in {*dtypes.values(), "int8"}}
    return _Writing(network, description, dtypes, scales, precisions or {}).written()


class _Writing:
    """A .tflite file in the making; without scales, a float model."""

    def __init__(
        self,
        network: Network,
        description: str,
        dtypes: Mapping[str, str],
        scales: Mapping[str, Scales],
        precisions: Precisions,
    ) -> None:
        self._network, self._writer = network, ModelWriter(description)
        self._dtypes, self._scales, self._precisions = dtypes, scales, precisions
        self._indices: dict[str, int] = {}
        self._converted: dict[tuple[str, str], int] = {}

    def written(self) -> tuple[bytes, dict[str, int]]:
        """Return the content of the file, and the tensor indices of activations by name."""
        network, writer = self._network, self._writer
        name = network.input
        dtype = self._dtypes.get(name, "float32")
        self._indices[name] = writer.input(
            name, network.input_shape, dtype, **self._quantized(name, dtype)
        )
        for op in network.ops:
            self._add(op)
        output = self._indices[network.output]
        ends = [(name, self._indices[name])], [(network.output, output)]
        writer.signature(*ends)
        return writer.build([output]), self._indices

    def _quantized(self, name: str, dtype: str) -> dict[str, Any]:
        if dtype == "float32":
            return {}
        scale, zero_point = self._scales[dtype][name]
        return {"scale": scale, "zero_point": zero_point}

    def _input(self, name: str, dtype: str) -> int:
        """Return an activation as `dtype`; QUANTIZE converts one of another dtype."""
        if self._dtypes.get(name, dtype) == dtype:
            return self._indices[name]
        if (name, dtype) not in self._converted:
            shapes = {op.output: op.shape for op in self._network.ops}
            shape = shapes.get(name, self._network.input_shape)
            made = self._writer.tensor(
                f"{name}/{dtype}", shape, dtype, **self._quantized(name, dtype)
            )
            self._writer.op("QUANTIZE", [self._indices[name]], [made], {}, version=2)
            self._converted[name, dtype] = made
        return self._converted[name, dtype]

    def _add(self, op: Op) -> None:
        writer = self._writer
        dtype = self._dtypes.get(op.output, "float32")
        inputs: list[int | None] = [self._input(name, dtype) for name in op.inputs]
        if op.weights is not None:
            inputs += self._weights(op, self._quantized(op.inputs[0], dtype).get("scale"))
        if op.constant is not None:
            inputs.append(writer.constant(f"{op.output}/constant", op.constant))
        index = writer.tensor(op.output, op.shape, dtype, **self._quantized(op.output, dtype))
        versions = _VERSIONS_16 if dtype == "int16" else _VERSIONS
        version = 1 if dtype == "float32" else versions.get(op.operator, 2)
        writer.op(op.operator, inputs, [index], op.options, version=version)
        self._indices[op.output] = index

    def _weights(self, op: Op, input_scale: float | None) -> list[int | None]:
        """Add constants for weights and bias; float32 if `input_scale` is None."""
        writer = self._writer
        assert op.weights is not None
        if not np.isfinite(op.weights).all():
            raise InputError(f"the weights of {quoted(op.layers[0])} hold NaN or infinity")
        if input_scale is None:
            filters = op.weights.shape[AXES[op.operator]]
            zeros = np.zeros(filters, np.float32)
            return [
                writer.constant(f"{op.output}/weights", op.weights),
                writer.constant(f"{op.output}/bias", zeros if op.bias is None else op.bias),
            ]
        axis, precision = AXES[op.operator], self._precisions.get(op.output, "int8")
        scales = weight_scales(op.weights, axis, precision) if op.scales is None else op.scales
        stored = rounded(op.weights, scales, axis, precision)
        listed = [float(s) for s in scales]
        bias = np.zeros(len(scales)) if op.bias is None else op.bias
        steps = np.float32(input_scale) * scales
        # Layers between int16 activations have an int64 bias in TFLite.
        dtype = np.int64 if precision == "int16" else np.int32
        integers = np.rint(bias / steps).clip(-(2**31) + 1, 2**31 - 1).astype(dtype)
        each = [float(s) for s in steps]
        return [
            writer.constant(f"{op.output}/weights", stored, scales=listed, axis=axis),
            writer.constant(f"{op.output}/bias", integers, scales=each, axis=0),
        ]


def macs(network: Network) -> int:
    """Count the multiply-accumulate operations of convolutions and dense layers."""
    total = 0
    for op in network.ops:
        if op.weights is None:
            continue
        filters = op.weights.shape[AXES[op.operator]]
        total += prod(op.shape) * op.weights.size // filters
    return total
