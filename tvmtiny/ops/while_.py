"""WHILE."""

from __future__ import annotations

from tvmtiny.ops.shared.control_operator import ControlOperator
from tvmtiny.ops.shared.operator import register


@register
class While(ControlOperator):
    """A loop with a trip count that is known at compile time, such as one over a GRU's steps."""

    name = "WHILE"
