"""What the counts of micro-kernels are made from, and which function counts for which kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tvmtiny.estimation.counts import Call

__all__ = ["CONSTANTS", "Instantiation", "Part", "Site", "counts_of", "instantiations", "parts"]

_LINE = re.compile(r"(\w+)\((\w+),?\s*(.*)\)")

#: Words of constants behind an initial accumulator, by rounding.
CONSTANTS = {"PLAIN": 1, "SIGNED": 3}


@dataclass(frozen=True)
class Instantiation:
    """A macro of the runtime with its arguments, the name apart."""

    macro: str
    arguments: tuple[str, ...]

    def number(self, position: int) -> int:
        """An argument, counted from 0 behind the name."""
        return int(self.arguments[position].strip("() "))

    def numbers(self, *positions: int) -> tuple[int, ...]:
        """Some arguments."""
        return tuple(self.number(position) for position in positions)


@dataclass(frozen=True)
class Part:
    """One function that runs for a call.

    Attributes
    ----------
    function
        Its C name.
    kind
        What it is called in the tables.
    events
        How often each of its parts runs.
    fixed
        Assembly, or marked against inlining: always a function by itself.
    """

    function: str
    kind: str
    events: Mapping[str, float]
    fixed: bool = False


@dataclass(frozen=True)
class Site:
    """A call, what it calls, and the core."""

    call: Call
    name: str
    made: Instantiation
    known: Mapping[str, Instantiation]
    unaligned: bool

    def argument(self, position: int) -> np.ndarray:
        """Values of an argument at all points; of one that depends on data, zeros."""
        value = self.call.arguments[position]
        return np.zeros(self.call.points, np.int64) if value is None else value

    def total(self, values: np.ndarray | float | int) -> float:
        """A count over all executions of the call."""
        if isinstance(values, np.ndarray):
            return float(values.sum()) * self.call.weight
        return values * self.call.times


#: The functions that run for a call, and how often each of their parts.
Events = Callable[[Site], Iterator[Part]]
_EVENTS: dict[str, Events] = {}


def counts_of(*names: str) -> Callable[[Events], Events]:
    """Decorate the function that counts for macros or functions; ``*`` ends a part of a name."""

    def register(events: Events) -> Events:
        for name in names:
            _EVENTS[name] = events
        return events

    return register


def instantiations(preamble: tuple[str, ...]) -> dict[str, Instantiation]:
    """What a kernel's preamble instantiates, by name."""
    found = {}
    for line in preamble:
        match = _LINE.match(line)
        if match:
            arguments = tuple(a.strip() for a in match[3].split(","))
            found[match[2]] = Instantiation(match[1], arguments)
    return found


def parts(call: Call, known: Mapping[str, Instantiation], unaligned: bool) -> list[Part]:
    """The functions that run for all executions of a call.

    Parameters
    ----------
    known
        What is instantiated; other functions are of the runtime itself.
    unaligned
        Whether the core loads words from any address.
    """
    made = known.get(call.function, Instantiation(call.function, ()))
    site = Site(call, call.function, made, known, unaligned)
    events = _EVENTS.get(made.macro)
    if events is None:
        events = next((e for name, e in _EVENTS.items() if _matches(name, made.macro)), _any)
    return list(events(site))


def _matches(name: str, macro: str) -> bool:
    return name.endswith("*") and macro.startswith(name[:-1])


def _any(site: Site) -> Iterator[Part]:
    """A kernel without a model of its own: proportional to its arguments, and to their product."""
    events = {"call": site.call.times}
    product = np.ones(site.call.points)
    for position, value in enumerate(site.call.arguments):
        if value is not None:
            size = np.abs(value)
            events[f"argument {position}"] = site.total(size)
            product = product * np.maximum(size, 1)
    events["product"] = site.total(product)
    yield Part(site.name, site.made.macro, events)
