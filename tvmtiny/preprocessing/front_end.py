"""The interface of front ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.graph import State

#: Makes a tensor from name, shape and dtype, with an index of its own.
NewTensor = Callable[[str, tuple[int, ...], str], Tensor]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a front end adds to a graph.

    Attributes
    ----------
    samples
        The model's input from now on.
    nodes
        From it to the features, in order; their indices are 0, 1 and so on.
    states
        What they remember.
    early
        Which of these states holds the samples before the first decision's; None where there is
        none.
    """

    samples: Tensor
    nodes: tuple[Node, ...]
    states: tuple[State, ...] = ()
    early: int | None = None


class FrontEnd(ABC):
    """A front end with its settings: a frozen dataclass.

    Attributes
    ----------
    name
        Of its folder, and what ``--frontend`` calls it.
    steps
        Whether it makes rows of features from samples that come without end.
    """

    name: ClassVar[str]
    steps: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def of(
        cls, sample_rate: int | None, step_ms: float | None, settings: Mapping[str, Any]
    ) -> FrontEnd:
        """One with these settings, and its own defaults for others.

        Raises
        ------
        InputError
            A setting is not known, or not usable.
        """

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """In Hz; 0 where samples do not come in time."""

    @property
    @abstractmethod
    def features(self) -> int:
        """How many features a row has."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """How many samples a row takes that no row before it has."""

    @abstractmethod
    def parts(self, output: Tensor, rows: int, new: NewTensor) -> Parts:
        """The nodes that make features.

        Parameters
        ----------
        output
            Where to: ``rows * features`` elements, quantized.
        rows
            How many.
        new
            Makes tensors.

        Raises
        ------
        InputError
            There are no features in the dtype, or of the scale, of `output`.
        """
