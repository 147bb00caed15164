"""MICROFRONTEND around the functions of ``tvmtiny_dsp_microfrontend.h``."""

from __future__ import annotations

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.front_end_layer import microfrontend_layer
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation

_HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_microfrontend.h")

#: Of a word of the transform, in one frame: a butterfly of radix 4 in each of its stages, and what
#: comes before and after them.
_WORD = 95


def implement_microfrontend(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """The layer with lanes of 16 bits; nothing is to be decided."""
    if decisions:
        return None
    return microfrontend_layer(node, "tvmtiny_dsp_microfrontend", "dsp", _HEADERS, _WORD)
