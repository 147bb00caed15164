"""What a schedule returns for a node that it implements itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from tvm import tirx

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.ops import Tensor
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.primfunc_attributes import HEADERS_ATTR as HEADERS_ATTR
from tvmtiny.ops.shared.primfunc_attributes import OVERLAPS_ATTR as OVERLAPS_ATTR
from tvmtiny.ops.shared.primfunc_attributes import PREAMBLE_ATTR as PREAMBLE_ATTR
from tvmtiny.ops.shared.primfunc_attributes import SCHEDULE_ATTR as SCHEDULE_ATTR
from tvmtiny.ops.shared.primfunc_attributes import TUNED_ATTR as TUNED_ATTR

#: Named choices of a schedule.
Decisions = Mapping[str, int | str]


class Goal(str, Enum):
    """What schedules trade for what.

    ``BALANCED`` keeps weights as they are stored in the model, ``SPEED`` may widen them to int16 or
    transform them (Winograd, 3.6 times the bytes), ``SIZE`` prefers short code.
    """

    SPEED = "speed"
    BALANCED = "balanced"
    SIZE = "size"


#: What one percent more flash of a layer weighs against one percent more instructions, by goal.
FLASH_WEIGHT = {Goal.SPEED: 0.02, Goal.BALANCED: 0.35, Goal.SIZE: 10.0}


def parse_goal(name: Goal | str) -> Goal:
    """The goal called `name`.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return Goal(name)
    except ValueError:
        known = ", ".join(goal.value for goal in Goal)
        raise InputError(f"there is no optimization goal {quoted(name)}; known: {known}") from None


@dataclass(frozen=True)
class Decision:
    """A named choice and its allowed values."""

    name: str
    values: tuple[int | str, ...]


@dataclass(frozen=True)
class Sketch:
    """One way to compute a layer, with the decisions that it leaves open.

    Any combination of their values is a candidate, though not each can be implemented.
    """

    name: str
    decisions: tuple[Decision, ...] = ()


def is_candidate(sketches: Sequence[Sketch], decisions: Decisions) -> bool:
    """Whether `decisions` name one of `sketches`, and one value of each of its decisions."""
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
        Loops around calls of micro-kernels; its last parameter is the output. Carries the
        attributes above.
    arguments
        For the other parameters: the node's activations, and constants packed for the function.
    decisions
        What was chosen, by name; a tuner can ask for others.
    instructions
        A rough estimate for one execution, for weighing decisions against each other.
    others
        The outputs after the first, which the function writes where inputs are.
    cycles
        Like `instructions`, in cycles; 0 where only instructions are estimated.
    """

    function: tirx.PrimFunc
    arguments: tuple[Tensor | np.ndarray, ...]
    decisions: Decisions
    instructions: int = 0
    others: tuple[Alias, ...] = ()
    cycles: int = 0

    def weight(self, goal: Goal) -> int:
        """What choices for `goal` keep low: cycles for speed, else instructions."""
        return self.cycles or self.instructions if goal is Goal.SPEED else self.instructions

    @property
    def constants_bytes(self) -> int:
        """Flash of the constants."""
        return sum(
            a.nbytes for a in self.arguments if isinstance(a, np.ndarray) or a.data is not None
        )
