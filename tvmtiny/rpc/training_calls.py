"""Training of a model on a board, as a part of `Session`."""

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
    """What a session can do with a model that was compiled with ``trainable``."""

    artifact: Artifact

    def train_begin(self, rule: Rule) -> None:
        """Begin training with the weights that the board's model has.

        Raises
        ------
        InputError
            The model was not compiled with ``trainable``, or the rule has momentum, for which the
            firmware has no memory.
        """
        self._trained()
        if rule.momentum:
            raise InputError("firmware of a session trains without momentum; leave it out")
        self._call("tvmtiny.train_begin", float(rule.rate), 0.0, float(rule.clip))

    def train(self, *inputs: np.ndarray, label: int) -> None:
        """Take a step for a sample of a class, after `train_begin`.

        Parameters
        ----------
        inputs
            As in :meth:`run`.
        """
        self._trained()
        self._write_inputs(inputs)
        self._call("tvmtiny.train_class", int(label))

    @property
    def weights(self) -> np.ndarray:
        """What is trained, after `train_begin`: float32, weights row by row and then biases."""
        training = self._trained()
        count = training.channels * (training.depth + 1)
        return np.frombuffer(self._open().read(self._slot("trained.0", 4 * count)), "<f4").copy()

    @weights.setter
    def weights(self, weights: np.ndarray) -> None:
        training = self._trained()
        count = training.channels * (training.depth + 1)
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
        """Call a function of the board."""

    @abstractmethod
    def _open(self) -> Remote:
        """Give the connection; an error says that the session is closed."""

    @abstractmethod
    def _slot(self, scope: str, count: int) -> tvm.runtime.Tensor:
        """Give memory of the board under a name, of at least so many bytes."""

    @abstractmethod
    def _write_inputs(self, inputs: Sequence[np.ndarray]) -> None:
        """Write inputs of the model, in its order."""
