"""Graph passes: each turns a verified graph into an equivalent one that needs less work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Oracle
from tvmtiny.passes.dead_channels import eliminate_dead_channels
from tvmtiny.passes.fold_pad import fold_pad
from tvmtiny.passes.trim_filters import trim_filters

__all__ = [
    "Optimized",
    "Options",
    "eliminate_dead_channels",
    "fold_pad",
    "optimize",
    "trim_filters",
]


@dataclass(frozen=True)
class Options:
    """The passes that run.

    Attributes
    ----------
    dead_channels
        Whether to remove channels that are constant or that nothing depends on.
    """

    dead_channels: bool = True


@dataclass(frozen=True, eq=False)
class Optimized:
    """The result of all passes.

    Attributes
    ----------
    graph
        The optimized graph; inputs, outputs and tensor indices are those of the original graph.
    kept
        The remaining channels of each activation that lost channels, by tensor index: positions
        along the last dimension of the original tensor, in ascending order.
    """

    graph: Graph
    kept: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


def optimize(graph: Graph, oracle: Oracle, options: Options | None = None) -> Optimized:
    """Run the graph passes.

    Parameters
    ----------
    graph
        A graph that passed `tvmtiny.frontend.verify.verify`.
    oracle
        The reference whose arithmetic is used for values that are computed at compile time.
    options
        The passes to run; all of them by default.
    """
    known = _optimized.setdefault(graph, {})
    key = oracle, options or Options()
    found = known.get(key) or _optimize(graph, *key)
    if found.graph is not graph:
        # A result that holds the graph itself would keep it alive for ever.
        known[key] = found
    return found


#: Equal arguments give the same nodes, so that what depends on a node is computed once for all
#: targets and goals.
_optimized: WeakKeyDictionary[Graph, dict[tuple[Oracle, Options], Optimized]] = WeakKeyDictionary()


def _optimize(graph: Graph, oracle: Oracle, options: Options) -> Optimized:
    graph = trim_filters(fold_pad(graph))
    if not options.dead_channels:
        return Optimized(graph)
    reduced = eliminate_dead_channels(graph, oracle)
    return Optimized(reduced.graph, reduced.kept)
