"""WHILE."""

from __future__ import annotations

from tvmtiny.ops.shared.control_operator import ControlOperator
from tvmtiny.ops.shared.operator import register


@register
class While(ControlOperator):
    """A loop whose number of turns is known before it runs, such as one over the steps of a GRU."""

    name = "WHILE"
