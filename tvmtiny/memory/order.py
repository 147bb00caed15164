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
    reached: dict[int, tuple[int, tuple[int, ...], int]] = {0: (0, (), graph.live_at_first())}
    states = 1
    for _ in operations:
        following: dict[int, tuple[int, tuple[int, ...], int]] = {}
        for done, (peak, order, live) in reached.items():
            ready = graph.ready(done)
            if 1 << len(ready) > most_states:
                # Every set of these can be reached.
                return given
            for index in ready:
                largest = max(peak, graph.cost(done, live, index))
                after = done | 1 << index
                reaches = (largest, (*order, index), graph.live(done, live, index))
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
        self._operations = operations
        self._sizes = sizes
        self._outputs = set(outputs)
        self._producers = {operation.writes: i for i, operation in enumerate(operations)}
        self._needs = [
            sum(1 << p for p in {self._producers[r] for r in o.reads if r in self._producers})
            for o in operations
        ]
        self._readers = {
            name: sum(1 << i for i, o in enumerate(operations) if name in o.reads)
            for name in {*self._producers, *inputs}
        }

    def ready(self, done: int) -> list[int]:
        """What can be executed next."""
        return [
            i for i, needs in enumerate(self._needs) if not done >> i & 1 and needs & done == needs
        ]

    def live_at_first(self) -> int:
        """Bytes of the inputs that are needed."""
        return sum(
            self._sizes.get(name, 0)
            for name, readers in self._readers.items()
            if name not in self._producers and (name in self._outputs or readers)
        )

    def live(self, done: int, live: int, index: int) -> int:
        """Bytes that are live after `index`, where `live` of them are before."""
        operation = self._operations[index]
        if operation.writes in self._outputs or self._readers[operation.writes]:
            live += self._sizes.get(operation.writes, 0)
        return live - sum(self._sizes.get(name, 0) for name in self._dying(done, index))

    def cost(self, done: int, live: int, index: int) -> int:
        """Bytes while `index` runs, where `live` of them are there before."""
        operation = self._operations[index]
        dying = self._dying(done, index)
        saved = [count for name, count in (operation.shared or {}).items() if name in dying]
        new = self._sizes.get(operation.writes, 0) + operation.workspace
        return live + new - max(saved, default=0)

    def peak(self, order: Sequence[int]) -> int:
        """Bytes of the largest step."""
        done, peak, live = 0, 0, self.live_at_first()
        for index in order:
            peak = max(peak, self.cost(done, live, index))
            live = self.live(done, live, index)
            done |= 1 << index
        return peak

    def _dying(self, done: int, index: int) -> set[str]:
        """What `index` is the last to read."""
        return {
            name
            for name in self._operations[index].reads
            if name not in self._outputs and self._readers[name] & ~done == 1 << index
        }
