"""Building TIR of loops around micro-kernel calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from zlib import crc32

from tvm import tirx

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


@dataclass(frozen=True)
class Divisible:
    """A call of a micro-kernel that does turns of a loop of its own, and can do some of them.

    Attributes
    ----------
    name
        Of the micro-kernel.
    advance
        Elements by which an address moves in a turn, by the position of the argument.
    until
        The same for an address where the last turn ends; it is one of those that move.
    count
        Position of an argument that counts, where one does, and how much of that a turn does.
    """

    name: str
    advance: Mapping[int, int]
    until: Mapping[int, int] = field(default_factory=dict)
    count: Mapping[int, int] = field(default_factory=dict)


def parse_divisible(text: str) -> dict[str, Divisible]:
    """Read the attribute that `function` writes."""
    found = {}
    for entry in json.loads(text):
        numbers = {
            key: {int(k): int(v) for k, v in entry[key].items()}
            for key in ("advance", "until", "count")
        }
        found[entry["name"]] = Divisible(entry["name"], **numbers)
    return found


def buffer(name: str, elements: int, dtype: str) -> tirx.Buffer:
    """A flat parameter or workspace."""
    return tirx.decl_buffer((elements,), dtype, name=name)


def address(of: tirx.Buffer, index: Argument = 0) -> Expression:
    """Address of an element; it may be one past the end."""
    return tirx.address_of(of[index])


def call(name: str, *arguments: Argument) -> tirx.Stmt:
    """Call of a micro-kernel."""
    return tirx.Evaluate(tirx.call_extern("void", name, *arguments))


def loop(extent: int, name: str, body: Callable[[Argument], Sequence[tirx.Stmt]]) -> tirx.Stmt:
    """A serial loop; `body` takes the index and returns statements."""
    if extent == 1:
        return sequence(body(0))
    variable = tirx.Var(name, "int32")
    return tirx.For(variable, 0, extent, tirx.ForKind.SERIAL, sequence(body(variable)))


def sequence(statements: Sequence[tirx.Stmt]) -> tirx.Stmt:
    """Statements one after the other."""
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
    """A PrimFunc; the last parameter is the output.

    Parameters
    ----------
    workspaces
        Buffers that only this function uses; those that are not small end up in the arena.
    operator
        TFLite's name.
    schedule
        What was decided, for reports.
    headers
        Those that the C code includes, all of them: headers of the family, and what they include
        except ``tvmtiny.h``.
    preamble
        C text in front of the kernel, one instantiation of a micro-kernel a line.
    overlaps
        How far the output and the workspaces may run over parameters that nobody reads afterwards;
        those without an entry share no byte.
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
        attributes[DIVISIBLE_ATTR] = json.dumps([asdict(call) for call in divisible])
    if overlaps:
        attributes[OVERLAPS_ATTR] = overlaps_attribute(overlaps)
    return made.with_attrs({**attributes, "tirx.noalias": True})


def macro_arguments(prefix: str, arguments: Sequence[int | str]) -> tuple[str, str]:
    """A name for an instantiation with many arguments, and the arguments as text."""
    texts = [f"({a})" if isinstance(a, int) and a < 0 else str(a) for a in arguments]
    text = ", ".join(texts)
    return f"{prefix}_{crc32(text.encode()):08x}", text
