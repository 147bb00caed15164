"""Costs of a design on a CPU, and limits for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tvmtiny.codegen.row_kernels import RowImplementations
from tvmtiny.codegen.slicing import Slices
from tvmtiny.codegen.stream import ProgramStreamer
from tvmtiny.compiler import arranged
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.estimation.cycles import kernel_cycles
from tvmtiny.estimation.model import ModelCost, cost
from tvmtiny.frontend import Model
from tvmtiny.schedule.implementation import parse_goal
from tvmtiny.targets import Target

__all__ = ["Budget", "Figures", "figures_of", "parse_deadline", "state_bytes", "streamed"]

_DEADLINE = re.compile(
    r"(?P<count>[0-9]+(\.[0-9]+)?)\s*(?P<unit>|k|M|us|ms|s)(@(?P<clock>[0-9]+(\.[0-9]+)?)\s*MHz)?",
    re.ASCII,
)
_CYCLES = {"": 1.0, "k": 1e3, "M": 1e6}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Figures:
    """The cost of an inference.

    Attributes
    ----------
    instructions, cycles
        Estimates.
    ram_bytes
        Bytes of the arena and the states: all static RAM of the generated code.
    flash_bytes
        Bytes of constants; the code itself is not included.
    """

    instructions: int
    cycles: int
    ram_bytes: int
    flash_bytes: int


@dataclass(frozen=True)
class Budget:
    """Limits for the cost of an inference; None for no limit.

    Attributes
    ----------
    ram_bytes
        Limit for the arena and the states, in bytes.
    flash_bytes
        Limit for the constants, in bytes; the code itself is not included.
    cycles
        Limit for the estimated cycles of an inference.
    """

    ram_bytes: int | None = None
    flash_bytes: int | None = None
    cycles: int | None = None

    def over(self, found: Figures) -> tuple[str, ...]:
        """Return the names of the limits that are exceeded.

        Parameters
        ----------
        found
            The cost to compare with the limits.

        Returns
        -------
        tuple of str
            Some of ``ram_bytes``, ``flash_bytes`` and ``cycles``, in this order.
        """
        limits = {name: getattr(self, name) for name in ("ram_bytes", "flash_bytes", "cycles")}
        return tuple(
            name
            for name, limit in limits.items()
            if limit is not None and getattr(found, name) > limit
        )


def figures_of(found: ModelCost, states: int) -> Figures:
    """Return the totals of an estimate; `states` are bytes in addition to the arena."""
    total = found.total
    return Figures(
        total.instructions,
        total.estimated_cycles,
        total.arena_bytes + states,
        total.constants_bytes,
    )


def state_bytes(model: Model) -> int:
    """Return the static RAM of a model's states in bytes."""
    return sum(state.initial.nbytes for state in model.graph.states)


def streamed(
    model: Model, target: Target, ram_budget: int | None, options: Mapping[str, Any]
) -> Figures | None:
    """Estimate the cost if layers run row by row; return None if that does not reduce RAM.

    Parameters
    ----------
    ram_budget
        Limit of the arena in bytes; None for the smallest arena that costs few instructions.
    options
        Options of `tvmtiny.cost`; `ram_budget` is ignored.
    """
    options = {**options, "ram_budget": None}
    plain = figures_of(cost(model, target, **options), state_bytes(model))
    built = arranged(model, target, **options)
    goal = parse_goal(options.get("optimize", "balanced"))
    slices = Slices(partial(kernel_cycles, target), None)
    rows = RowImplementations(target.cpu, model.oracle, goal, slices)
    streamer = ProgramStreamer(
        model.name, built.arrangement, built.nodes, built.choices, rows, False
    )
    found = streamer.stream(ram_budget)
    if found is None or not streamer.saves_memory(found):
        return None
    more = sum(work.streamed.instructions for work in found.works)
    return Figures(
        plain.instructions + more,
        round(plain.cycles * (1 + more / max(plain.instructions, 1))),
        found.arrangement.plan.total + state_bytes(model),
        plain.flash_bytes,
    )


def parse_deadline(text: str) -> int:
    """Parse a number of cycles: ``1500000``, ``1.5M``, or time and clock as in ``20ms@80MHz``.

    Raises
    ------
    InputError
        If the text has none of these forms.
    """
    match = _DEADLINE.fullmatch(text.strip())
    if match is not None:
        count, unit, clock = float(match["count"]), match["unit"], match["clock"]
        if unit in _CYCLES and clock is None and count >= 1:
            return int(count * _CYCLES[unit])
        if unit in _SECONDS and clock is not None and count * float(clock) > 0:
            return int(count * _SECONDS[unit] * float(clock) * 1e6)
    raise InputError(
        f"{quoted(text)} is not a deadline; give cycles, such as 1500000 or 1.5M, or a time and "
        "the core's clock, such as 20ms@80MHz"
    )
