"""From the changes of SysTick that a board reports to a number of instructions."""

from __future__ import annotations

import statistics
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tvmtiny.errors import DeviceError

__all__ = ["Measurement", "Timing", "decode_ticks", "decode_times", "instructions"]

# With -icount shift=0 one instruction takes one nanosecond.
_INSTRUCTIONS_PER_SECOND = 1_000_000_000
# The firmware finds the end of a SysTick period with a loop of this many instructions.
_SPIN_INSTRUCTIONS = 4
# The call that is subtracted is of a function with two instructions: set the result, return.
_EMPTY_CALL_INSTRUCTIONS = 2
_SYSTICK_PERIOD = 1 << 24

# struct times and struct device_measurement of runtime/qemu.
_HEAD = struct.Struct("<II")
_MEASUREMENT = struct.Struct("<i7I")


@dataclass(frozen=True)
class Measurement:
    """One call between two changes of SysTick; ``struct device_measurement`` of ``runtime/qemu``.

    Attributes
    ----------
    status
        What the function returned.
    begin_wraps, begin_value
        SysTick when the measurement began: how often it had wrapped, and its value, which falls.
    end_wraps, end_value
        The same at the first change of its value after the call.
    end_spins
        Passes of the loop that waited for it.
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
        """Ticks of the counter between the two changes."""
        wraps = self.end_wraps - self.begin_wraps
        return wraps * _SYSTICK_PERIOD + self.begin_value - self.end_value

    def virtual_time(self, systick_hz: int) -> float:
        """Instructions between the two changes, less those spent waiting for the second."""
        waiting = self.end_spins * _SPIN_INSTRUCTIONS
        return self.ticks * _INSTRUCTIONS_PER_SECOND / systick_hz - waiting


def instructions(call: Measurement, empty: Measurement, systick_hz: int) -> int:
    """Instructions of a call, from the function's first to its return.

    Parameters
    ----------
    call
        The measured call.
    empty
        The same call of a function that does nothing.
    systick_hz
        Frequency of SysTick, in Hz.
    """
    difference = call.virtual_time(systick_hz) - empty.virtual_time(systick_hz)
    return round(difference) + _EMPTY_CALL_INSTRUCTIONS


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


def decode_times(data: bytes) -> Timing:
    """Read the answer of ``tvmtiny.time``.

    Raises
    ------
    DeviceError
        It has the wrong size, or a run failed.
    """
    systick_hz, empty, runs = _decode(data)
    return Timing(
        tuple(instructions(run, empty, systick_hz) for run in runs),
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
        systick_hz, repeats = _HEAD.unpack_from(data)
        measurements = []
        for words in _MEASUREMENT.iter_unpack(data[_HEAD.size :]):
            # How long the first change took to come is of no interest.
            status, begin_wraps, begin_value, _, *rest = words
            measurements.append(Measurement(status, begin_wraps, begin_value, *rest))
        if len(measurements) != repeats + 1 or repeats < 1 or systick_hz < 1:
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
    return systick_hz, empty, runs
