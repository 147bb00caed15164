"""What is counted of a function in TIR."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Call", "Walk"]


@dataclass(frozen=True)
class Call:
    """One call in the text of a function, with the arguments that it gets.

    Attributes
    ----------
    function
        Its name.
    arguments
        Values at all points; of an address, the bytes from the start of the buffer; None where
        they depend on data.
    constant
        Whether an argument is the same at all points.
    points
        How many points there are.
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
        """Executions."""
        return self.points * self.weight


@dataclass
class Walk:
    """What was counted in one execution of a function."""

    counts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: list[Call] = field(default_factory=list)
