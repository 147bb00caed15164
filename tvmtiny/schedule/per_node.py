"""Remembering what was computed for a node, as long as the node lives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from tvmtiny.ops import Node

Result = TypeVar("Result")


def per_node(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a function of a node and other, hashable arguments, that always gives the same."""
    results: WeakKeyDictionary[Node, dict[tuple[object, ...], Result]] = WeakKeyDictionary()

    @wraps(function)
    def remembering(node: Node, *arguments: object) -> Result:
        known = results.setdefault(node, {})
        if arguments not in known:
            known[arguments] = function(node, *arguments)
        return known[arguments]

    return remembering
