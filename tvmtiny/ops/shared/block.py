"""Several results of one function as parts of one block.

`tvmtiny.frontend.control` gives nodes of some operators such a block as their first output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import DTYPE_BYTES, Node, Tensor

#: Option of a node whose first output is a block.
BLOCK = "block"

#: Alignment of results in a block, in bytes; wider elements come first.
_ALIGNMENT = 4


def results(node: Node) -> tuple[Tensor, ...]:
    """Return the results of a node, without the block that holds them."""
    return node.outputs[1:] if node.options.get(BLOCK) else node.outputs


def block_offsets(tensors: Sequence[Tensor]) -> tuple[tuple[int, ...], int]:
    """Return the offsets of tensors in a block, and the size of the block, in bytes."""
    wide = [max(_ALIGNMENT, DTYPE_BYTES[tensor.dtype]) for tensor in tensors]
    order = sorted(range(len(tensors)), key=lambda position: -wide[position])
    offsets, end = [0] * len(tensors), 0
    for position in order:
        offsets[position] = end
        end += -(-tensors[position].nbytes // _ALIGNMENT) * _ALIGNMENT
    return tuple(offsets), -(-end // max(wide)) * max(wide)


def block(index: int, tensors: Sequence[Tensor]) -> Tensor:
    """Return a tensor that holds several others, named after the first of them."""
    size = block_offsets(tensors)[1]
    dtypes = {tensor.dtype for tensor in tensors}
    word = "int64" if any(DTYPE_BYTES[dtype] == 8 for dtype in dtypes) else "int32"
    if len(dtypes) == 1 and DTYPE_BYTES[tensors[0].dtype] % _ALIGNMENT == 0:
        word = tensors[0].dtype
    return Tensor(index, f"{tensors[0].name}/block", (size // DTYPE_BYTES[word],), word)


def parts(node: Node) -> tuple[Alias, ...]:
    """Return the results of a node as parts of its block; nothing for a node without a block."""
    tensors = results(node)
    if not node.options.get(BLOCK):
        return ()
    return tuple(Alias(node.output, offset) for offset in block_offsets(tensors)[0])


def with_block(node: Node, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of a node: the content of its block, if any, and its results."""
    tensors = results(node)
    if not node.options.get(BLOCK):
        return [*values]
    offsets, size = block_offsets(tensors)
    content = np.zeros(size, np.uint8)
    for offset, value in zip(offsets, values, strict=True):
        content[offset : offset + value.nbytes] = np.frombuffer(value.tobytes(), np.uint8)
    return [content.view(node.output.dtype), *values]


def without_blocks(graph: Graph, values: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Replace the values of blocks by those of the results inside them.

    Parameters
    ----------
    graph
        The graph.
    values
        Values by tensor index.
    """
    found = dict(values)
    for node in graph.nodes:
        if not node.options.get(BLOCK) or node.output.index not in values:
            continue
        content, tensors = found.pop(node.output.index).tobytes(), results(node)
        for tensor, offset in zip(tensors, block_offsets(tensors)[0], strict=True):
            part = np.frombuffer(content, tensor.dtype, tensor.elements, offset)
            found[tensor.index] = part.reshape(tensor.shape)
    return found
