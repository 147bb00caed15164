"""The deepest stack of generated code, from what GCC says of its functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["ASSEMBLY_BYTES", "LIBRARY_BYTES", "deepest_stack"]

#: What a kernel in assembly saves and sets aside at the most: all registers that are its caller's,
#: those of floats or vectors among them, and a small table. GCC says of such a function, as of one
#: that needs no stack, that it takes none.
ASSEMBLY_BYTES = 256

#: What a function of the compiler's own library takes at the most, such as a division of doubles.
LIBRARY_BYTES = 160

_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes \(([a-z,]+)\)')
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def deepest_stack(graphs: Iterable[str], entry: str) -> int | None:
    """Bytes of stack that a function takes with all that it calls.

    Parameters
    ----------
    graphs
        Call graphs of all sources, as ``-fcallgraph-info=su`` of GCC writes them. Functions that
        are in none of them are a library's, and count as `LIBRARY_BYTES`.
    entry
        The function.

    Returns
    -------
    int or None
        None where it is not bounded: functions call each other in a circle or through pointers, or
        one takes as much as its arguments say.
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
