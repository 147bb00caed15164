"""MEL_FEATURES around the functions of ``tvmtiny_mve_spectrum.h``."""

from __future__ import annotations

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.front_end_layer import mel_layer
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation

_HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_spectrum.h")

#: Estimated instructions per complex number of the transform, in one frame.
_WORD = 65


def implement_mel(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer with vectors; there are no decisions."""
    if decisions:
        return None
    return mel_layer(node, "tvmtiny_mve_mel", "mve", _HEADERS, _WORD)
