"""REVERSE_SEQUENCE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_one_dtype, check_shape
from tvmtiny.ops.shared.expressions import Expression, elementwise
from tvmtiny.ops.shared.moving_operator import Moving
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Compute, Oracle, Problem, Result, register


@register
class ReverseSequence(Moving):
    """The first elements of each sequence in reverse order; an array gives their number.

    Lengths beyond the sequence, for which LiteRT fails, reverse the whole sequence.
    """

    name = "REVERSE_SEQUENCE"
    dtypes = ("uint8", "int16", "int32", "int64", "float32")
    input_count = 2

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, lengths = node.input(0), node.input(1)
        sequence, batch = _axes(node)
        yield from check_one_dtype(x, node.output)
        yield from check_shape(node, x.shape)
        if lengths.dtype not in ("int32", "int64"):
            yield Problem(f"{lengths.dtype} lengths", "int32 or int64")
        rank = len(x.shape)
        if sequence == batch or not (0 <= sequence < rank and 0 <= batch < rank):
            yield Problem(
                f"sequences along dimension {sequence}, batches along {batch} of {list(x.shape)}",
                "two dimensions of the input",
            )
        elif lengths.shape != (x.shape[batch],):
            yield Problem(
                f"lengths of shape {list(lengths.shape)} for {x.shape[batch]} sequences",
                "one length for each",
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        sequence, batch = _axes(node)
        size = node.input(0).shape[sequence]

        def expression(x: te.Tensor, lengths: te.Tensor) -> te.Tensor:
            def value(*i: tirx.Var) -> Expression:
                length = lengths(i[batch])
                wide = tirx.min(length, tirx.const(size, node.input(1).dtype)).astype("int32")
                place = i[sequence]
                # TVM's C printer cannot repeat the text of a conditional in an index.
                source = place + (place < wide).astype("int32") * (wide - 1 - place - place)
                return x(*i[:sequence], source, *i[sequence + 1 :])

            return elementwise(node.output.shape, value)

        return Compute((node.input(0), node.input(1)), expression)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        sequence, batch = _axes(node)
        out = inputs[0].copy()
        rows = np.moveaxis(out, (batch, sequence), (0, 1))
        for row, length in zip(rows, inputs[1], strict=True):
            count = int(np.clip(length, 0, len(row)))
            row[:count] = row[:count][::-1].copy()
        return [out]


def _axes(node: Node) -> tuple[int, int]:
    """Return the dimensions of sequences and of batches."""
    return int(node.options.get("seq_dim", 0)), int(node.options.get("batch_dim", 0))
