"""Template values for a model that is trained on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tvmtiny.codegen.arrange import Interface
from tvmtiny.codegen.stream_info import StreamMode
from tvmtiny.errors import InputError

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import StateInfo, TensorInfo
    from tvmtiny.frontend import Model
    from tvmtiny.frontend.training import Training

__all__ = ["TRAINING_HEADER", "check_trained", "training_context"]

#: Runtime header of models that are trained on the device.
TRAINING_HEADER = "tvmtiny_train.h"


def check_trained(model: Model, interface: Interface, mode: StreamMode) -> None:
    """Refuse options that a model with on-device training does not support.

    Raises
    ------
    InputError
        If inputs and outputs lie outside the arena, or the model streams.
    """
    if interface is not Interface.ARENA or mode is not StreamMode.NONE:
        raise InputError(
            f"{model.name} is to be trained, which takes whole layers in its own arena: leave "
            "--io and --stream out"
        )


def training_context(
    training: Training | None, outputs: Sequence[TensorInfo], states: Sequence[StateInfo]
) -> Mapping[str, Any] | None:
    """Return values for ``train.c.j2`` and ``train.h.j2``; None without training."""
    if training is None:
        return None

    def pointer(position: int) -> str:
        return f"(const int8_t *)(const void *)(arena + {outputs[position].offset})"

    layers = []
    floats = kept_weights = kept_bias = 0
    for name, layer in zip(("train", "train_before"), training.layers, strict=False):
        layers.append(
            {
                **vars(layer),
                "member": name,
                "input": pointer(layer.features),
                "output": pointer(layer.logits),
                "weights": states[layer.weights].offset,
                "bias": states[layer.bias].offset,
                "floats": floats,
                "kept_weights": kept_weights,
                "kept_bias": kept_bias,
            }
        )
        floats += layer.channels * (layer.depth + 1)
        kept_weights += layer.channels * layer.depth
        kept_bias += layer.channels
    return {
        "layers": layers,
        "channels": training.channels,
        "gradients": training.depth if training.before else 0,
        "identity": training.identity,
        "floats": floats,
        "kept_weights": kept_weights,
        "kept_bias": kept_bias,
        "bytes": training.training_bytes,
        "velocity_bytes": training.velocity_bytes,
    }
