"""Permitted overlaps of an output and an input that dies with it, from reads and writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overlap:
    """A buffer that may be written over a parameter that is still being read.

    Attributes
    ----------
    written
        ``out``, or the name of a workspace.
    read
        Position of the parameter.
    before, multiple
        The written buffer may start ``before + k * multiple`` bytes before the parameter, for any
        ``k >= 0``. A negative `before` allows it to start that much after the parameter.
    """

    written: str
    read: int
    before: int
    multiple: int = 1


def smallest_distance(last_read: np.ndarray, first_write: np.ndarray, multiple: int = 1) -> int:
    """Return the least number of bytes by which the output must start before the input.

    Parameters
    ----------
    last_read
        For each byte of the input, the last step that reads it; -1 if no step does.
    first_write
        For each byte of the output, the first step that writes it. Within a step all reads precede
        all writes.
    multiple
        Distances are multiples of this value, counted from 0. It is, for instance, the number of
        channels of a pixel if steps of different channels are independent.

    Notes
    -----
    Output byte ``o`` at distance ``d`` covers input byte ``o - d``, so every such pair requires
    ``first_write[o] >= last_read[o - d]``. Within a residue class the running maximum of
    `last_read` makes the condition monotone in ``d``, so bisection finds the least distance.
    """
    inputs, outputs = len(last_read), len(first_write)
    padded = np.full(-(-inputs // multiple) * multiple, -1, np.int64)
    padded[:inputs] = last_read
    running = np.maximum.accumulate(padded.reshape(-1, multiple), axis=0).ravel()[:inputs]

    def valid(distance: int) -> bool:
        first, last = max(0, distance), min(outputs, inputs + distance)
        if first >= last:
            return True
        return bool(np.all(first_write[first:last] >= running[first - distance : last - distance]))

    low, high = -(inputs // multiple), -(-outputs // multiple)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if valid(middle * multiple) else (middle + 1, high)
    return low * multiple


def overlaps_attribute(overlaps: Sequence[Overlap]) -> str:
    """Return overlaps as the text of a PrimFunc attribute."""
    return json.dumps([vars(overlap) for overlap in overlaps])


def parse_overlaps(text: str) -> tuple[Overlap, ...]:
    """Parse the text that `overlaps_attribute` returns."""
    return tuple(Overlap(**fields) for fields in json.loads(text))
