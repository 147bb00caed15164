"""ADD and SUB around the micro-kernels of ``tvmtiny_dsp_elementwise.h``."""

from __future__ import annotations

import numpy as np

from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.add import exact_plane
from tvmtiny.ops.shared.affine import wide_image
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Decision, Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.overlap import Overlap

HEADERS = ("tvmtiny_dsp.h", "tvmtiny_dsp_elementwise.h")

#: A shift that is precise enough for nearly every sum and small enough for factors up to 8, so that
#: layers share one kernel.
SHIFT = 20

#: Elements per part of the work, a multiple of the elements per loop iteration of the kernels.
_TURN = 64

#: The kernel moves bytes to the top of their lanes.
GAIN = 256


def implement_add(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """ADD or SUB in int8; None if operands broadcast or no exact integers are found.

    Decisions: ``words`` per loop iteration, 1 or 2; 0 for a kernel that takes any count.
    """
    count = node.output.elements
    if count == 0 or any(node.input(i).shape != node.output.shape for i in range(2)):
        return None
    plane = exact_plane(node, GAIN, wide_image, 16, SHIFT)
    if plane is None:
        return None
    words = int(decisions["words"] if decisions else _words(count, goal))
    if words and count % (4 * words):
        return None
    low, high = activation_range(node)
    clamp = "" if (low, high) == (-128, 127) else f"_{low}_{high}".replace("-", "m")
    kernel = f"add_{plane.shift}_{words or 'any'}{clamp}"
    macro = f"TVMTINY_ADD_WORDS({kernel}, {plane.shift}, {words}, " if words else ""
    macro = macro or f"TVMTINY_ADD({kernel}, {plane.shift}, "

    x, y = nest.buffer("x", count, "int8"), nest.buffer("y", count, "int8")
    constants = nest.buffer("plane", 3, "int32")
    out = nest.buffer("out", count, "int8")
    parameters = [x, y, constants, out]
    call = nest.call(kernel, *(nest.address(parameter) for parameter in parameters), count)
    function = nest.function(
        parameters,
        [],
        [call],
        operator=node.operator,
        schedule=f"dsp, {f'{words} words' if words else 'any count'}, shift {plane.shift}",
        headers=HEADERS,
        preamble=[f"{macro}{low}, {high})"],
        # Each word is read before it is written.
        overlaps=[Overlap("out", 0, 0), Overlap("out", 1, 0)],
        divisible=[nest.Divisible(kernel, {0: _TURN, 1: _TURN, 3: _TURN}, count={4: _TURN})],
    )
    values = np.array([*plane.factors, plane.offset], np.int32)
    return Implementation(function, (node.input(0), node.input(1), values), _decided(words))


def add_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """The sketch of an ADD or SUB, whose decision is the number of words per loop iteration."""
    count = node.output.elements
    usable = tuple(words for words in (0, 1, 2) if not words or count % (4 * words) == 0)
    return (Sketch("words", (Decision("words", usable),)),)


def _decided(words: int) -> Decisions:
    return {"sketch": "words", "words": words}


def _words(count: int, goal: Goal) -> int:
    if count % 4:
        return 0
    return 1 if goal is Goal.SIZE or count % 8 else 2
