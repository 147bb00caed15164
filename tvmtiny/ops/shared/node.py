"""Nodes and tensors of TFLite as plain data: what the front end hands to an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tvmtiny.errors.base import short_name

#: Size in bytes of one element, for every dtype that TFLite can hold in a tensor we accept.
DTYPE_BYTES: Mapping[str, int] = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
}


@dataclass(frozen=True)
class Quantization:
    """Affine quantization: ``real = scale * (value - zero_point)``.

    Attributes
    ----------
    scales
        One scale per tensor, or one per slice along `axis`. Each is a float32 value, widened.
    zero_points
        As many as `scales`.
    axis
        TFLite's ``quantized_dimension``; only meaningful with more than one scale.
    block
        How many elements share a scale, where another tensor holds those; it is 0 here then.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0
    block: int = 0

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale."""
        return len(self.scales) > 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """One TFLite tensor.

    Attributes
    ----------
    index
        TFLite's own index in the subgraph: the identity of a tensor in every report.
    shape
        Empty for a scalar.
    quantization
        None where the tensor carries no scale.
    data
        The value of a constant, with the tensor's shape and dtype; None for an activation.
    variable
        Whether the operator that reads it changes it, for its next execution to read.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: np.ndarray | None = None
    variable: bool = False

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes; 0 where it holds no numbers but handles or text."""
        return self.elements * DTYPE_BYTES.get(self.dtype, 0)

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantized tensor."""
        assert self.quantization is not None
        return self.quantization.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantized tensor."""
        assert self.quantization is not None
        return self.quantization.zero_points[0]

    @property
    def quantized(self) -> bool:
        """Whether the tensor holds quantized integers."""
        return self.quantization is not None and self.dtype in ("int8", "uint8", "int16")


@dataclass(frozen=True, eq=False)
class Node:
    """One TFLite operator with its tensors.

    Attributes
    ----------
    index
        Position in the subgraph's execution order.
    operator
        TFLite's name, such as ``CONV_2D``.
    inputs
        None stands for an optional input that is absent.
    intermediates
        Tensors that carry the quantization of values inside of the operator.
    options
        The builtin options under their schema names in snake_case; enums as their names.
    """

    index: int
    operator: str
    version: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    intermediates: tuple[Tensor, ...] = ()

    def input(self, position: int) -> Tensor:
        """The input at `position`, which the caller knows to be present."""
        tensor = self.inputs[position]
        assert tensor is not None
        return tensor

    def optional_input(self, position: int) -> Tensor | None:
        """The input at `position`, or None where it is absent or left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    @property
    def activation(self) -> str:
        """The fused activation function's TFLite name, ``NONE`` where there is none."""
        return str(self.options.get("fused_activation_function", "NONE"))

    @property
    def symbol(self) -> str:
        """The operator's name as part of an identifier: that of a custom one without its kind."""
        return self.operator.removeprefix("CUSTOM:").lower()

    @property
    def where(self) -> str:
        """How messages name this node."""
        return f"{self.operator} #{self.index} ({short_name(self.output.name, 60)})"
