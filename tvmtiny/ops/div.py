"""DIV."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvmtiny.ops.shared.binary_operator import Binary
from tvmtiny.ops.shared.expressions import Expression, float_output
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem, register
from tvmtiny.ops.shared.quantization import FUSED_ACTIVATIONS, clamp_float


@register
class Div(Binary):
    """Quotient of two tensors that broadcast.

    LiteRT has it for integers, too; a division by zero fails there, for which generated code has
    no way.
    """

    name = "DIV"
    dtypes = ("float32",)
    exactness = "exact"

    def check_more(self, node: Node) -> Iterator[Problem]:
        if node.activation not in FUSED_ACTIVATIONS:
            yield Problem(f"fused activation {node.activation}", ", ".join(FUSED_ACTIVATIONS))

    def value(self, node: Node, x: Expression, y: Expression) -> Expression:
        return float_output(x / y, node)

    def numbers(self, node: Node, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return clamp_float(np.asarray(x / y), node)
