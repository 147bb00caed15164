"""MICROFRONTEND around the functions of ``tvmtiny_dsp_microfrontend.h``."""

from __future__ import annotations

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.front_end_layer import microfrontend_layer
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation

_HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_microfrontend.h")

#: Estimated instructions per word of the transform in one frame: a butterfly of radix 4 in each
#: stage, and the code before and after the stages.
_WORD = 95


def implement_microfrontend(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer with 16-bit lanes; there are no decisions."""
    if decisions:
        return None
    return microfrontend_layer(node, "tvmtiny_dsp_microfrontend", "dsp", _HEADERS, _WORD)
