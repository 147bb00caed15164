"""Slices of an inference: pieces of work between which a program can do something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.codegen.lower import Kernel, slice_kernel
from tvmtiny.codegen.program import Program
from tvmtiny.errors import InputError
from tvmtiny.ops import Node
from tvmtiny.schedule import Implementation

#: Estimates the cycles of one execution from node, implementation, kernel and constants' bytes.
Estimate = Callable[[Node, Implementation | None, Kernel, int], float]

#: Factor by which estimates of cycles can be too low.
_UNSURE = 1.15
#: Cycles of a step apart from its work.
_STEP = 80
#: A slice that is filled to this share of the budget takes no part of the next layer.
_FULL = 0.85

#: The shortest slice that can be requested, in cycles.
SHORTEST = 1000


@dataclass(frozen=True)
class Slices:
    """The limit on the length of slices.

    Attributes
    ----------
    estimate
        Estimates the cycles of a kernel.
    longest
        Most cycles of a slice; None if no layer is divided.
    """

    estimate: Estimate
    longest: int | None = None

    @property
    def budget(self) -> float:
        """Most estimated cycles of a slice."""
        return float("inf") if self.longest is None else self.longest / _UNSURE - _STEP

    def kernel(
        self,
        kernel: Kernel,
        node: Node,
        made: Implementation | None,
        constants: Sequence[np.ndarray] = (),
    ) -> tuple[Kernel, float]:
        """Return the kernel, divided into parts if it is too long, and its cycles."""
        cycles = self.estimate(node, made, kernel, sum(a.nbytes for a in constants))
        if cycles <= self.budget or kernel.weights is not None:
            return kernel, cycles
        return slice_kernel(kernel, cycles / self.budget) or kernel, cycles

    def kernels(
        self,
        program: Program,
        kernels: Mapping[str, Kernel],
        nodes: Mapping[str, Node],
        choices: Mapping[int, Implementation | None],
    ) -> dict[str, Kernel]:
        """Divide those kernels of a program that are too long.

        Parameters
        ----------
        kernels
            Kernels by function name.
        nodes
            Nodes by the name of the activation that they produce.
        choices
            Implementations by node index.

        Returns
        -------
        dict
            All kernels by function name.
        """
        found = dict(kernels)
        for call in program.calls:
            node = nodes[call.output.name]
            constants = [a for a in call.arguments if isinstance(a, np.ndarray)]
            kernel, made = found[call.function], choices.get(node.index)
            found[call.function] = self.kernel(kernel, node, made, constants)[0]
        return found


@dataclass(frozen=True)
class Span:
    """The units ``begin`` to ``end - 1`` of a piece of work, and their cycles."""

    piece: int
    begin: int
    end: int
    cycles: float


def divide(
    pieces: Sequence[tuple[float, np.ndarray | None, bool]], budget: float
) -> Iterator[list[Span]]:
    """Divide work into slices.

    Parameters
    ----------
    pieces
        For each piece of work, in order: its cycles; the shares of its units if it runs in parts,
        else None; and whether it stands alone, outside any slice.
    budget
        Most cycles of a slice.

    Yields
    ------
    list of Span
        The next slice.
    """
    here: list[Span] = []
    used = 0.0
    for number, (cycles, weights, alone) in enumerate(pieces):
        if alone:
            if here:
                yield here
            yield [Span(number, 0, 0, 0.0)]
            here, used = [], 0.0
            continue
        if weights is None:
            if here and used + cycles > budget:
                yield here
                here, used = [], 0.0
            here.append(Span(number, 0, 1, cycles))
            used += cycles
            continue
        begin, sums = 0, cycles * np.concatenate([[0.0], np.cumsum(weights)])
        while begin < len(weights):
            end = int(np.searchsorted(sums, sums[begin] + budget - used, "right")) - 1
            rest = sums[-1] - sums[begin]
            short = end <= begin or (used > _FULL * budget and rest > budget - used)
            if short and here:
                yield here
                here, used = [], 0.0
                continue
            end = max(end, begin + 1)
            more = float(sums[end] - sums[begin])
            here.append(Span(number, begin, end, more))
            used += more
            begin = end
    if here:
        yield here


def parse_longest(cycles: int | None) -> int | None:
    """Check the most cycles of a slice, and return them.

    Raises
    ------
    InputError
        If a step cannot be that short.
    """
    if cycles is not None and cycles < SHORTEST:
        raise InputError(
            f"slices of at most {cycles} cycles are too short; give longest_slice {SHORTEST} "
            "or more"
        )
    return cycles


def too_long(what: str, cycles: float, longest: int) -> InputError:
    """Return the error for slices that cannot be as short as requested."""
    return InputError(
        f"slices of at most {longest} cycles are not possible: {what} takes about "
        f"{round(cycles)}, and cannot be divided further; give longest_slice "
        f"{round(1.2 * cycles) + 100} or more"
    )
