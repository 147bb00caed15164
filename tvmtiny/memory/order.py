"""The order of execution with the smallest peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: With more sets of executed operators than this, the given order is kept.
MOST_STATES = 1 << 12


@dataclass(frozen=True)
class Operation:
    """An operator's buffers, which determine how its order affects the peak.

    Attributes
    ----------
    reads
        Names of the buffers that the operator reads.
    writes
        Name of the buffer that it writes.
    workspace
        Bytes of its workspaces.
    shared
        Bytes that it saves by overwriting an input with no later reader, by name of the input.
    """

    reads: tuple[str, ...]
    writes: str
    workspace: int = 0
    shared: Mapping[str, int] | None = None


def best_order(
    operations: Sequence[Operation],
    sizes: Mapping[str, int],
    inputs: Sequence[str],
    outputs: Sequence[str],
    most_states: int = MOST_STATES,
) -> tuple[int, ...]:
    """Find the topological order with the smallest peak, the largest sum of live bytes.

    The search is dynamic programming over sets of executed operators. Among orders with equal
    peaks the given order wins, then the lexicographically first one.

    Parameters
    ----------
    operations
        The operators in a valid order.
    sizes
        Bytes of each buffer; buffers that are not listed cost nothing.
    inputs, outputs
        Buffers that are live from the start, and that live to the end.
    most_states
        Limit of sets, above which the search stops and the given order is kept.

    Returns
    -------
    tuple of int
        Positions in `operations`.
    """
    given = tuple(range(len(operations)))
    graph = _Graph(operations, sizes, inputs, outputs)
    # For every reachable set: the smallest peak so far, the order that attains it, and live bytes.
    reached: dict[int, tuple[int, tuple[int, ...], int]] = {0: (0, (), graph.live_at_first)}
    ready = {0: graph.ready_at_first()}
    states = 1
    for _ in operations:
        ready_then: dict[int, list[int]] = {}
        following: dict[int, tuple[int, tuple[int, ...], int]] = {}
        for done, (peak, order, live) in reached.items():
            if 1 << len(ready[done]) > most_states:
                # All subsets of the ready operators are reachable sets.
                return given
            for index in ready[done]:
                cost, left = graph.step(done, live, index)
                after = done | 1 << index
                reaches = (max(peak, cost), (*order, index), left)
                if after not in following:
                    ready_then[after] = graph.ready_after(ready[done], index, after)
                if after not in following or reaches < following[after]:
                    following[after] = reaches
            if states + len(following) > most_states:
                return given
        reached, ready = following, ready_then
        states += len(reached)
    ((peak, order, _),) = reached.values()
    return given if graph.peak(given) <= peak else order


class _Graph:
    def __init__(
        self,
        operations: Sequence[Operation],
        sizes: Mapping[str, int],
        inputs: Sequence[str],
        outputs: Sequence[str],
    ) -> None:
        producers = {operation.writes: i for i, operation in enumerate(operations)}
        self._needs = [
            sum(1 << p for p in {producers[r] for r in o.reads if r in producers})
            for o in operations
        ]
        readers = dict.fromkeys([*producers, *inputs], 0)
        for i, operation in enumerate(operations):
            for name in readers.keys() & {*operation.reads}:
                readers[name] |= 1 << i
        #: For each operation, the operations that read its result.
        self._users: list[list[int]] = [[] for _ in operations]
        for i, operation in enumerate(operations):
            for producer in {producers[r] for r in operation.reads if r in producers}:
                self._users[producer].append(i)
        kept = set(outputs)
        #: Bytes of the inputs that are read or kept.
        self.live_at_first = sum(
            sizes.get(name, 0)
            for name in readers
            if name not in producers and (name in kept or readers[name])
        )
        # Bytes of each operation's result and workspaces, and those that stay live afterwards.
        self._new = [sizes.get(o.writes, 0) + o.workspace for o in operations]
        self._left = [
            sizes.get(o.writes, 0) if o.writes in kept or readers[o.writes] else 0
            for o in operations
        ]
        # For each operation's inputs: the readers as a bit set, the bytes, and the shared bytes.
        self._reads = [
            [
                (readers[name], sizes.get(name, 0), (o.shared or {}).get(name, 0))
                for name in dict.fromkeys(o.reads)
                if name not in kept
            ]
            for o in operations
        ]

    def ready_at_first(self) -> list[int]:
        """Return the operations that can be executed at the start."""
        return [i for i, needs in enumerate(self._needs) if not needs]

    def ready_after(self, ready: Sequence[int], index: int, done: int) -> list[int]:
        """Return the operations that can be executed after `index`, a member of `ready`."""
        new = [i for i in self._users[index] if self._needs[i] & done == self._needs[i]]
        return sorted([*(i for i in ready if i != index), *new])

    def step(self, done: int, live: int, index: int) -> tuple[int, int]:
        """Return the live bytes while `index` runs and afterwards, given those before."""
        dying = saved = 0
        for readers, size, shared in self._reads[index]:
            if readers & ~done == 1 << index:
                dying += size
                saved = max(saved, shared)
        return live + self._new[index] - saved, live + self._left[index] - dying

    def peak(self, order: Sequence[int]) -> int:
        """Return the bytes of the largest step."""
        done, peak, live = 0, 0, self.live_at_first
        for index in order:
            cost, live = self.step(done, live, index)
            peak = max(peak, cost)
            done |= 1 << index
        return peak
