"""Chunks of products that share a register, with two products in one multiplication.

The length of a chunk is such that the sum of its lower products is proven to fit 16 bits for the
weights of a channel. Channels with equal chunk lengths share code.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from tvmtiny.schedule.implementation import FLASH_WEIGHT, Goal
from tvmtiny.schedule.matrix_layer import Layer, split_groups

Choice = TypeVar("Choice")
Class = TypeVar("Class", bound=Hashable)
#: Returns the channels of weights, int8 ``(channels, depth)``, whose chunks of a length are proven.
Proof = Callable[[np.ndarray, int], np.ndarray]

#: Lengths of chunks for which code exists, the longest first. Longer ones are for layers that read
#: single pixels, whose code has few registers and fewer products per input.
CHUNKS = (8, 6, 4, 3, 2, 1)
LONG_CHUNKS = (32, 24, 16, 12)

#: Open decisions of kernels: the longest chunk, the number of chunk lengths with code of their own,
#: and the most inputs that are unrolled.
LONGEST = (1, 2, 3, 4, 6, 8)
CODES = (1, 2, 3)
UNROLLS = (8, 16, 32, 64)

#: Initial value of a chunk's sum; the lower half then stays between plus and minus this value.
START = 2**15 - 1

#: Codes for up to this share of the channels unroll at most this many inputs.
_SMALL_SHARE, _SHORT = 0.125, 4

#: Proven channels by length of chunks; all candidates of a layer need the same proofs.
_proven: WeakKeyDictionary[Layer, dict[tuple[Proof, int], np.ndarray]] = WeakKeyDictionary()

#: Results of `by_chunk`; candidates that unroll more or less share them.
_assigned: WeakKeyDictionary[Layer, dict[Hashable, dict[int, list[int]]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ChunkPart:
    """Channels whose chunks have the same length.

    Attributes
    ----------
    chunk
        Products of a chunk.
    counts
        Unrolled chunks, chunks per iteration of the loop that follows, and iterations; empty for
        kernels that loop over blocks.
    channels
        Channels in the order of the stream; a channel may be repeated to fill a tile.
    """

    chunk: int
    counts: tuple[int, ...]
    channels: list[int]


def provable(weights: np.ndarray, chunk: int) -> np.ndarray:
    """Find the channels whose sums of `chunk` products fit 16 bits for all inputs.

    Parameters
    ----------
    weights
        int8, ``(channels, depth)``.
    chunk
        Products of a chunk.

    Returns
    -------
    np.ndarray
        bool, ``(channels,)``.
    """
    channels, depth = weights.shape
    wide = np.zeros((channels, -(-depth // chunk) * chunk), np.int32)
    wide[:, :depth] = weights
    chunks = wide.reshape(channels, -1, chunk)
    positive = np.maximum(chunks, 0).sum(axis=2)
    negative = positive - chunks.sum(axis=2)
    highest = 127 * positive + 128 * negative
    lowest = 128 * positive + 127 * negative
    return np.asarray((np.maximum(highest, lowest) <= START).all(axis=1))


def proven_channels(layer: Layer, proof: Proof, chunk: int) -> np.ndarray:
    """Return for which channels of a layer chunks of a length are proven: bool, ``(channels,)``."""
    known = _proven.setdefault(layer, {})
    if (proof, chunk) not in known:
        known[proof, chunk] = proof(layer.weights, chunk)
    return known[proof, chunk]


def by_chunk(
    layer: Layer,
    proof: Proof,
    longest: int,
    most: int,
    cost: Callable[[int], float],
) -> dict[int, list[int]]:
    """Assign channels to proven chunk lengths at the least cost.

    Parameters
    ----------
    proof
        `provable`, or another proof.
    longest
        One of `CHUNKS` or `LONG_CHUNKS`.
    most
        Most different lengths, each of which has code of its own.
    cost
        Cost of a channel by the length of its chunks.

    Returns
    -------
    dict
        Channels by chunk length.
    """
    chunks = (chunk for chunk in (*LONG_CHUNKS, *CHUNKS) if chunk <= longest)
    each = {chunk: cost(chunk) for chunk in chunks}
    known, key = _assigned.setdefault(layer, {}), (proof, most, *each.items())
    if key not in known:
        costs = {
            chunk: np.where(proven_channels(layer, proof, chunk), one, np.inf)
            for chunk, one in each.items()
        }
        known[key] = cheapest_classes(costs, most)
    return known[key]


def cheapest_classes(costs: Mapping[Class, np.ndarray], most: int) -> dict[Class, list[int]]:
    """Assign channels to at most `most` classes at the least cost.

    Parameters
    ----------
    costs
        Cost of each channel by class; infinite for channels that do not belong there.

    Returns
    -------
    dict
        Channels by class.
    """
    least: dict[tuple[Class, ...], np.ndarray] = {(one,): cost for one, cost in costs.items()}
    for count in range(2, most + 1):
        for classes in combinations(costs, count):
            least[classes] = np.minimum(least[classes[:-1]], costs[classes[-1]])
    # Of equal sums, the first has the fewest classes.
    best = [*least][int(np.add.reduce([*least.values()], axis=1).argmin())]
    taken = np.argmin([costs[one] for one in best], axis=0)
    found = {one: np.flatnonzero(taken == i).tolist() for i, one in enumerate(best)}
    return {one: channels for one, channels in found.items() if channels}


def chunk_parts(layer: Layer, classes: Mapping[int, list[int]], unroll: int) -> list[ChunkPart]:
    """Choose the unrolling of the chunks in each class of channels.

    Parameters
    ----------
    layer
        The layer.
    classes
        Channels by chunk length, such as `by_chunk` returns.
    unroll
        Most inputs that are unrolled; code for few of the channels is kept short.
    """
    parts = []
    for chunk, channels in classes.items():
        few = len(channels) <= _SMALL_SHARE * layer.channels
        limit = max(2, (_SHORT if few else unroll) // chunk)
        parts.append(ChunkPart(chunk, split_groups(-(-layer.depth // chunk), limit), channels))
    return parts


def useful_unrolls(depth: int) -> tuple[int, ...]:
    """Return those values of `UNROLLS` that make a difference for `depth` inputs."""
    return tuple(u for i, u in enumerate(UNROLLS) if i == 0 or UNROLLS[i - 1] < depth)


def cheapest(
    candidates: Sequence[Choice],
    costs: Sequence[tuple[float, float]],
    layer: Layer,
    goal: Goal,
) -> Choice:
    """Return the candidate with the fewest instructions, weighed against bytes of code.

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
