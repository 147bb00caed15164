"""Registry of the functions that count for micro-kernels, and the data that they count from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tvmtiny.estimation.counts import Call

__all__ = ["CONSTANTS", "Instantiation", "Part", "Site", "counts_of", "instantiations", "parts"]

_LINE = re.compile(r"(\w+)\((\w+),?\s*(.*)\)")

#: Words of constants that follow an initial accumulator, by kind of rounding.
CONSTANTS = {"PLAIN": 1, "SIGNED": 3}


@dataclass(frozen=True)
class Instantiation:
    """A macro of the runtime with its arguments, without the name of the function it defines."""

    macro: str
    arguments: tuple[str, ...]

    def number(self, position: int) -> int:
        """Return an argument as a number; 0 is the first one after the name."""
        return int(self.arguments[position].strip("() "))

    def numbers(self, *positions: int) -> tuple[int, ...]:
        """Return several arguments as numbers."""
        return tuple(self.number(position) for position in positions)


@dataclass(frozen=True)
class Part:
    """A function that runs for a call.

    Attributes
    ----------
    function
        The C name.
    kind
        The name in the tables.
    events
        Executions of each of its parts.
    fixed
        Whether the function is never inlined, because it is assembly or marked accordingly.
    constants
        Constant arguments for which compilers adapt the function if all its callers agree, so that
        it has costs of its own there; None if they do not.
    guessed
        Whether the events are those of the arguments, because there is no counting function.
    """

    function: str
    kind: str
    events: Mapping[str, float]
    fixed: bool = False
    constants: tuple[int, ...] | None = None
    guessed: bool = False


@dataclass(frozen=True)
class Site:
    """A call, the function that it calls, and a property of the core."""

    call: Call
    name: str
    made: Instantiation
    known: Mapping[str, Instantiation]
    unaligned: bool

    def argument(self, position: int) -> np.ndarray:
        """Return the values of an argument at all points; zeros if it depends on data."""
        value = self.call.arguments[position]
        return np.zeros(self.call.points, np.int64) if value is None else value

    def total(self, values: np.ndarray | float | int) -> float:
        """Return the sum over all executions of the call."""
        if isinstance(values, np.ndarray):
            return float(values.sum()) * self.call.weight
        return values * self.call.times


#: Yields the functions that run for a call, with the executions of their parts.
Events = Callable[[Site], Iterator[Part]]
_EVENTS: dict[str, Events] = {}


def counts_of(*names: str) -> Callable[[Events], Events]:
    """Register a counting function for macros or functions; a final ``*`` matches any suffix."""

    def register(events: Events) -> Events:
        for name in names:
            _EVENTS[name] = events
        return events

    return register


def instantiations(preamble: tuple[str, ...]) -> dict[str, Instantiation]:
    """Return the instantiations in a kernel's preamble, by name."""
    found = {}
    for line in preamble:
        match = _LINE.match(line)
        if match:
            arguments = tuple(a.strip() for a in match[3].split(","))
            found[match[2]] = Instantiation(match[1], arguments)
    return found


def parts(call: Call, known: Mapping[str, Instantiation], unaligned: bool) -> list[Part]:
    """Return the functions that run for all executions of a call.

    Parameters
    ----------
    call
        The call.
    known
        Instantiations by name; other functions belong to the runtime.
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
    """Count a kernel without a model of its own: by its arguments, and by their product."""
    events = {"call": site.call.times}
    product = np.ones(site.call.points)
    for position, value in enumerate(site.call.arguments):
        if value is not None:
            size = np.abs(value)
            events[f"argument {position}"] = site.total(size)
            product = product * np.maximum(size, 1)
    events["product"] = site.total(product)
    yield Part(site.name, site.made.macro, events, guessed=True)
