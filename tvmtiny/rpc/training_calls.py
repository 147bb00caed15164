"""The part of `Session` that trains a model on a board."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmtiny.errors import InputError

if TYPE_CHECKING:
    import tvm

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.frontend.training import Training
    from tvmtiny.learning import Rule
    from tvmtiny.rpc.remote import Remote

__all__ = ["TrainingCalls"]


class TrainingCalls(ABC):
    """Session methods for a model that was compiled with ``trainable``."""

    artifact: Artifact

    def train_begin(self, rule: Rule) -> None:
        """Start training from the current weights of the board's model.

        Parameters
        ----------
        rule
            Hyperparameters of training.

        Raises
        ------
        InputError
            The model was not compiled with ``trainable``, or the rule uses momentum, for which the
            firmware has no memory.
        """
        self._trained()
        if rule.momentum:
            raise InputError("a session's firmware trains without momentum; leave the momentum out")
        self._call("tvmtiny.train_begin", float(rule.rate), 0.0, float(rule.clip))

    def train(self, *inputs: np.ndarray, label: int) -> None:
        """Take one training step for a sample and its class; call `train_begin` first.

        Parameters
        ----------
        inputs
            As for :meth:`run`.
        label
            Class of the sample, an index into the outputs.
        """
        self._trained()
        self._write_inputs(inputs)
        self._call("tvmtiny.train_class", int(label))

    @property
    def weights(self) -> np.ndarray:
        """Trained float32 vector after `train_begin`: weights row by row, then biases.

        If two layers are trained, those of the last layer come first.
        """
        count = self._trained().float_count
        return np.frombuffer(self._open().read(self._slot("trained.0", 4 * count)), "<f4").copy()

    @weights.setter
    def weights(self, weights: np.ndarray) -> None:
        count = self._trained().float_count
        if weights.shape != (count,):
            raise InputError(f"the weights have shape {weights.shape}; give ({count},)")
        data = weights.astype("<f4").tobytes()
        self._open().write(self._slot("trained.0", 4 * count), data)
        self._call("tvmtiny.train_refresh")

    def _trained(self) -> Training:
        if self.artifact.training is None:
            raise InputError(
                f"{self.artifact.name} cannot be trained; compile it with trainable='last'"
            )
        return self.artifact.training

    @abstractmethod
    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function on the board."""

    @abstractmethod
    def _open(self) -> Remote:
        """Return the connection; raise if the session is closed."""

    @abstractmethod
    def _slot(self, scope: str, count: int) -> tvm.runtime.Tensor:
        """Return named memory on the board of at least `count` bytes."""

    @abstractmethod
    def _write_inputs(self, inputs: Sequence[np.ndarray]) -> None:
        """Write the model's inputs, in order."""
