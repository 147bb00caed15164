"""What nodes of uint8 models are told apart by, after their values have become int8.

LiteRT's kernels for uint8 are older than those for int8: scales are multiplied in single precision,
weights have a zero point, and some round differently.
"""

from __future__ import annotations

from tvmtiny.ops.shared.node import Node

#: The option of a node that tells that its tensors are uint8 in the file.
FROM_UINT8 = "from_uint8"


def is_from_uint8(node: Node) -> bool:
    """Whether a node follows LiteRT's kernel for uint8, on values that are 128 less."""
    return bool(node.options.get(FROM_UINT8, False))
