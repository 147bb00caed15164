"""Caching of results that depend on a node, for as long as the node lives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from tvmtiny.ops import Node

Result = TypeVar("Result")

#: Nodes that compute another size of a layer, and the node of that layer.
_layers: WeakKeyDictionary[Node, Node] = WeakKeyDictionary()


def resized(node: Node, original: Node) -> Node:
    """Declare that `node` is `original` for an image of another size, and return it."""
    _layers[node] = _layers.get(original, original)
    return node


def of_layer(node: Node) -> Node:
    """Return the node of the layer that `node` computes for another size, else `node`."""
    return _layers.get(node, node)


def per_node(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a deterministic function of a node and other hashable arguments with a cache."""
    results: WeakKeyDictionary[Node, dict[tuple[object, ...], Result]] = WeakKeyDictionary()

    @wraps(function)
    def remembering(node: Node, *arguments: object) -> Result:
        known = results.setdefault(node, {})
        if arguments not in known:
            known[arguments] = function(node, *arguments)
        return known[arguments]

    return remembering


def per_layer(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a function like `per_node` does, if its result is independent of the image size."""
    known = per_node(function)

    @wraps(function)
    def remembering(node: Node, *arguments: object) -> Result:
        return known(of_layer(node), *arguments)

    return remembering
