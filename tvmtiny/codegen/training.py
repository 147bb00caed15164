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

    return {
        **vars(training),
        "input": pointer(training.features),
        "output": pointer(training.logits),
        "weights": states[training.weights].offset,
        "bias": states[training.bias].offset,
        "bytes": training.training_bytes,
        "velocity_bytes": training.velocity_bytes,
    }
