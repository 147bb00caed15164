"""Graph passes: each takes a verified graph and gives one that computes the same with less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Oracle
from tvmtiny.passes.dead_channels import eliminate_dead_channels
from tvmtiny.passes.fold_pad import fold_pad

__all__ = ["Optimized", "Options", "eliminate_dead_channels", "fold_pad", "optimize"]


@dataclass(frozen=True)
class Options:
    """Which passes run.

    Attributes
    ----------
    dead_channels
        Remove channels that are constant or that nothing depends on.
    """

    dead_channels: bool = True


@dataclass(frozen=True, eq=False)
class Optimized:
    """The result of all passes.

    Attributes
    ----------
    graph
        With the inputs and outputs of the original graph, and its tensor indices.
    kept
        For each activation that lost channels, by tensor index: which channels of the original
        tensor's last dimension it holds, in ascending order.
    """

    graph: Graph
    kept: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


def optimize(graph: Graph, oracle: Oracle, options: Options | None = None) -> Optimized:
    """Run the passes.

    Parameters
    ----------
    graph
        One that passed `tvmtiny.frontend.verify.verify`.
    oracle
        Whose arithmetic values that are computed at compile time follow.
    options
        By default all passes run.
    """
    options = options or Options()
    graph = fold_pad(graph)
    if not options.dead_channels:
        return Optimized(graph)
    reduced = eliminate_dead_channels(graph, oracle)
    return Optimized(reduced.graph, reduced.kept)
