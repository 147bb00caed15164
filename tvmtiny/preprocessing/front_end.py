"""The interface of front ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.graph import State

#: Makes a tensor with a fresh index from name, shape and dtype.
NewTensor = Callable[[str, tuple[int, ...], str], Tensor]


@dataclass(frozen=True, eq=False)
class Parts:
    """The nodes and states that a front end adds to a graph.

    Attributes
    ----------
    samples
        The new input of the model.
    nodes
        The nodes from samples to features, in order, with indices from 0.
    states
        The states of these nodes.
    early
        Position of the state that holds the samples before the first decision's; None if there is
        no such state.
    """

    samples: Tensor
    nodes: tuple[Node, ...]
    states: tuple[State, ...] = ()
    early: int | None = None


class FrontEnd(ABC):
    """A front end and its settings, as a frozen dataclass.

    Attributes
    ----------
    name
        Name of the folder, and value of ``--frontend``.
    steps
        Whether the front end makes rows of features from endless samples.
    """

    name: ClassVar[str]
    steps: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def of(
        cls, sample_rate: int | None, step_ms: float | None, settings: Mapping[str, Any]
    ) -> FrontEnd:
        """Make a front end with these settings, and with its own defaults for all others.

        Raises
        ------
        InputError
            If a setting is unknown or cannot be used.
        """

    def fitted(self, model: str, shape: tuple[int, ...]) -> FrontEnd:
        """Return the front end for a model's input; by default itself, for inputs of any shape.

        Parameters
        ----------
        model
            Name of the model, for messages.
        shape
            Shape of its input.

        Raises
        ------
        InputError
            If the front end cannot make such an input.
        """
        return self

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Sample rate in Hz; 0 if samples are not a time series."""

    @property
    @abstractmethod
    def features(self) -> int:
        """Number of features in a row."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples that a row takes in addition to those of earlier rows."""

    @abstractmethod
    def parts(self, output: Tensor, rows: int, new: NewTensor) -> Parts:
        """Make the nodes that compute features.

        Parameters
        ----------
        output
            The tensor that they write: ``rows * features`` quantized elements.
        rows
            Number of rows.
        new
            Makes a tensor.

        Raises
        ------
        InputError
            If features cannot have the dtype or the scale of `output`.
        """
