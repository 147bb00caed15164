"""`Training`: the layer of a model that is trained on the device."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Training"]


@dataclass(frozen=True)
class Training:
    """The layer of a model that is trained on the device.

    Attributes
    ----------
    name
        Of its output tensor.
    depth, channels
        Of its weights, which are ``channels x depth``.
    weights, bias
        Positions of its weights and biases among the states of the graph.
    features, logits
        Positions of its input and its output among the outputs of the graph.
    scales
        Of the weights, one a channel.
    input_scale, input_zero_point, output_scale, output_zero_point
        Of its input and its output.
    """

    name: str
    depth: int
    channels: int
    weights: int
    bias: int
    features: int
    logits: int
    scales: tuple[float, ...]
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int

    @property
    def training_bytes(self) -> int:
        """RAM that training needs beside the weights, without momentum, on a board of 32 bits."""
        rule_and_pointers = 4 * 4 + 5 * 4
        weights = self.channels * self.depth
        return rule_and_pointers + 4 * (weights + self.channels) + 4 * self.channels + weights

    @property
    def velocity_bytes(self) -> int:
        """RAM that momentum needs."""
        return 4 * self.channels * (self.depth + 1)
