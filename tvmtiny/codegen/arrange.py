"""Arrangement of a program in memory: order of calls, memory requests and arena plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from tvmtiny import memory
from tvmtiny.codegen.lower import Kernel
from tvmtiny.codegen.program import Program, Value
from tvmtiny.codegen.requests import External, external_buffers, memory_problem
from tvmtiny.codegen.states import assign_in_place
from tvmtiny.errors.choices import parse_choice
from tvmtiny.memory import Overlap, Plan, Problem
from tvmtiny.memory.order import Operation, best_order
from tvmtiny.ops import Node

#: Deterministic seconds of solver time for `least_bytes`, which replaces plans of whole models.
_LEAST_SECONDS = 0.2


class Interface(str, Enum):
    """Location of the model's inputs and outputs: in the arena or in memory of the caller."""

    ARENA = "arena"
    EXTERNAL = "external"


def parse_interface(name: Interface | str) -> Interface:
    """Return the interface called `name`.

    Raises
    ------
    InputError
        If there is no interface of that name.
    """
    return parse_choice(Interface, name, "inputs and outputs cannot lie in {}")


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The memory layout of a program, as code generation needs it.

    Attributes
    ----------
    program
        The calls in the order of execution.
    problem
        The planner's problem: step 0 fills the inputs, step ``i + 1`` is call ``i``.
    plan
        The solution of `problem`.
    external
        The activations that lie outside the arena.
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
    """Find the order of calls and the plan with the smallest arena.

    Parameters
    ----------
    kernels
        Kernels by function name.
    nodes
        Nodes by the name of the activation that they produce.
    interface
        Where inputs and outputs lie.
    pushed
        Whether the caller pushes the rows of the input; the outputs then lie in the arena.
    """
    program = assign_in_place(program, nodes, kernels)
    caller = interface is Interface.EXTERNAL
    found: list[Arrangement] = []

    def add(ordered: Program) -> Problem:
        external = external_buffers(ordered, kernels, caller, pushed)
        problem = memory_problem(ordered, kernels, nodes, external)
        # Producing the parts of a concatenation in place saves a copy, but may pin them to offsets
        # that make the arena larger.
        loose = replace(problem, insides=())
        for wanted in [problem, loose] if problem.insides else [problem]:
            plan = memory.plan(wanted.requests, wanted.overlaps, wanted.insides)
            found.append(Arrangement(ordered, wanted, plan, external))
        return problem

    other = _reordered(program, kernels, add(program))
    if other is not None:
        add(other)
    return min(found, key=lambda arrangement: arrangement.plan.total)


def least_bytes(arrangement: Arrangement, begin: int, end: int) -> int:
    """Compute a lower bound for the arena that a run of calls needs.

    The bound holds however all other nodes are implemented and ordered. It counts the workspaces
    and outputs of the calls, and those inputs of the first call that no other call reads.

    Parameters
    ----------
    begin, end
        The run is calls `begin` to ``end - 1``; each must follow its predecessor, see `follows`.

    Returns
    -------
    int
        Bytes.
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
    # Another arrangement may place the parts of a concatenation elsewhere.
    names -= {name for i in problem.insides for name in (i.inner, i.outer)}
    requests = [
        replace(r, first=max(r.first, steps[0]), last=min(r.last, steps[-1]))
        for r in problem.requests
        if r.name in names
    ]
    overlaps = [o for o in problem.overlaps if {o.written, o.read} <= names]
    return memory.plan(requests, overlaps, time_limit=_LEAST_SECONDS).lower_bound


def follows(program: Program, index: int) -> bool:
    """Return whether a call reads only the output of its predecessor, and is its only reader.

    The two calls then keep this order in every arrangement of the program.
    """
    if index < 1:
        return False
    written = program.calls[index - 1].output.buffer
    read = [a.buffer for a in program.calls[index].arguments if isinstance(a, Value)]
    return read == [written] and program.readers[written] == 1


def _reordered(program: Program, kernels: Mapping[str, Kernel], problem: Problem) -> Program | None:
    """Return the program in the order with the smallest sum of live bytes; None if it is its own.

    Parameters
    ----------
    problem
        The planner's problem for the program in its own order.
    """
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
        return None
    return replace(program, calls=tuple(program.calls[i] for i in order))


def _savings(
    program: Program, index: int, kernels: Mapping[str, Kernel], sizes: Mapping[str, int]
) -> Mapping[str, int]:
    """Return the bytes that a call saves by overwriting each input, if the input dies with it."""
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
    """Return how many bytes two buffers of these sizes can share, apart from alignment."""
    distances = [max(overlap.before, d) for d in (0, written - read)]
    spans = [max(written, d + read) - min(0, d) for d in distances]
    return max(0, written + read - min(spans))
