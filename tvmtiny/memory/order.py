"""The order of execution with the smallest peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Beyond this many sets of executed operators, the given order is kept.
MOST_STATES = 1 << 12


@dataclass(frozen=True)
class Operation:
    """An operator, as far as its order matters.

    Attributes
    ----------
    reads
        Names of the buffers that it needs.
    writes
        The buffer that it produces.
    workspace
        Bytes that it needs while it runs.
    shared
        Bytes that it saves by writing over a buffer that dies with it, by that buffer's name.
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
    """The topological order whose largest sum of live bytes is smallest.

    Dynamic programming over sets of executed operators. Among equals the given order wins, then
    the one that is first lexicographically.

    Parameters
    ----------
    operations
        In a valid order.
    sizes
        Bytes by buffer; what is not in it costs nothing.
    inputs, outputs
        Buffers that are there from the start, and that live to the end.
    most_states
        Give up and keep the order of `operations` beyond so many sets.

    Returns
    -------
    tuple
        Positions in `operations`.
    """
    given = tuple(range(len(operations)))
    graph = _Graph(operations, sizes, inputs, outputs)
    # For every reachable set: the smallest peak so far, the order that has it, and live bytes.
    reached: dict[int, tuple[int, tuple[int, ...], int]] = {0: (0, (), graph.live_at_first)}
    states = 1
    for _ in operations:
        following: dict[int, tuple[int, tuple[int, ...], int]] = {}
        for done, (peak, order, live) in reached.items():
            ready = graph.ready(done)
            if 1 << len(ready) > most_states:
                # Every set of these can be reached.
                return given
            for index in ready:
                cost, left = graph.step(done, live, index)
                after = done | 1 << index
                reaches = (max(peak, cost), (*order, index), left)
                if after not in following or reaches < following[after]:
                    following[after] = reaches
            if states + len(following) > most_states:
                return given
        reached = following
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
        readers = {
            name: sum(1 << i for i, o in enumerate(operations) if name in o.reads)
            for name in {*producers, *inputs}
        }
        kept = set(outputs)
        #: Bytes of the inputs that are needed.
        self.live_at_first = sum(
            sizes.get(name, 0)
            for name in readers
            if name not in producers and (name in kept or readers[name])
        )
        # Bytes that each operation needs for its result, and that it leaves there.
        self._new = [sizes.get(o.writes, 0) + o.workspace for o in operations]
        self._left = [
            sizes.get(o.writes, 0) if o.writes in kept or readers[o.writes] else 0
            for o in operations
        ]
        # What each may be the last to read: its readers, its bytes, and how many are shared.
        self._reads = [
            [
                (readers[name], sizes.get(name, 0), (o.shared or {}).get(name, 0))
                for name in dict.fromkeys(o.reads)
                if name not in kept
            ]
            for o in operations
        ]

    def ready(self, done: int) -> list[int]:
        """What can be executed next."""
        return [
            i for i, needs in enumerate(self._needs) if not done >> i & 1 and needs & done == needs
        ]

    def step(self, done: int, live: int, index: int) -> tuple[int, int]:
        """Bytes while `index` runs and after, where `live` of them are there before."""
        dying = saved = 0
        for readers, size, shared in self._reads[index]:
            if readers & ~done == 1 << index:
                dying += size
                saved = max(saved, shared)
        return live + self._new[index] - saved, live + self._left[index] - dying

    def peak(self, order: Sequence[int]) -> int:
        """Bytes of the largest step."""
        done, peak, live = 0, 0, self.live_at_first
        for index in order:
            cost, live = self.step(done, live, index)
            peak = max(peak, cost)
            done |= 1 << index
        return peak
