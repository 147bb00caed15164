"""Construction of TIR for loops around calls of micro-kernels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from tvm import ir, tirx

from tvmtiny.ops.shared.expressions import Expression
from tvmtiny.ops.shared.primfunc_attributes import (
    DIVISIBLE_ATTR,
    HEADERS_ATTR,
    OPERATOR_ATTR,
    OVERLAPS_ATTR,
    PREAMBLE_ATTR,
    SCHEDULE_ATTR,
)
from tvmtiny.schedule.overlap import Overlap, overlaps_attribute

#: An index or another argument of a call.
Argument = Expression | int

#: What `tirx.address_of` and `tirx.call_extern` would look up by name for each of their calls.
_ADDRESS_OF, _CALL_EXTERN = ir.Op.get("tirx.address_of"), ir.Op.get("tirx.call_extern")
_VOID = ir.PrimType("void")


@dataclass(frozen=True)
class Divisible:
    """A micro-kernel with an inner loop; a call can run a part of its iterations.

    Attributes
    ----------
    name
        Name of the micro-kernel.
    advance
        Elements that an address advances per iteration, by position of the argument.
    until
        Elements that the end of the last iteration advances per iteration, by position of the
        argument that holds it; it belongs to one of the addresses in `advance`.
    count
        Amount of a count that an iteration consumes, by position of the argument.
    """

    name: str
    advance: Mapping[int, int]
    until: Mapping[int, int] = field(default_factory=dict)
    count: Mapping[int, int] = field(default_factory=dict)


def parse_divisible(text: str) -> dict[str, Divisible]:
    """Parse the attribute that `function` writes."""
    found = {}
    for entry in json.loads(text):
        numbers = {
            key: {int(k): int(v) for k, v in entry[key].items()}
            for key in ("advance", "until", "count")
        }
        found[entry["name"]] = Divisible(entry["name"], **numbers)
    return found


def buffer(name: str, elements: int, dtype: str) -> tirx.Buffer:
    """Declare a flat parameter or workspace."""
    # A layout would state what a flat buffer is anyway, and takes as long to make as the buffer.
    return tirx.decl_buffer((elements,), dtype, name=name, layout=None)


def address(of: tirx.Buffer, index: Argument = 0) -> Expression:
    """Return the address of an element; it may be one past the end."""
    element = of[index]
    return ir.Call(_ADDRESS_OF, [element], ret_ty=ir.PointerType(element.ty))


def call(name: str, *arguments: Argument) -> tirx.Stmt:
    """Make a call of a micro-kernel."""
    return tirx.Evaluate(ir.Call(_CALL_EXTERN, [name, *arguments], ret_ty=_VOID))


def loop(extent: int, name: str, body: Callable[[Argument], Sequence[tirx.Stmt]]) -> tirx.Stmt:
    """Make a serial loop; `body` takes the index and returns statements."""
    if extent == 1:
        return sequence(body(0))
    variable = tirx.Var(name, "int32")
    return tirx.For(variable, 0, extent, tirx.ForKind.SERIAL, sequence(body(variable)))


def sequence(statements: Sequence[tirx.Stmt]) -> tirx.Stmt:
    """Return the statements as one statement."""
    return statements[0] if len(statements) == 1 else tirx.SeqStmt(list(statements))


def function(
    parameters: Sequence[tirx.Buffer],
    workspaces: Sequence[tirx.Buffer],
    body: Sequence[tirx.Stmt],
    *,
    operator: str,
    schedule: str,
    headers: Sequence[str] = (),
    preamble: Sequence[str] = (),
    overlaps: Sequence[Overlap] = (),
    divisible: Sequence[Divisible] = (),
) -> tirx.PrimFunc:
    """Make a PrimFunc; the last parameter is the output.

    Parameters
    ----------
    parameters
        Inputs, constants and the output.
    workspaces
        Buffers that only this function uses; all but small ones end up in the arena.
    body
        The statements.
    operator
        TFLite's name.
    schedule
        Description of the schedule, for reports.
    headers
        All headers that the C code includes: headers of the family, and those that they include
        except ``tvmtiny.h``.
    preamble
        C text before the kernel, one instantiation of a micro-kernel per line.
    overlaps
        Permitted overlaps of the output and the workspaces with parameters that have no later
        reader; buffers without an entry share no bytes.
    divisible
        Calls that can be divided.
    """
    allocations = [tirx.AllocBuffer(workspace) for workspace in workspaces]
    made = tirx.PrimFunc(list(parameters), sequence([*allocations, *body]))
    attributes = {
        OPERATOR_ATTR: operator,
        SCHEDULE_ATTR: schedule,
        HEADERS_ATTR: " ".join(headers),
        PREAMBLE_ATTR: "\n".join(preamble),
    }
    if divisible:
        attributes[DIVISIBLE_ATTR] = json.dumps([vars(call) for call in divisible])
    if overlaps:
        attributes[OVERLAPS_ATTR] = overlaps_attribute(overlaps)
    return made.with_attrs({**attributes, "tirx.noalias": True})


def macro_arguments(prefix: str, arguments: Sequence[int | str]) -> tuple[str, str]:
    """Return a name for an instantiation with many arguments, and the arguments as text."""
    texts = [f"({a})" if isinstance(a, int) and a < 0 else str(a) for a in arguments]
    text = ", ".join(texts)
    return f"{prefix}_{crc32(text.encode()):08x}", text
