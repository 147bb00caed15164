"""Convert counter values that a board reports to numbers of instructions."""

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

#: With -icount shift=0, one instruction takes one nanosecond.
INSTRUCTIONS_PER_SECOND = 1_000_000_000
# Number of ticks after which the counter wraps.
_PERIOD = 1 << 24

# struct times in runtime/device/server, and struct device_measurement in runtime/device.
_HEAD = struct.Struct("<II")
_MEASUREMENT = struct.Struct("<i7I")


@dataclass(frozen=True)
class Measurement:
    """One measured call, delimited by two counter values; mirrors ``struct device_measurement``.

    Attributes
    ----------
    status
        Return value of the function.
    begin_wraps, begin_value
        Start of the measurement: number of counter wraps, and value of the (falling) counter.
    end_wraps, end_value
        The same after the call.
    end_spins
        Iterations of the loop that waited for the value to change.
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
        """Create a measurement from entries named like its attributes.

        Raises
        ------
        KeyError
            An entry is missing.
        """
        return cls(**{name: entries[name] for name in cls.__dataclass_fields__})

    @property
    def ticks(self) -> int:
        """Counter ticks between the two values."""
        wraps = self.end_wraps - self.begin_wraps
        return wraps * _PERIOD + self.begin_value - self.end_value

    def virtual_time(self, counter: Counter, hz: int) -> float:
        """Return the instructions between the values, minus those spent waiting for the second."""
        waiting = self.end_spins * counter.spin_instructions
        return self.ticks * INSTRUCTIONS_PER_SECOND / hz - waiting


def instructions(call: Measurement, empty: Measurement, counter: Counter, hz: int) -> int:
    """Compute the instructions of a call, from the function's first instruction to its return.

    Parameters
    ----------
    call
        The measured call.
    empty
        The same measurement of a function that does nothing.
    counter
        Counter of the architecture.
    hz
        Frequency of the counter in Hz.
    """
    difference = call.virtual_time(counter, hz) - empty.virtual_time(counter, hz)
    return round(difference) + counter.empty_call_instructions


@dataclass(frozen=True)
class Timing:
    """The result of ``tvmtiny.time`` on a board.

    Attributes
    ----------
    instructions
        Instructions of each repetition.
    stack_bytes
        Deepest stack over all repetitions, in bytes.
    """

    instructions: tuple[int, ...]
    stack_bytes: int

    @property
    def median(self) -> int:
        """Median of the repetitions."""
        return round(statistics.median(self.instructions))


def decode_pieces(data: bytes, empty: Measurement, counter: Counter, hz: int) -> tuple[int, ...]:
    """Decode consecutive measurements into the instructions of each call.

    Raises
    ------
    DeviceError
        The data has the wrong size.
    """
    if len(data) % _MEASUREMENT.size:
        raise DeviceError(
            "cannot parse the firmware's measurements; build the firmware with this version of "
            "tvmtiny"
        )
    found = []
    for words in _MEASUREMENT.iter_unpack(data):
        status, begin_wraps, begin_value, _, *rest = words
        call = Measurement(status, begin_wraps, begin_value, *rest)
        found.append(instructions(call, empty, counter, hz))
    return tuple(found)


def decode_times(data: bytes, counter: Counter) -> Timing:
    """Decode the result of ``tvmtiny.time``.

    Parameters
    ----------
    counter
        Counter of the board's architecture.

    Raises
    ------
    DeviceError
        The data has the wrong size, or a run failed.
    """
    hz, empty, runs = _decode(data)
    return Timing(
        tuple(instructions(run, empty, counter, hz) for run in runs),
        max(run.stack_bytes for run in runs),
    )


def decode_ticks(data: bytes) -> tuple[int, ...]:
    """Decode the result of ``tvmtiny.time`` as counter ticks.

    Returns
    -------
    tuple of int
        Ticks of each repetition minus those of an empty call.

    Raises
    ------
    DeviceError
        The data has the wrong size, or a run failed.
    """
    _, empty, runs = _decode(data)
    return tuple(max(0, run.ticks - empty.ticks) for run in runs)


def _decode(data: bytes) -> tuple[int, Measurement, list[Measurement]]:
    """Split into counter frequency, measurement of an empty call, and measurements of the runs."""
    try:
        hz, repeats = _HEAD.unpack_from(data)
        measurements = []
        for words in _MEASUREMENT.iter_unpack(data[_HEAD.size :]):
            # The wait for the first change of the counter does not matter.
            status, begin_wraps, begin_value, _, *rest = words
            measurements.append(Measurement(status, begin_wraps, begin_value, *rest))
        if len(measurements) != repeats + 1 or repeats < 1 or hz < 1:
            raise struct.error("wrong number of measurements")
    except struct.error as error:
        raise DeviceError(
            f"cannot parse the board's measurements ({error}); build its firmware with this "
            "version of tvmtiny"
        ) from error
    empty, *runs = measurements
    for run in runs:
        if run.status != 0:
            raise DeviceError(
                f"the generated run function returned {run.status}, not 0; this is a defect of "
                "tvmtiny: report it with the model"
            )
    return hz, empty, runs
