"""Results of counting the work of a TIR function."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Call", "Walk"]


@dataclass(frozen=True)
class Call:
    """A call in the text of a function, with its arguments at all executions.

    The points are those of the iteration space, of which large ones are sampled.

    Attributes
    ----------
    function
        Name of the called function.
    arguments
        Values at all points; for an address, bytes from the start of the buffer; None for an
        argument that depends on data.
    constant
        Whether the argument is the same at all points, for each argument.
    points
        Number of points.
    weight
        Executions that each point stands for.
    """

    function: str
    arguments: tuple[np.ndarray | None, ...]
    constant: tuple[bool, ...]
    points: int
    weight: float

    @property
    def times(self) -> float:
        """Number of executions."""
        return self.points * self.weight


@dataclass
class Walk:
    """The counts and the calls of one execution of a function.

    Attributes
    ----------
    counts, calls
        Executions of each kind of work, and calls of functions that are not expressions.
    multipliers
        Multipliers of requantizations; None stands for those that are not constants.
    """

    counts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: list[Call] = field(default_factory=list)
    multipliers: set[int | None] = field(default_factory=set)
