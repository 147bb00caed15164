"""Order, requests and plan of a program: where everything lies and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from tvmtiny import memory
from tvmtiny.codegen.lower import Kernel
from tvmtiny.codegen.program import Program, Value
from tvmtiny.codegen.requests import External, external_buffers, memory_problem
from tvmtiny.codegen.states import assign_in_place
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.memory import Overlap, Plan, Problem
from tvmtiny.memory.order import Operation, best_order
from tvmtiny.ops import Node

#: Deterministic seconds for `least_bytes`, which stands in for plans of whole models.
_LEAST_SECONDS = 0.2


class Interface(str, Enum):
    """Where the model's inputs and outputs lie: in the arena, or in memory of the caller."""

    ARENA = "arena"
    EXTERNAL = "external"


def parse_interface(name: Interface | str) -> Interface:
    """The interface called `name`.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return Interface(name)
    except ValueError:
        known = ", ".join(interface.value for interface in Interface)
        raise InputError(
            f"inputs and outputs cannot lie in {quoted(name)}; known: {known}"
        ) from None


@dataclass(frozen=True, eq=False)
class Arrangement:
    """What code generation needs to know about memory.

    Attributes
    ----------
    program
        In the order of execution.
    problem
        What the plan was made for: step 0 fills the inputs, step ``i + 1`` is call ``i``.
    external
        What does not lie in the arena.
    """

    program: Program
    problem: Problem
    plan: Plan
    external: External


def arrange(
    program: Program,
    kernels: Mapping[str, Kernel],
    nodes: Mapping[str, Node],
    interface: Interface = Interface.ARENA,
    pushed: bool = False,
) -> Arrangement:
    """Find the smallest arena for a program.

    Parameters
    ----------
    kernels
        By function name.
    nodes
        By the name of the activation that they produce.
    pushed
        Rows of the input are pushed, and the outputs lie in the arena.
    """
    program = assign_in_place(program, nodes, kernels)
    caller = interface is Interface.EXTERNAL
    found: list[Arrangement] = []
    for ordered in _orders(
        program, kernels, nodes, external_buffers(program, kernels, caller, pushed)
    ):
        external = external_buffers(ordered, kernels, caller, pushed)
        problem = memory_problem(ordered, kernels, nodes, external)
        # Producing the parts of a concatenation in place saves a copy, but may fix them where
        # they are in the way.
        loose = replace(problem, insides=())
        for wanted in [problem, loose] if problem.insides else [problem]:
            plan = memory.plan(wanted.requests, wanted.overlaps, wanted.insides)
            found.append(Arrangement(ordered, wanted, plan, external))
    return min(found, key=lambda arrangement: arrangement.plan.total)


def least_bytes(arrangement: Arrangement, begin: int, end: int) -> int:
    """Bytes that some calls need in any arena, however other nodes are implemented and ordered.

    Those are their workspaces, their outputs, and inputs of the first one that nobody else reads.

    Parameters
    ----------
    begin, end
        The first call, and the one behind the last; each reads what the one before writes, see
        `follows`.
    """
    program, problem = arrangement.program, arrangement.problem
    calls = program.calls[begin:end]
    inputs = {a.buffer for a in calls[0].arguments if isinstance(a, Value)}
    names = {call.output.buffer for call in calls} | {b for b in inputs if program.readers[b] == 1}
    steps = range(begin + 1, end + 1)
    names |= {
        request.name
        for request in problem.requests
        if request.first == request.last in steps and request.name not in program.values
    }
    # Parts of a concatenation may lie somewhere else in another arrangement.
    names -= {name for i in problem.insides for name in (i.inner, i.outer)}
    requests = [
        replace(r, first=max(r.first, steps[0]), last=min(r.last, steps[-1]))
        for r in problem.requests
        if r.name in names
    ]
    overlaps = [o for o in problem.overlaps if {o.written, o.read} <= names]
    return memory.plan(requests, overlaps, time_limit=_LEAST_SECONDS).lower_bound


def follows(program: Program, index: int) -> bool:
    """Whether a call reads what the call in front of it writes, and that is all it reads.

    Nothing else reads that, so that the two come in this order in any program.
    """
    if index < 1:
        return False
    written = program.calls[index - 1].output.buffer
    read = [a.buffer for a in program.calls[index].arguments if isinstance(a, Value)]
    return read == [written] and program.readers[written] == 1


def _orders(
    program: Program,
    kernels: Mapping[str, Kernel],
    nodes: Mapping[str, Node],
    external: External,
) -> list[Program]:
    """The program in its own order, and in the one whose sum of live bytes is smallest."""
    problem = memory_problem(program, kernels, nodes, external)
    sizes = {request.name: request.size for request in problem.requests}
    operations = [
        Operation(
            tuple(a.buffer for a in call.arguments if isinstance(a, Value)),
            call.output.buffer,
            sum(w.size for w in kernels[call.function].workspaces),
            _savings(program, index, kernels, sizes),
        )
        for index, call in enumerate(program.calls)
    ]
    order = best_order(
        operations,
        sizes,
        [
            *(value.buffer for value in program.inputs),
            *(state.before.buffer for state in program.states),
        ],
        [
            *(value.buffer for value in program.outputs if isinstance(value, Value)),
            *(state.after.buffer for state in program.states),
        ],
    )
    if order == tuple(range(len(order))):
        return [program]
    return [program, replace(program, calls=tuple(program.calls[i] for i in order))]


def _savings(
    program: Program, index: int, kernels: Mapping[str, Kernel], sizes: Mapping[str, int]
) -> Mapping[str, int]:
    """Bytes that a call saves by writing over each of its inputs, if that dies with it."""
    call = program.calls[index]
    starts = [a.offset if isinstance(a, Value) else 0 for a in call.arguments]
    buffers = [a.buffer if isinstance(a, Value) else "" for a in call.arguments]
    savings: dict[str, int] = {}
    for stated in kernels[call.function].overlaps:
        read = buffers[stated.read]
        if stated.written != "out" or buffers.count(read) > 1 or read not in sizes:
            continue
        written = call.output.buffer
        saved = _shared(
            sizes.get(written, 0),
            sizes[read],
            Overlap(written, read, stated.before - starts[stated.read], stated.multiple),
        )
        savings[read] = max(saved, savings.get(read, 0))
    return savings


def _shared(written: int, read: int, overlap: Overlap) -> int:
    """Bytes that two buffers of these sizes can have in common, but for alignment."""
    distances = [max(overlap.before, d) for d in (0, written - read)]
    spans = [max(written, d + read) - min(0, d) for d in distances]
    return max(0, written + read - min(spans))
