"""Chunks of products that share a register, two products in one multiplication.

A chunk is as long as the sum of its lower products was proven to fit 16 bits for the weights of a
channel. Channels whose chunks are equally long have code of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

from tvmtiny.schedule.implementation import FLASH_WEIGHT, Goal
from tvmtiny.schedule.matrix_layer import Layer, split_groups

Choice = TypeVar("Choice")

#: Lengths of chunks for which there is code, the longest first; longer ones for layers that read
#: single pixels, whose code has few registers and fewer products per input.
CHUNKS = (8, 6, 4, 3, 2, 1)
LONG_CHUNKS = (32, 24, 16, 12)

#: What kernels leave open: the longest chunks, how many lengths of chunks have code of their own,
#: and how many inputs are unrolled at most.
LONGEST = (1, 2, 3, 4, 6, 8)
CODES = (1, 2, 3)
UNROLLS = (8, 16, 32, 64)

#: What the sum of a chunk starts with; without it, its lower half is between minus and plus this.
START = 2**15 - 1

#: Up to this part of the channels, so many inputs are unrolled at most.
_SMALL_SHARE, _SHORT = 0.125, 4


@dataclass(frozen=True)
class ChunkPart:
    """Channels whose chunks are equally long.

    Attributes
    ----------
    chunk
        Products of a chunk.
    counts
        Chunks that are unrolled, chunks of a turn of the loop behind them, and turns.
    channels
        In the order of the stream; a channel may be repeated to fill a tile.
    """

    chunk: int
    counts: tuple[int, int, int]
    channels: list[int]


def provable(weights: np.ndarray, chunk: int) -> np.ndarray:
    """Of which channels the products of `chunk` inputs fit 16 bits, whatever the inputs are.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.

    Returns
    -------
    np.ndarray
        bool, ``(channels,)``.
    """
    depth = weights.shape[1]
    wide = np.pad(weights.astype(np.int64), ((0, 0), (0, -depth % chunk)))
    chunks = wide.reshape(len(weights), -1, chunk)
    positive = np.maximum(chunks, 0).sum(axis=2)
    negative = np.maximum(-chunks, 0).sum(axis=2)
    highest = 127 * positive + 128 * negative
    lowest = 128 * positive + 127 * negative
    return np.asarray((np.maximum(highest, lowest) <= START).all(axis=1))


def by_chunk(
    weights: np.ndarray,
    proof: Callable[[np.ndarray, int], np.ndarray],
    longest: int,
    most: int,
    cost: Callable[[int], float],
) -> dict[int, list[int]]:
    """Channels by the length of their chunks, which was proven: those that cost least.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.
    proof
        `provable`, or another one.
    longest
        One of `CHUNKS` or `LONG_CHUNKS`.
    most
        Different lengths, each of which has code of its own.
    cost
        Of a channel, by the length of its chunks.
    """
    able = {chunk: proof(weights, chunk) for chunk in (*LONG_CHUNKS, *CHUNKS) if chunk <= longest}
    costs = {chunk: np.where(proven, cost(chunk), np.inf) for chunk, proven in able.items()}
    choices = [c for n in range(1, most + 1) for c in combinations(costs, n)]

    def total(lengths: tuple[int, ...]) -> float:
        return float(np.min([costs[chunk] for chunk in lengths], axis=0).sum())

    best = min(choices, key=lambda lengths: (total(lengths), len(lengths)))
    taken = np.argmin([costs[chunk] for chunk in best], axis=0)
    found = {chunk: np.flatnonzero(taken == i).tolist() for i, chunk in enumerate(best)}
    return {chunk: channels for chunk, channels in found.items() if channels}


def chunk_parts(layer: Layer, classes: Mapping[int, list[int]], unroll: int) -> list[ChunkPart]:
    """How the chunks of each class of channels are unrolled.

    Parameters
    ----------
    classes
        Channels by the length of their chunks, such as `by_chunk` finds.
    unroll
        Inputs that are unrolled at most; code for few of the channels is short.
    """
    parts = []
    for chunk, channels in classes.items():
        few = len(channels) <= _SMALL_SHARE * layer.channels
        limit = max(2, (_SHORT if few else unroll) // chunk)
        parts.append(ChunkPart(chunk, split_groups(-(-layer.depth // chunk), limit), channels))
    return parts


def useful_unrolls(depth: int) -> tuple[int, ...]:
    """Those of `UNROLLS` that make a difference for so many inputs."""
    return tuple(u for i, u in enumerate(UNROLLS) if i == 0 or UNROLLS[i - 1] < depth)


def cheapest(
    candidates: Sequence[Choice],
    costs: Sequence[tuple[float, float]],
    layer: Layer,
    goal: Goal,
) -> Choice:
    """The candidate with the fewest instructions, weighed against the bytes of code.

    Parameters
    ----------
    costs
        Instructions and bytes of code of each candidate.
    """
    least = min(instructions for instructions, _ in costs)

    def weighed(position: int) -> float:
        instructions, code = costs[position]
        return instructions / least + FLASH_WEIGHT[goal] * code / layer.weights.size

    return candidates[min(range(len(candidates)), key=weighed)]
