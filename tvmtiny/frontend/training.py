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
        Name of the output tensor.
    depth, channels
        Shape of the weights, which are ``channels x depth``.
    weights, bias
        Positions of the weights and biases among the states of the graph.
    features, logits
        Positions of the layer's input and output among the outputs of the graph.
    scales
        Scale of the weights for each channel.
    input_scale, input_zero_point, output_scale, output_zero_point
        Quantization of the layer's input and output.
    identity
        CRC-32 of the layer as it is before training, which tells checkpoints of other layers apart.
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
    identity: int

    @property
    def training_bytes(self) -> int:
        """Bytes of RAM for training without momentum on a 32-bit board, apart from the weights."""
        rule_and_pointers = 4 * 4 + 5 * 4
        weights = self.channels * self.depth
        return rule_and_pointers + 4 * (weights + self.channels) + 4 * self.channels + weights

    @property
    def velocity_bytes(self) -> int:
        """Bytes of RAM for momentum."""
        return 4 * self.channels * (self.depth + 1)
