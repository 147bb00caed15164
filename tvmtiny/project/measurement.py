"""From the values of a counter that a board reports to a number of instructions."""

from __future__ import annotations

import statistics
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tvmtiny.errors import DeviceError
from tvmtiny.targets.architectures import Counter

__all__ = [
    "INSTRUCTIONS_PER_SECOND",
    "Measurement",
    "Timing",
    "decode_pieces",
    "decode_ticks",
    "decode_times",
    "instructions",
]

#: With -icount shift=0 one instruction takes one nanosecond.
INSTRUCTIONS_PER_SECOND = 1_000_000_000
# The counter wraps after so many ticks.
_PERIOD = 1 << 24

# struct times of runtime/device/server, and struct device_measurement of runtime/device.
_HEAD = struct.Struct("<II")
_MEASUREMENT = struct.Struct("<i7I")


@dataclass(frozen=True)
class Measurement:
    """One call between two values of the counter; ``struct device_measurement`` of the firmware.

    Attributes
    ----------
    status
        What the function returned.
    begin_wraps, begin_value
        When the measurement began: how often the counter had wrapped, and its value, which falls.
    end_wraps, end_value
        The same after the call.
    end_spins
        Passes of the loop that waited until the value changed.
    stack_bytes
        Deepest stack of the call, in bytes.
    """

    status: int
    begin_wraps: int
    begin_value: int
    end_wraps: int
    end_value: int
    end_spins: int
    stack_bytes: int

    @classmethod
    def of(cls, entries: Mapping[str, int]) -> Measurement:
        """Read a measurement from entries with the names of the attributes.

        Raises
        ------
        KeyError
            One is missing.
        """
        return cls(**{name: entries[name] for name in cls.__dataclass_fields__})

    @property
    def ticks(self) -> int:
        """Ticks of the counter between the two values."""
        wraps = self.end_wraps - self.begin_wraps
        return wraps * _PERIOD + self.begin_value - self.end_value

    def virtual_time(self, counter: Counter, hz: int) -> float:
        """Instructions between the two values, less those spent waiting for the second."""
        waiting = self.end_spins * counter.spin_instructions
        return self.ticks * INSTRUCTIONS_PER_SECOND / hz - waiting


def instructions(call: Measurement, empty: Measurement, counter: Counter, hz: int) -> int:
    """Instructions of a call, from the function's first to its return.

    Parameters
    ----------
    call
        The measured call.
    empty
        The same call of a function that does nothing.
    counter
        Of the architecture.
    hz
        Frequency of the counter, in Hz.
    """
    difference = call.virtual_time(counter, hz) - empty.virtual_time(counter, hz)
    return round(difference) + counter.empty_call_instructions


@dataclass(frozen=True)
class Timing:
    """What ``tvmtiny.time`` of a board reports.

    Attributes
    ----------
    instructions
        Of each repeat.
    stack_bytes
        Deepest stack of all repeats, in bytes.
    """

    instructions: tuple[int, ...]
    stack_bytes: int

    @property
    def median(self) -> int:
        """The median of the repeats."""
        return round(statistics.median(self.instructions))


def decode_pieces(data: bytes, empty: Measurement, counter: Counter, hz: int) -> tuple[int, ...]:
    """Instructions of each of some calls, whose measurements were written one after the other.

    Raises
    ------
    DeviceError
        They have the wrong size.
    """
    if len(data) % _MEASUREMENT.size:
        raise DeviceError(
            "the firmware wrote measurements that are not understood; build it with this version "
            "of tvmtiny"
        )
    found = []
    for words in _MEASUREMENT.iter_unpack(data):
        status, begin_wraps, begin_value, _, *rest = words
        call = Measurement(status, begin_wraps, begin_value, *rest)
        found.append(instructions(call, empty, counter, hz))
    return tuple(found)


def decode_times(data: bytes, counter: Counter) -> Timing:
    """Read the answer of ``tvmtiny.time``.

    Parameters
    ----------
    counter
        Of the board's architecture.

    Raises
    ------
    DeviceError
        It has the wrong size, or a run failed.
    """
    hz, empty, runs = _decode(data)
    return Timing(
        tuple(instructions(run, empty, counter, hz) for run in runs),
        max(run.stack_bytes for run in runs),
    )


def decode_ticks(data: bytes) -> tuple[int, ...]:
    """Read the same answer where the counter's ticks themselves are wanted.

    Returns
    -------
    tuple of int
        Ticks of each repeat beyond those of an empty call.

    Raises
    ------
    DeviceError
        It has the wrong size, or a run failed.
    """
    _, empty, runs = _decode(data)
    return tuple(max(0, run.ticks - empty.ticks) for run in runs)


def _decode(data: bytes) -> tuple[int, Measurement, list[Measurement]]:
    """Frequency of the counter, measurement of an empty call, and those of the runs."""
    try:
        hz, repeats = _HEAD.unpack_from(data)
        measurements = []
        for words in _MEASUREMENT.iter_unpack(data[_HEAD.size :]):
            # How long the first change took to come is of no interest.
            status, begin_wraps, begin_value, _, *rest = words
            measurements.append(Measurement(status, begin_wraps, begin_value, *rest))
        if len(measurements) != repeats + 1 or repeats < 1 or hz < 1:
            raise struct.error("wrong number of measurements")
    except struct.error as error:
        raise DeviceError(
            f"the board measured something that is not understood ({error}); "
            "build its firmware with this version of tvmtiny"
        ) from error
    empty, *runs = measurements
    for run in runs:
        if run.status != 0:
            raise DeviceError(
                f"the generated run function returned {run.status}, not 0; this is a defect of "
                "tvmtiny: report it with the model"
            )
    return hz, empty, runs
