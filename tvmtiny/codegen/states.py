"""Computation of new states in the memory of the old ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tvmtiny.codegen.lower import Kernel
from tvmtiny.codegen.program import Call, Program, StateValues, Value
from tvmtiny.ops import Node


def assign_in_place(
    program: Program, nodes: Mapping[str, Node], kernels: Mapping[str, Kernel]
) -> Program:
    """Remove the copies of ASSIGN_VARIABLE whose value can be computed in the state's memory.

    The value has to be the whole output of a kernel that shares no bytes with an output of the
    model, and all readers of the old state have to come before that kernel. Assigning the old
    state itself needs no copy either.

    Parameters
    ----------
    nodes
        Nodes by the name of the activation that they produce.
    kernels
        Kernels by function name.
    """
    outputs = {value.buffer for value in program.outputs if isinstance(value, Value)}
    states: list[StateValues] = []
    dropped: list[Call] = []
    for state in program.states:
        copy = _producer(program, state.after.buffer)
        value = copy.arguments[0] if copy is not None else None
        if (
            copy is None
            or nodes[copy.output.name].operator != "ASSIGN_VARIABLE"
            or not isinstance(value, Value)
        ):
            states.append(state)
        elif _same(value, state.before) or (
            value.buffer not in outputs | {s.after.buffer for s in states}
            and fits_in_place(program, StateValues(state.before, value), kernels)
        ):
            states.append(StateValues(state.before, value))
            dropped.append(copy)
        else:
            states.append(state)
    calls = tuple(call for call in program.calls if call not in dropped)
    return replace(program, calls=calls, states=tuple(states))


def fits_in_place(program: Program, state: StateValues, kernels: Mapping[str, Kernel]) -> bool:
    """Return whether the kernel that computes a state can overwrite the old value.

    Parameters
    ----------
    kernels
        Kernels by function name.
    """
    producer = _producer(program, state.after.buffer)
    whole = producer is not None and producer.output.nbytes == state.after.nbytes
    if producer is None or not whole or state.after.offset:
        return False
    if any(_shares(value, state.before) for value in program.outputs):
        return False
    step = program.calls.index(producer)
    if any(_shares(v, state.before) for c in program.calls[step + 1 :] for v in c.arguments):
        return False
    read = [i for i, v in enumerate(producer.arguments) if _shares(v, state.before)]
    return not read or (len(read) == 1 and _overwrites(kernels[producer.function], read[0]))


def _overwrites(kernel: Kernel, position: int) -> bool:
    """Return whether a kernel may write its output exactly over one of its parameters."""
    return any(
        (o.written, o.read) == ("out", position) and o.before <= 0 and o.before % o.multiple == 0
        for o in kernel.overlaps
    )


def _producer(program: Program, buffer: str) -> Call | None:
    return next((call for call in program.calls if call.output.buffer == buffer), None)


def _same(value: Value, other: Value) -> bool:
    return (value.buffer, value.offset, value.nbytes) == (other.buffer, 0, other.nbytes)


def _shares(value: object, other: Value) -> bool:
    return isinstance(value, Value) and value.buffer == other.buffer
