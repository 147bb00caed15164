"""Bound the stack of generated code by means of GCC's call graphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["ASSEMBLY_BYTES", "LIBRARY_BYTES", "deepest_stack"]

#: Upper bound on the stack of a kernel in assembly: all registers that it must preserve, including
#: float or vector registers, and a small table. GCC reports 0 bytes for such a function, as for one
#: that needs no stack.
ASSEMBLY_BYTES = 256

#: Upper bound on the stack of a function of the compiler's library, such as a double division.
LIBRARY_BYTES = 160

_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes \(([a-z,]+)\)')
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def deepest_stack(graphs: Iterable[str], entry: str) -> int | None:
    """Compute the stack that a function needs, including all functions that it calls.

    Parameters
    ----------
    graphs
        Call graphs of all sources, as written by GCC's ``-fcallgraph-info=su``. Functions that are
        in none of them belong to a library and count as `LIBRARY_BYTES`.
    entry
        Name of the function.

    Returns
    -------
    int or None
        Stack in bytes; None if it is unbounded, because functions are recursive or called through
        pointers, or because a frame depends on the arguments.
    """
    frames: dict[str, int] = {}
    calls: dict[str, list[str]] = {}
    for line in (line for graph in graphs for line in graph.splitlines()):
        node, edge = _NODE.match(line), _EDGE.match(line)
        if node is not None:
            if "dynamic" in node[3] and "bounded" not in node[3]:
                return None
            frames[node[1]] = int(node[2]) or ASSEMBLY_BYTES
        elif edge is not None:
            calls.setdefault(edge[1], []).append(edge[2])
    return _depth(entry, frames, calls, {}, ())


def _depth(
    name: str,
    frames: Mapping[str, int],
    calls: Mapping[str, list[str]],
    known: dict[str, int | None],
    above: tuple[str, ...],
) -> int | None:
    if name in above or name == "__indirect_call":
        return None
    if name not in known:
        deepest: int | None = 0
        for called in calls.get(name, ()):
            inner = _depth(called, frames, calls, known, (*above, name))
            deepest = None if inner is None or deepest is None else max(deepest, inner)
        own = frames.get(name, LIBRARY_BYTES)
        known[name] = None if deepest is None else own + deepest
    return known[name]
