"""`Training`: the layers of a model that are trained on the device."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Training"]


@dataclass(frozen=True)
class Training:
    """A layer of a model that is trained on the device.

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
        CRC-32 of the layers as they are before training, which tells checkpoints of other layers
        apart.
    lower, upper
        Bounds between which an output of the layer passes its gradient on: those of the fused
        activation, or the numbers next to the range of int8. Both bounds are excluded.
    before
        The layer whose output is the input of this one, if it is trained, too.
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
    lower: int = -129
    upper: int = 128
    before: Training | None = None

    @property
    def layers(self) -> tuple[Training, ...]:
        """The trained layers, beginning with the last one of the model."""
        return (self,) if self.before is None else (self, self.before)

    @property
    def float_count(self) -> int:
        """Number of float32 weights and biases of all trained layers."""
        return sum(layer.channels * (layer.depth + 1) for layer in self.layers)

    @property
    def training_bytes(self) -> int:
        """Bytes of RAM for training without momentum on a 32-bit board, apart from the weights."""
        rule_and_pointers = 4 * 4 + 5 * 4
        kept = sum((4 + layer.depth) * layer.channels for layer in self.layers)
        gradient = 0 if self.before is None else 4 * self.depth
        return rule_and_pointers * len(self.layers) + 4 * self.float_count + gradient + kept

    @property
    def velocity_bytes(self) -> int:
        """Bytes of RAM for momentum."""
        return 4 * self.float_count
