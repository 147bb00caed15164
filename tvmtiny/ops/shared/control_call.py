"""Outputs of functions that run subgraphs of the model."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.primfunc_attributes import CONTROL_ATTR, OPERATOR_ATTR, SCHEDULE_ATTR

#: Options of a node: its subprograms, the iterations of a single one, and the reason for a refusal.
SUBPROGRAMS, TURNS, REFUSED = "subprograms", "turns", "refused"

#: The refusal that is reported as a kind of model.
OF_DATA = "its number of turns depends on data"


@dataclass(frozen=True, eq=False)
class ControlCall:
    """The call of a function that runs subgraphs; `tvmtiny.codegen.control` writes its C."""

    node: Node

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """The tensors that the function reads."""
        return tuple(self.node.input(i) for i in range(len(self.node.inputs)))

    def function(self) -> tirx.PrimFunc:
        """Return a function with these parameters and without a body, unique to the node."""
        parameters = [
            tirx.decl_buffer((max(1, t.elements),), t.dtype, name=f"x{i}")
            for i, t in enumerate((*self.arguments, self.node.output))
        ]
        turns = self.node.options.get(TURNS)
        return tirx.PrimFunc(parameters, tirx.Evaluate(0)).with_attrs(
            {
                OPERATOR_ATTR: self.node.operator,
                SCHEDULE_ATTR: "branches" if turns is None else f"loop of {turns} turns",
                CONTROL_ATTR: str(self.node.index),
            }
        )
