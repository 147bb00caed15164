"""DYNAMIC_UPDATE_SLICE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.movement import strides
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import DTYPE_BYTES, Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall


@register
class DynamicUpdateSlice(Moving):
    """The input with a block replaced, at a place that may be computed at run time.

    As in LiteRT, a place where the block does not fit is moved to the nearest one where it does.
    """

    name = "DYNAMIC_UPDATE_SLICE"
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, block, starts = (node.input(i) for i in range(3))
        yield from check_one_dtype(x, block, node.output)
        yield from check_shape(node, x.shape)
        if starts.dtype not in ("int32", "int64"):
            yield Problem(f"a position of {starts.dtype}", "int32 or int64")
        fits = len(x.shape) == len(block.shape) > 0 and all(
            size <= whole for size, whole in zip(block.shape, x.shape, strict=True)
        )
        if not fits or starts.shape != (len(x.shape),):
            yield Problem(
                f"a block of {list(block.shape)} at a position of shape {list(starts.shape)} in "
                f"{list(x.shape)}",
                "a block that fits, and a position with one number per dimension",
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        x, block, starts = (node.input(i) for i in range(3))
        parts = [k for k, size in enumerate(block.shape) if size != x.shape[k]]
        # The block is contiguous from its last partial dimension on.
        last = parts[-1] if parts else 0
        most = [whole - size for whole, size in zip(x.shape, block.shape, strict=True)]
        size = DTYPE_BYTES[x.dtype]
        steps = [step * size for step in strides(x.shape)]
        dims = np.array([*zip(most, steps, block.shape, strict=True)][: last + 1], np.int32)
        run = prod(block.shape[last:]) * size
        return RuntimeCall(
            f"tvmtiny_update_{starts.dtype}_t",
            (x, block, starts, dims.reshape(-1)),
            (last + 1, block.nbytes // run, run, x.nbytes),
            ("tvmtiny_update.h",),
            in_place=(0,),
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, block, starts = inputs
        out = x.copy()
        most = np.array(x.shape) - block.shape
        begin = np.clip(starts.reshape(-1), 0, most)
        out[tuple(slice(b, b + n) for b, n in zip(begin, block.shape, strict=True))] = block
        return [out]
