"""Compute energy and clock of an inference from its cycles and a published figure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.targets.energy import EnergyFigure

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "Energy",
    "energy_of",
    "energy_summary",
    "energy_tables",
    "parse_clock",
    "parse_duration",
]

_CLOCK = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)(?:[hH][zZ])?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")
_CLOCK_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}
_DURATION_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Energy:
    """Energy and timing of an inference.

    Attributes
    ----------
    cycles
        Processor cycles of the inference.
    microjoules
        Energy of the computation in microjoules.
    figure
        Published figure from which the energy was computed.
    clock_hz
        Clock frequency of the processor in Hz.
    seconds
        Duration of the inference at this clock.
    deadline_seconds
        Time within which the inference must finish, which is also the interval between inferences;
        None if no deadline was given.
    slowest_clock_hz
        Lowest clock in Hz that meets the deadline.
    sleep_share
        Share of the interval in which the processor can sleep at `clock_hz`, 0 to 1; negative if
        the deadline is missed.
    average_microwatts
        Average power with one inference per interval, excluding the power drawn during sleep.
    """

    cycles: int
    microjoules: float
    figure: EnergyFigure
    clock_hz: float
    seconds: float
    deadline_seconds: float | None
    slowest_clock_hz: float | None
    sleep_share: float | None
    average_microwatts: float | None

    @property
    def in_time(self) -> bool:
        """Whether the deadline is met or absent."""
        return self.sleep_share is None or self.sleep_share >= 0


def energy_of(
    cycles: int,
    figure: EnergyFigure,
    clock_hz: float | None = None,
    deadline_seconds: float | None = None,
) -> Energy:
    """Compute the energy of an inference.

    Energy is proportional to cycles. The published figure is the energy of a million cycles on a
    board that computes without pause, and is assumed to hold at every clock.

    Parameters
    ----------
    cycles
        Cycles of an inference, measured or estimated.
    clock_hz
        Clock in Hz; by default that of the figure.
    deadline_seconds
        Interval between inferences in seconds.

    Raises
    ------
    InputError
        A number is not positive.
    """
    clock = figure.clock_hz if clock_hz is None else clock_hz
    for what, number in (("cycles", cycles), ("clock", clock), ("deadline", deadline_seconds)):
        # The negated comparison also rejects NaN.
        if number is not None and not number > 0:
            raise InputError(f"the {what} is {number:g}; give more than 0")
    energy = cycles * figure.microjoules_per_megacycle / 1e6
    seconds = cycles / clock
    if deadline_seconds is None:
        return Energy(cycles, energy, figure, clock, seconds, None, None, None, None)
    return Energy(
        cycles,
        energy,
        figure,
        clock,
        seconds,
        deadline_seconds,
        cycles / deadline_seconds,
        1 - seconds / deadline_seconds,
        energy / deadline_seconds,
    )


def parse_clock(text: str) -> float:
    """Parse a clock frequency into Hz: ``80M``, ``80MHz`` or ``32768``.

    Raises
    ------
    InputError
        The text is not a clock frequency, or is 0.
    """
    found = _CLOCK.fullmatch(text)
    value = float(found[1]) * _CLOCK_UNITS[found[2].lower()] if found else 0.0
    if not value:
        raise InputError(
            f"cannot parse the clock {quoted(text)}; give one such as 80M, 80MHz or 32768"
        )
    return value


def parse_duration(text: str) -> float:
    """Parse a duration into seconds: ``20ms``, ``500us`` or ``1.5s``.

    Raises
    ------
    InputError
        The text is not a duration, or is 0.
    """
    found = _DURATION.fullmatch(text)
    value = float(found[1]) * _DURATION_UNITS[found[2]] if found else 0.0
    if not value:
        raise InputError(
            f"cannot parse the time {quoted(text)}; give one such as 20ms, 500us or 1.5s"
        )
    return value


def energy_summary(energy: Energy) -> dict[str, Any]:
    """Summarize energy for ``--json``."""
    summary = asdict(energy)
    summary["figure"]["cpu"] = energy.figure.cpu.name
    return {**summary, "in_time": energy.in_time}


def energy_tables(energy: Energy) -> Iterator[RenderableType]:
    """Yield a table of the energy and the source of the figure."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row(
        "energy", f"{energy.microjoules:,.1f} uJ an inference, of {energy.cycles:,} cycles"
    )
    table.add_row("time", f"{energy.seconds * 1e3:,.3f} ms at {energy.clock_hz / 1e6:,g} MHz")
    if energy.deadline_seconds is not None:
        assert energy.slowest_clock_hz is not None and energy.sleep_share is not None
        table.add_row("slowest clock", f"{energy.slowest_clock_hz / 1e6:,.2f} MHz")
        milliseconds = f"{energy.deadline_seconds * 1e3:,g} ms"
        share = f"{energy.sleep_share:.1%} of {milliseconds}"
        table.add_row("asleep", share if energy.in_time else f"never: it misses {milliseconds}")
        table.add_row("power", f"{energy.average_microwatts:,.0f} uW, without that of sleep")
    yield table
    figure = energy.figure
    yield Text(
        f"\nfrom {figure.microjoules_per_megacycle:g} uJ a million cycles, {figure.description}, "
        f"at {figure.clock_hz / 1e6:g} MHz: {figure.source}"
    )
