"""TIR of a `Movement`: loops around copies of runs of bytes, or of single elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.expressions import Expression, constant
from tvmtiny.ops.shared.movement import Loop, Movement, Offsets, Piece
from tvmtiny.ops.shared.node import DTYPE_BYTES, Tensor
from tvmtiny.ops.shared.primfunc_attributes import HEADERS_ATTR, OPERATOR_ATTR, SCHEDULE_ATTR

#: Plain loops copy shorter runs of bytes as fast.
_SHORTEST_RUN = 8

#: Innermost loops of at most this many elements are unrolled.
_UNROLLED = 4


def movement_function(
    movement: Movement, operator: str
) -> tuple[tirx.PrimFunc, tuple[Tensor | np.ndarray, ...]]:
    """Build the function of a movement, and the arguments of all parameters but the output.

    Parameters
    ----------
    movement
        The movement.
    operator
        TFLite's name, for reports.
    """
    return MovementBuilder(movement).function(operator)


class MovementBuilder:
    """Builds the function of a movement; kernel families override the copies.

    Attributes
    ----------
    headers
        Headers that functions with copies include.
    copy, fill
        C functions that copy a run of bytes, and that set a run to one byte.
    copying, moving
        Descriptions, for reports, of functions with and without such calls.
    """

    headers: ClassVar[str] = "tvmtiny_copy.h"
    copy: ClassVar[str] = "tvmtiny_copy"
    fill: ClassVar[str] = "tvmtiny_fill"
    copying: ClassVar[str] = "copies of words"
    moving: ClassVar[str] = "copies of elements"

    def __init__(self, movement: Movement) -> None:
        self._movement = movement
        self._dtype = movement.output.dtype
        single = len(movement.sources) == 1
        self._sources = [
            tirx.decl_buffer((t.elements,), self._dtype, name="x" if single else f"x{i}")
            for i, t in enumerate(movement.sources)
        ]
        self._out = tirx.decl_buffer((movement.output.elements,), self._dtype, name="out")
        self._tables: dict[tuple[int, ...], tirx.Buffer] = {}
        self._arrays: list[np.ndarray] = []
        self._copies = False

    def function(self, operator: str) -> tuple[tirx.PrimFunc, tuple[Tensor | np.ndarray, ...]]:
        """Build the function, see `movement_function`."""
        body = [self._piece(piece) for piece in self._movement.pieces]
        if self._movement.fill is not None:
            body.insert(0, self._fill(self._movement.fill))
        parameters = [*self._sources, *self._tables.values(), self._out]
        function = tirx.PrimFunc(parameters, body[0] if len(body) == 1 else tirx.SeqStmt(body))
        attributes = {
            OPERATOR_ATTR: operator,
            SCHEDULE_ATTR: self.copying if self._copies else self.moving,
            "tirx.noalias": True,
        }
        if self._copies:
            attributes[HEADERS_ATTR] = self.headers
        return function.with_attrs(attributes), (*self._movement.sources, *self._arrays)

    def _piece(self, piece: Piece) -> tirx.Stmt:
        return self._nest(piece, piece.loops, piece.read, piece.write)

    def _nest(
        self, piece: Piece, loops: Sequence[Loop], read: Expression | int, write: Expression | int
    ) -> tirx.Stmt:
        source = self._sources[piece.source]
        if not loops:
            return tirx.BufferStore(self._out, source[read], [write])
        loop, inner = loops[0], loops[1:]
        run = loop.extent * DTYPE_BYTES[self._dtype]
        if (loop.read, loop.write) == (1, 1) and run >= _SHORTEST_RUN:
            return self._call(self.copy, write, tirx.address_of(source[read]), run)
        variable = tirx.Var(f"i{len(piece.loops) - len(loops)}", "int32")
        body = self._nest(
            piece,
            inner,
            read + self._offset(loop.read, variable),
            write + self._offset(loop.write, variable),
        )
        unrolled = not inner and loop.extent <= _UNROLLED
        kind = tirx.ForKind.UNROLLED if unrolled else tirx.ForKind.SERIAL
        return tirx.For(variable, 0, loop.extent, kind, body)

    def _offset(self, offsets: Offsets, variable: tirx.Var) -> Expression:
        if isinstance(offsets, int):
            return variable * offsets
        if offsets not in self._tables:
            array = np.array(offsets)
            dtype = "int16" if np.abs(array).max() < 2**15 else "int32"
            name = f"table{len(self._tables)}"
            self._tables[offsets] = tirx.decl_buffer((len(array),), dtype, name=name)
            self._arrays.append(array.astype(dtype))
        return self._tables[offsets][variable].astype("int32")

    def _fill(self, value: float | int) -> tirx.Stmt:
        data = np.array(value, self._dtype)
        content = data.tobytes()
        if len(set(content)) == 1:
            byte = int(np.frombuffer(content, np.int8)[0])
            return self._call(self.fill, 0, byte, self._movement.output.nbytes)
        variable = tirx.Var("i", "int32")
        store = tirx.BufferStore(self._out, constant(data.item(), self._dtype), [variable])
        kind = tirx.ForKind.SERIAL
        return tirx.For(variable, 0, self._movement.output.elements, kind, store)

    def _call(
        self, name: str, write: Expression | int, what: Expression | int, *sizes: int
    ) -> tirx.Stmt:
        self._copies = True
        target = tirx.address_of(self._out[write])
        return tirx.Evaluate(tirx.call_extern("void", name, target, what, *sizes))
