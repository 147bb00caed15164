"""Recognition of nodes from uint8 models, after their values have been converted to int8.

LiteRT's kernels for uint8 are older than those for int8: they multiply scales in single precision,
support zero points of weights, and some of them round differently.
"""

from __future__ import annotations

from tvmtiny.ops.shared.node import Node

#: Option of a node whose tensors are uint8 in the file.
FROM_UINT8 = "from_uint8"


def is_from_uint8(node: Node) -> bool:
    """Return whether a node follows LiteRT's uint8 kernel, on values that are 128 less."""
    return bool(node.options.get(FROM_UINT8, False))
