"""The kernel family of plain C: loops over tensor expressions, for any CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import tirx

from tvmtiny.frontend.converter import tensor_function
from tvmtiny.ops import Compute, Node, Oracle, Tensor, find_operator
from tvmtiny.ops.shared.scalar_operand import tabulated
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.families.scalar.loops import scalar_space, schedule_scalar
from tvmtiny.schedule.implementation import (
    SCHEDULE_ATTR,
    Decisions,
    Goal,
    Implementation,
    Sketch,
)
from tvmtiny.schedule.per_node import per_node
from tvmtiny.schedule.product_expressions import product_expression
from tvmtiny.targets import Cpu


class Scalar(KernelFamily):
    """All nodes with a single tensor expression, in C that any compiler supports."""

    name = "scalar"
    priority = 0
    sketch_names = frozenset({"scalar"})
    takes_any_weights = True

    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        found = _expression(node, oracle)
        return () if found is None else scalar_space(found[0], node.operator, cpu)

    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        found = _expression(node, oracle)
        if found is None:
            return None
        function, arguments = found
        scheduled, description, made = schedule_scalar(function, node.operator, cpu, decisions)
        scheduled = scheduled.with_attr(SCHEDULE_ATTR, description)
        return Implementation(scheduled, tuple(arguments), made)

    def schedule(self, function: tirx.PrimFunc, operator: str, cpu: Cpu) -> tirx.PrimFunc:
        scheduled, description, _ = schedule_scalar(function, operator, cpu)
        return scheduled.with_attr(SCHEDULE_ATTR, description)


@per_node
def _expression(
    node: Node, oracle: Oracle
) -> tuple[tirx.PrimFunc, Sequence[Tensor | np.ndarray]] | None:
    """Return the tensor expression of `node` as a function, and its arguments; None without one."""
    operator = find_operator(node.operator)
    compute = tabulated(node, oracle) or product_expression(node, oracle)
    if compute is None and operator is not None:
        result = operator.compute(node, oracle)
        compute = result if isinstance(result, Compute) else None
    if compute is None:
        return None
    return tensor_function(node, compute), compute.arguments


FAMILY = Scalar()
