"""MEL_FEATURES around the functions of ``tvmtiny_dsp_spectrum.h``."""

from __future__ import annotations

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.front_end_layer import mel_layer
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation

_HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_spectrum.h")

#: Estimated instructions per complex number of the transform, in one frame.
_WORD = 130


def implement_mel(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer with upper words of products; there are no decisions."""
    if decisions:
        return None
    return mel_layer(node, "tvmtiny_dsp_mel", "dsp", _HEADERS, _WORD)
