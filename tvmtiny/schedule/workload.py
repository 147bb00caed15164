"""Workloads: the properties of a layer that determine the speed of its schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmtiny.ops import Node, Oracle, Tensor
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule.product_blocks import BLOCK, kept_blocks

#: TFLite options that affect the computation, and their names in a key.
_OPTIONS = {
    "stride_h": "stride_h",
    "stride_w": "stride_w",
    "filter_height": "filter_h",
    "filter_width": "filter_w",
    "dilation_h_factor": "dilation_h",
    "dilation_w_factor": "dilation_w",
    "padding": "padding",
    "depth_multiplier": "multiplier",
    "axis": "axis",
    "beta": "beta",
    "from_uint8": "uint8",
}

#: Operators whose kernels can skip blocks of zeros.
_WITH_BLOCKS = ("CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Workload:
    """A layer without its values, as tuned records identify it.

    Layers with equal workloads run equally fast under equal decisions, though a decision may be
    exact for the weights of one layer and not for those of the other.

    Attributes
    ----------
    operator
        TFLite's name.
    inputs
        Inputs as ``dtype[shape]``, preceded by ``const`` for constants; ``none`` for an absent
        input.
    output
        The output in the same form.
    attributes
        Names and values: strides, padding, dilation, the range of the activation and its position
        relative to the zero point, the oracle, whose rounding affects the instructions, and the
        share of the blocks of weights that are zero, to the nearest quarter.
    """

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """One line of text that is the same for equal workloads in all versions of Python."""
        attributes = "".join(f" {name}={value}" for name, value in self.attributes)
        return f"{self.operator} {' '.join(self.inputs)} -> {self.output}{attributes}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields for ``json``; `from_json` reverses this."""
        return {
            "operator": self.operator,
            "inputs": list(self.inputs),
            "output": self.output,
            "attributes": dict(self.attributes),
        }

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Workload:
        """Make a workload from the fields that `to_json` returns.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `fields` are not those of a workload.
        """
        inputs, attributes = fields["inputs"], fields["attributes"]
        if not isinstance(inputs, Sequence) or isinstance(inputs, str):
            raise TypeError("inputs must be a list")
        return Workload(
            str(fields["operator"]),
            tuple(str(i) for i in inputs),
            str(fields["output"]),
            tuple((str(name), str(value)) for name, value in dict(attributes).items()),
        )


def workload(node: Node, oracle: Oracle) -> Workload:
    """Return the workload of a node of an optimized graph."""
    attributes = {
        name: _text(node.options[option])
        for option, name in _OPTIONS.items()
        if option in node.options
    }
    output = node.output
    # The activation of a recurrent layer is an inner one, which does not bound the output.
    bounded = node.activation != "TANH"
    if output.dtype == "int8" and output.quantization is not None and bounded:
        low, high = activation_range(node)
        attributes["range"] = f"{low}..{high}"
        # Rounding by sign takes more instructions, and is only needed below the zero point.
        attributes["negative"] = "yes" if low < output.zero_point else "no"
    attributes["oracle"] = oracle.value
    quarters = round(4 * _zero_share(node))
    if quarters:
        attributes["zero_blocks"] = f"{25 * quarters}%"
    inputs = tuple("none" if tensor is None else _tensor(tensor) for tensor in node.inputs)
    return Workload(node.operator, inputs, _tensor(output), tuple(attributes.items()))


def _zero_share(node: Node) -> float:
    """Return the share of the blocks of two filters and four inputs that are zero."""
    if node.operator not in _WITH_BLOCKS:
        return 0.0
    weights = node.input(1).data
    if weights is None or weights.dtype != np.int8 or weights.size == 0:
        return 0.0
    flat = weights.reshape(len(weights), -1)
    whole = flat[: len(flat) // 2 * 2, : flat.shape[1] // BLOCK * BLOCK]
    return 1 - float(kept_blocks(whole, 2).mean()) if whole.size else 0.0


def _tensor(tensor: Tensor) -> str:
    const = "" if tensor.data is None else "const "
    per_channel = tensor.quantization is not None and tensor.quantization.per_channel
    return f"{const}{tensor.dtype}[{','.join(map(str, tensor.shape))}]{'*' * per_channel}"


def _text(value: object) -> str:
    return "yes" if value is True else "no" if value is False else str(value)
