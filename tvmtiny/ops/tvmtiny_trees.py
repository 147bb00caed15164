"""TVMTINY_TREES, a custom operator of this package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.tree_tables import TableError, decode, keys, layout

_ONE = 65535


@register
class TvmtinyTrees(Operator):
    """A forest of decision trees over the features of one sample.

    The inputs are the features, ``(1, features)``, the table of nodes, the places of the roots (see
    `tvmtiny.ops.shared.tree_tables`), and the values of the leaves. These are either rows of uint16
    with a share for each output, whose mean is the result, or float32 numbers; tree t adds its
    number to output t modulo outputs. The last input is the initial value of the sums.
    """

    name = "CUSTOM:TVMTINY_TREES"
    dtypes = ("int8", "int16", "float32")
    result = "float32"
    input_count = 5
    in_litert = False
    exactness = "as scikit-learn decides; sums within rounding"

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, table, roots, values, start = (node.input(i) for i in range(5))
        if any(t.data is None for t in (table, roots, values, start)):
            yield Problem("a table that is computed at run time", "constants")
            return
        count = node.output.elements
        if len(x.shape) != 2 or x.shape[0] != 1 or node.output.shape != (1, count):
            yield Problem(
                f"features of {list(x.shape)} and results of {list(node.output.shape)}",
                "one sample",
            )
            return
        rows = values.shape[0] if values.shape else 0
        shared = values.dtype == "uint16"
        wanted = (rows, count) if shared else (rows,)
        if values.dtype not in ("uint16", "float32") or values.shape != wanted:
            yield Problem(
                f"leaves of {values.dtype} {list(values.shape)}", "rows of uint16, or float32"
            )
            return
        if roots.dtype != "int32" or start.dtype != "float32" or start.elements != count:
            yield Problem("roots or sums of another dtype or size", "int32 and float32")
            return
        if not roots.elements or (shared and roots.elements > 2**31 // _ONE):
            yield Problem(f"{roots.elements} trees", f"1 to {2**31 // _ONE}")
            return
        assert table.data is not None and roots.data is not None
        try:
            decode(table.data, roots.data, x.dtype, x.shape[1], rows)
        except TableError as error:
            yield Problem(f"a table with {error}", "a table from tvmtiny import")

    def compute(self, node: Node, oracle: Oracle) -> Result:
        x, table, roots, values, start = (node.input(i) for i in range(5))
        form = layout(x.dtype, table.dtype)
        assert form is not None and values.data is not None
        count = node.output.elements
        arguments = [x, table, roots]
        if values.dtype == "float32":
            kind = "sums"
            arguments += [values, start]
        elif values.shape == (count, count) and np.array_equal(
            values.data, _ONE * np.eye(count, dtype=np.uint16)
        ):
            kind = "votes"
        else:
            kind = "shares"
            arguments.append(values)
        return RuntimeCall(
            f"tvmtiny_trees_{kind}_{form.name}",
            tuple(arguments),
            (roots.elements, count),
            ("tvmtiny_math.h", "tvmtiny_trees.h"),
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, table, roots, values, start = inputs
        trees = decode(table, roots, x.dtype.name, x.size, len(values))
        sample = (keys(x) if x.dtype == np.float32 else x).reshape(-1).tolist()
        leaves = []
        for tree in trees:
            place = next(iter(tree))
            node_here = tree[place]
            while node_here.feature is not None:
                above = sample[node_here.feature] > node_here.value
                place += node_here.offset if above else node_here.size
                node_here = tree[place]
            leaves.append(node_here.value)
        count = start.size
        if values.dtype == np.uint16:
            sums = values[leaves].astype(np.int64).sum(axis=0).astype(np.float32)
            votes = np.array_equal(values, _ONE * np.eye(count, dtype=np.uint16))
            whole = np.float32(len(trees)) * np.float32(1 if votes else _ONE)
            result = (sums / np.float32(_ONE) if votes else sums) / whole
        else:
            result = start.reshape(-1).copy()
            for number, leaf in enumerate(leaves):
                result[number % count] += values[leaf]
        return [result.astype(np.float32).reshape(node.output.shape)]
