"""SCATTER_ND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.constant_inputs import check_numbers, numbers
from tvmtiny.ops.shared.gathering import check_indices
from tvmtiny.ops.shared.movement import strides
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall

#: The C names of dtypes.
_C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "float32": "float",
    "bool": "bool",
}


@register
class ScatterND(Moving):
    """Zeros to which slices are added at places that may be computed at run time.

    Quantized values are added directly, as in LiteRT; integers wrap around. Slices with a place
    outside the output, for which LiteRT fails, are ignored.
    """

    name = "SCATTER_ND"
    dtypes = tuple(_C_TYPES)
    data = 1
    exactness = "bit-exact (sums in the order of the slices); places out of range are left out"
    input_count = 3

    def check_node(self, node: Node) -> Iterator[Problem]:
        indices, updates = node.input(0), node.input(1)
        problems = [*check_numbers(node, 2, "shape", None, ("int32",))]
        if problems:
            yield from problems
            return
        shape = numbers(node, 2)
        yield from check_one_dtype(updates, node.output)
        yield from check_shape(node, shape)
        depth = indices.shape[-1] if indices.shape else 0
        wanted = (*indices.shape[:-1], *shape[depth:])
        if not 1 <= depth <= len(shape) or updates.shape != wanted:
            yield Problem(
                f"slices of {list(updates.shape)} at positions of {list(indices.shape)} in {shape}",
                "one slice per position, of the dimensions after the position's",
            )
            return
        yield from check_indices(indices, shape[:depth], ("int32",))

    def compute(self, node: Node, oracle: Oracle) -> Result:
        indices, updates = node.input(0), node.input(1)
        depth, shape = indices.shape[-1], node.output.shape
        sizes = np.array([*shape[:depth], *strides(shape)[:depth]], np.int32)
        count = indices.elements // depth
        return RuntimeCall(
            f"tvmtiny_scatter_{_C_TYPES[updates.dtype]}",
            (indices, updates, sizes),
            (count, depth, prod(shape[depth:]), node.output.elements),
            ("tvmtiny_scatter.h",),
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        indices, updates, _ = inputs
        shape, depth = node.output.shape, indices.shape[-1]
        out = np.zeros(shape, updates.dtype)
        slices = updates.reshape(-1, *shape[depth:])
        for place, update in zip(indices.reshape(-1, depth), slices, strict=True):
            if ((place >= 0) & (place < shape[:depth])).all():
                out[tuple(place)] = np.add(out[tuple(place)], update, dtype=out.dtype)
        return [out]
