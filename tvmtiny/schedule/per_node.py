"""Remembering what was computed for a node, as long as the node lives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from tvmtiny.ops import Node

Result = TypeVar("Result")

#: Nodes that compute other sizes of the same layer, and the layer.
_layers: WeakKeyDictionary[Node, Node] = WeakKeyDictionary()


def resized(node: Node, original: Node) -> Node:
    """State that a node is another one for an image of another size, and return it."""
    _layers[node] = _layers.get(original, original)
    return node


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


def per_layer(function: Callable[..., Result]) -> Callable[..., Result]:
    """Like `per_node`, for what does not depend on the size of the image."""
    known = per_node(function)

    @wraps(function)
    def remembering(node: Node, *arguments: object) -> Result:
        return known(_layers.get(node, node), *arguments)

    return remembering
