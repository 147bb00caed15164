"""Goals, sketches and decisions of schedules, and the implementations of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from tvm import tirx

from tvmtiny.errors.choices import parse_choice
from tvmtiny.ops import Tensor
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.primfunc_attributes import HEADERS_ATTR as HEADERS_ATTR
from tvmtiny.ops.shared.primfunc_attributes import OVERLAPS_ATTR as OVERLAPS_ATTR
from tvmtiny.ops.shared.primfunc_attributes import PREAMBLE_ATTR as PREAMBLE_ATTR
from tvmtiny.ops.shared.primfunc_attributes import SCHEDULE_ATTR as SCHEDULE_ATTR
from tvmtiny.ops.shared.primfunc_attributes import TUNED_ATTR as TUNED_ATTR

#: The choices of a schedule by name.
Decisions = Mapping[str, int | str]


class Goal(str, Enum):
    """The goal of schedules in trading speed for size.

    ``BALANCED`` keeps weights as they are stored in the model, ``SPEED`` may widen them to int16 or
    transform them (Winograd, 3.6 times the bytes), ``SIZE`` prefers short code.
    """

    SPEED = "speed"
    BALANCED = "balanced"
    SIZE = "size"


#: Weight of one percent of a layer's flash relative to one percent of instructions, by goal.
FLASH_WEIGHT = {Goal.SPEED: 0.02, Goal.BALANCED: 0.35, Goal.SIZE: 10.0}


def parse_goal(name: Goal | str) -> Goal:
    """Return the goal called `name`.

    Raises
    ------
    InputError
        If there is no goal of that name.
    """
    return parse_choice(Goal, name, "there is no optimization goal {}")


@dataclass(frozen=True)
class Decision:
    """A named choice and its allowed values."""

    name: str
    values: tuple[int | str, ...]


@dataclass(frozen=True)
class Sketch:
    """One way to compute a layer, with the decisions that it leaves open.

    Each combination of their values is a candidate, but not all of them can be implemented.
    """

    name: str
    decisions: tuple[Decision, ...] = ()


def is_candidate(sketches: Sequence[Sketch], decisions: Decisions) -> bool:
    """Return whether `decisions` name a sketch and one value of each of its decisions."""
    for sketch in sketches:
        if decisions.get("sketch") == sketch.name:
            allowed = {decision.name: decision.values for decision in sketch.decisions}
            return decisions.keys() == {"sketch", *allowed} and all(
                decisions[name] in values for name, values in allowed.items()
            )
    return False


@dataclass(frozen=True, eq=False)
class Implementation:
    """A node as a finished TIR function.

    Attributes
    ----------
    function
        Loops around calls of micro-kernels. The last parameter is the output, and the function
        carries the attributes of `tvmtiny.ops.shared.primfunc_attributes`.
    arguments
        Values of the other parameters: the node's activations, and packed constants.
    decisions
        The chosen values by name; a tuner can ask for others.
    instructions
        Rough estimate of one execution, used to compare decisions.
    others
        The outputs after the first one, which the function writes over inputs.
    cycles
        Like `instructions`, in cycles; 0 if there is no such estimate.
    """

    function: tirx.PrimFunc
    arguments: tuple[Tensor | np.ndarray, ...]
    decisions: Decisions
    instructions: int = 0
    others: tuple[Alias, ...] = ()
    cycles: int = 0

    def weight(self, goal: Goal) -> int:
        """Return the figure to minimize for `goal`: cycles for speed, else instructions."""
        return self.cycles or self.instructions if goal is Goal.SPEED else self.instructions

    @property
    def constants_bytes(self) -> int:
        """Bytes of the constants in flash."""
        return sum(
            a.nbytes for a in self.arguments if isinstance(a, np.ndarray) or a.data is not None
        )
