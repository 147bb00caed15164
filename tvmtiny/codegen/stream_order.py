"""The order of work of a model that runs row by row or in steps, divided into slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tvmtiny.codegen.slicing import Slices, Span, divide


@dataclass(frozen=True)
class StreamPiece:
    """One case of the generated work function.

    Attributes
    ----------
    lines
        The statements of the case.
    layer
        The layer that the work belongs to; -1 if it belongs to none.
    data, bytes
        Address and size of the output; empty and 0 if there is no output to compare.
    take
        Whether the case takes a row of the input.
    kernel
        Symbol of the kernel in parts that the case consists of; empty for other cases.
    cycles
        Estimated cycles.
    """

    lines: tuple[str, ...]
    layer: int = -1
    data: str = ""
    bytes: int = 0
    take: bool = False
    kernel: str = ""
    cycles: float = 0.0


class StreamOrder:
    """The work of an inference, divided into slices.

    Parameters
    ----------
    order
        All work, in order.
    again
        With sliding windows, the number of leading pieces that are done only once; the others are
        repeated for each further row. Otherwise 0.
    slices
        The limit on the length of slices.
    weights
        Shares of the units of kernels that run in parts, by symbol.

    Attributes
    ----------
    done
        The work of each entry of the generated order; a kernel in parts has several entries.
    again
        The parameter `again`, counted in entries.
    slices
        Number of steps of an inference, or of a further row.
    longest
        Estimated cycles of the longest step.
    longest_piece
        The first work of the longest step; None if no step has any cycles.
    """

    def __init__(
        self,
        order: Sequence[StreamPiece],
        again: int,
        slices: Slices,
        weights: Mapping[str, np.ndarray],
    ) -> None:
        once = self._divided(order[:again] if again else order, 0, slices, weights)
        turn = self._divided(order[again:], again, slices, weights) if again else []
        parts = [*once, *turn]
        self._spans = [span for part in parts for span in part]
        self._ends = np.cumsum([len(part) for part in parts]) - 1
        self._works = sorted(dict.fromkeys(order), key=lambda work: work.take)
        self.done = [order[span.piece] for span in self._spans]
        self.again = sum(len(part) for part in once) if again else 0
        steps = [part for part in turn or once if not order[part[0].piece].take]
        self.slices = len(steps)
        lengths = [sum(span.cycles for span in part) for part in parts]
        self.longest = max(lengths, default=0.0)
        self.longest_piece = (
            order[parts[int(np.argmax(lengths))][0].piece] if any(lengths) else None
        )

    @staticmethod
    def _divided(
        order: Sequence[StreamPiece],
        first: int,
        slices: Slices,
        weights: Mapping[str, np.ndarray],
    ) -> list[list[Span]]:
        """Divide work into slices; pieces are numbered from `first` on."""
        budget = slices.budget
        if slices.longest is None:
            budget = max((work.cycles for work in order), default=0.0)
        pieces = [(w.cycles, weights.get(w.kernel), w.take) for w in order]
        found = divide(pieces, budget)
        return [[replace(s, piece=s.piece + first) for s in part] for part in found]

    @property
    def end(self) -> int:
        """Number of entries of an inference, or of the first window."""
        return self.again or len(self.done)

    @property
    def last_row(self) -> int:
        """The last of these entries that takes a row."""
        return max((i for i, work in enumerate(self.done[: self.end]) if work.take), default=0)

    def context(self) -> dict[str, Any]:
        """Return the values for the template."""
        numbers = {work: number for number, work in enumerate(self._works)}
        parted = any(work.kernel for work in self._works)
        return {
            "works": self._works,
            "order": [numbers[work] for work in self.done],
            "index": _index_type(len(self._works)),
            "begin": [span.begin for span in self._spans] if parted else [],
            "end_units": [span.end for span in self._spans] if parted else [],
            "unit": _index_type(1 + max((span.end for span in self._spans), default=0)),
            "slice_ends": _bits(len(self.done), self._ends),
            "slices": self.slices,
            "longest_cycles": round(self.longest),
            "first_take": next((n for w, n in numbers.items() if w.take), len(numbers)),
            "end": self.end,
            "again": self.again,
        }


def _index_type(count: int) -> str:
    return "uint8_t" if count <= 256 else "uint16_t"


def _bits(count: int, ones: np.ndarray) -> list[int]:
    """Return a bit for each of `count` entries, packed into bytes with the lowest bit first."""
    flags = np.zeros(count, np.uint8)
    flags[ones.astype(np.int64)] = 1
    return [int(byte) for byte in np.packbits(flags, bitorder="little")] or [0]
