"""Nodes and tensors of TFLite as plain data, in the form that operators take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tvmtiny.errors.base import short_name

#: Bytes of an element, for all dtypes of accepted tensors.
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
        One scale for the tensor, or one for each slice along `axis`. Each is a float32 value,
        widened to float.
    zero_points
        One zero point for each scale.
    axis
        TFLite's ``quantized_dimension``, which applies to more than one scale.
    block
        Number of elements that share a scale, if another tensor holds the scales; else 0.
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
        TFLite's index in the subgraph, which identifies the tensor in all reports.
    shape
        The shape; empty for a scalar.
    quantization
        Scales and zero points; None without a scale.
    data
        The value of a constant, with the tensor's shape and dtype; None for an activation.
    variable
        Whether the operator that reads the tensor updates it for its next execution.
    from_int4
        Whether the file has the int8 values of a constant as int4.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: np.ndarray | None = None
    variable: bool = False
    from_int4: bool = False

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes; 0 if the tensor holds handles or text."""
        return self.elements * DTYPE_BYTES.get(self.dtype, 0)

    @property
    def scale(self) -> float:
        """Scale of a tensor that is quantized with a single scale."""
        assert self.quantization is not None
        return self.quantization.scales[0]

    @property
    def zero_point(self) -> int:
        """Zero point of a tensor that is quantized with a single scale."""
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
        The inputs; None for an optional input that is absent.
    intermediates
        Tensors that carry the quantization of values inside the operator.
    options
        The builtin options by schema name in snake_case; enums are given by name.
    clamped_later
        Whether outputs are clamped to the range of the activation after the operator, which may
        then give any output that is clamped to the right one.
    """

    index: int
    operator: str
    version: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    intermediates: tuple[Tensor, ...] = ()
    clamped_later: bool = False

    def input(self, position: int) -> Tensor:
        """Return the input at `position`, which must be present."""
        tensor = self.inputs[position]
        assert tensor is not None
        return tensor

    def optional_input(self, position: int) -> Tensor | None:
        """Return the input at `position`; None if it is absent."""
        return self.inputs[position] if position < len(self.inputs) else None

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    @property
    def activation(self) -> str:
        """TFLite's name of the fused activation function; ``NONE`` without one."""
        return str(self.options.get("fused_activation_function", "NONE"))

    @property
    def symbol(self) -> str:
        """The operator's name as part of an identifier, without the prefix of custom operators."""
        return self.operator.removeprefix("CUSTOM:").lower()

    @property
    def where(self) -> str:
        """The name of this node in messages."""
        return f"{self.operator} #{self.index} ({short_name(self.output.name, 60)})"
