"""Operators that only move elements, around the kernels of ``tvmtiny_mve_move.h``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tvm import tirx

from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.movement import Loop, Movement, Piece
from tvmtiny.ops.shared.movement_tir import MovementBuilder
from tvmtiny.ops.shared.node import DTYPE_BYTES, Tensor
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.per_node import per_node

MOVEMENTS = frozenset(
    {
        "BATCH_TO_SPACE_ND",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "MIRROR_PAD",
        "PACK",
        "PAD",
        "PADV2",
        "RESIZE_NEAREST_NEIGHBOR",
        "REVERSE_V2",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
    }
)

#: Shorter runs, down to a word, are moved as fast by words; with at least this many rows, shorter
#: runs pay off. Fewer elements are moved as fast by loops.
_LEAST_BYTES, _WORD, _LEAST_ROW, _LEAST_ROWS, _LEAST_ELEMENTS = 12, 4, 8, 8, 8
#: Kernels by bytes of an element, each with the bound of the offset of the last of 8 lanes.
_ELEMENTS = {1: "tvmtiny_mve_move_1", 2: "tvmtiny_mve_move_2"}
_LANES, _REACH = 8, 1 << 16


_DECIDED: Decisions = {"sketch": "mve_move"}


def implement_movement(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement the operator; None for several outputs, and if no copy justifies a call."""
    made = _made(node, oracle)
    if made is None:
        return None
    function, arguments = made
    return Implementation(function, arguments, _DECIDED)


def movement_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    """The only sketch of an operator, without decisions."""
    return () if _made(node, oracle) is None else (Sketch("mve_move"),)


@per_node
def _made(
    node: Node, oracle: Oracle
) -> tuple[tirx.PrimFunc, tuple[Tensor | np.ndarray, ...]] | None:
    operator = find_operator(node.operator)
    if operator is None or len(node.outputs) != 1 or not node.output.elements:
        return None
    (result,) = operator.results(node, oracle)
    if not isinstance(result, Movement):
        return None
    builder = _Builder(result)
    made = builder.function(node.operator)
    return made if builder.calls else None


class _Builder(MovementBuilder):
    """Copies by vectors.

    Attributes
    ----------
    calls
        Calls of kernels that move elements.
    """

    headers = "tvmtiny_mve.h tvmtiny_mve_move.h"
    copy = "tvmtiny_mve_move"
    fill = "tvmtiny_mve_set"
    copying = "mve, vectors"
    moving = "copies of elements"

    def __init__(self, movement: Movement) -> None:
        super().__init__(movement)
        self.calls = 0
        self._bytes = DTYPE_BYTES[movement.output.dtype]

    def _piece(self, piece: Piece) -> tirx.Stmt:
        ordered = replace(piece, loops=self._ordered(piece.loops))
        return self._nest(ordered, ordered.loops, ordered.read, ordered.write)

    def _ordered(self, loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
        """The loops, those of the kernel last: a run of bytes and its rows, or elements."""
        if not loops:
            return loops
        *outer, last = loops
        if (last.read, last.write) == (1, 1) and last.extent * self._bytes >= _LEAST_ROW:
            rows = [loop for loop in outer if _regular(loop)]
            chosen = max(rows, key=lambda loop: loop.extent, default=None)
            return (*(loop for loop in outer if loop is not chosen), *filter(None, (chosen,)), last)
        words = (last.read, last.write) == (1, 1) and last.extent * self._bytes >= _WORD
        fitting = [] if words else [loop for loop in loops if self._fits(loop)]
        chosen = max(fitting, key=lambda loop: loop.extent, default=None)
        if chosen is None:
            return loops
        return (*(loop for loop in loops if loop is not chosen), chosen)

    def _fits(self, loop: Loop) -> bool:
        if self._bytes not in _ELEMENTS or not _regular(loop) or loop.extent < _LEAST_ELEMENTS:
            return False
        return all(0 <= step * (_LANES - 1) < _REACH for step in _steps(loop))

    def _nest(
        self, piece: Piece, loops: Sequence[Loop], read: Expression | int, write: Expression | int
    ) -> tirx.Stmt:
        source = tirx.address_of(self._sources[piece.source][read])
        size, last = self._bytes, loops[-1] if loops else None
        run = last is not None and (last.read, last.write) == (1, 1)
        if last is not None and run and last.extent * size >= _LEAST_ROW:
            long = last.extent * size >= _LEAST_BYTES
            if len(loops) == 1:
                self.calls += long
            elif (
                len(loops) == 2 and _regular(loops[0]) and (long or loops[0].extent >= _LEAST_ROWS)
            ):
                self.calls += 1
                steps = (step * size for step in _steps(loops[0]))
                sizes = (loops[0].extent, last.extent * size, *steps)
                return self._call("tvmtiny_mve_move_rows", write, source, *sizes)
        elif last is not None and len(loops) == 1 and not run and self._fits(last):
            self.calls += 1
            return self._call(_ELEMENTS[size], write, source, last.extent, *_steps(last))
        return super()._nest(piece, loops, read, write)


def _regular(loop: Loop) -> bool:
    return len(_steps(loop)) == 2


def _steps(loop: Loop) -> list[int]:
    """Distances between elements in the output and in the source, except for tables."""
    return [step for step in (loop.write, loop.read) if isinstance(step, int)]
