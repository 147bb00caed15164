"""MICROFRONTEND around the functions of ``tvmtiny_mve_microfrontend.h``."""

from __future__ import annotations

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.microfrontend import microfrontend, settings_of
from tvmtiny.ops.shared.signal.fft import radices
from tvmtiny.schedule.front_end_layer import microfrontend_layer
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation

_HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_microfrontend.h")

#: Complex numbers per vector.
_LANES = 4

#: Estimated instructions per word of the transform, in one frame.
_WORD = 55


def implement_microfrontend(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the layer with vectors; None for transforms whose first stage has a radix of 2."""
    front = microfrontend(settings_of(node))
    points = front.length // 2
    begin = front.filterbank.bins[0]
    # Whole vectors up to the middle; elements before the first bin are computed as well.
    begin -= -(points // 2 + 1 - begin) % _LANES
    if decisions or radices(points)[-1] != _LANES or points < _LANES * _LANES or begin < 1:
        return None
    name = "tvmtiny_mve_microfrontend"
    return microfrontend_layer(node, name, "mve", _HEADERS, _WORD, by_power=True, first_bin=begin)
