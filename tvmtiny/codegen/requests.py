"""The memory requests of a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tvmtiny.codegen.lower import Kernel
from tvmtiny.codegen.program import Call, Program, Value
from tvmtiny.codegen.states import fits_in_place
from tvmtiny.memory import Inside, Overlap, Problem, Request
from tvmtiny.ops import Node
from tvmtiny.ops.shared.node import DTYPE_BYTES

#: Operators whose output is their inputs one after the other along the axis in their options.
_JOINING = ("CONCATENATION", "PACK")

#: Minimum alignment of all buffers in the arena, in bytes: kernels access activations by words.
ALIGNMENT = 4


def workspace_name(step: int, name: str) -> str:
    """Return the name of the request for a kernel's workspace at `step`."""
    return f"workspace.{step}.{name}"


def alignment_of(dtype: str) -> int:
    """Return the alignment of a tensor in bytes."""
    return max(ALIGNMENT, DTYPE_BYTES[dtype])


def output_name(position: int) -> str:
    """Return the name of the request for an output that is a copy."""
    return f"output.{position}"


@dataclass(frozen=True, eq=False)
class External:
    """The activations that lie outside the arena.

    Attributes
    ----------
    external
        Whether the model's inputs and outputs lie in the caller's memory.
    inputs, outputs
        Buffer name to the position of the input or output whose memory it uses.
    states
        Buffer name to the position of the state whose memory it uses.
    """

    external: bool
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    states: Mapping[str, int]

    def __contains__(self, buffer: str) -> bool:
        return buffer in self.inputs or buffer in self.outputs or buffer in self.states


def external_buffers(
    program: Program, kernels: Mapping[str, Kernel], caller: bool, pushed: bool = False
) -> External:
    """Decide where a program's inputs, outputs and states lie.

    Old states lie in memory of their own, and so do new states that can be computed in place.

    Parameters
    ----------
    kernels
        Kernels by function name.
    caller
        Whether all inputs and outputs lie in the caller's memory. If several outputs have the same
        bytes, a kernel writes to the memory of the first; the others are copies. An output that is
        a part of an activation is a copy as well.
    pushed
        Whether rows of the input are pushed; all outputs are then copies.
    """
    states: dict[str, int] = {}
    for position, state in enumerate(program.states):
        states[state.before.buffer] = position
        if fits_in_place(program, state, kernels):
            states[state.after.buffer] = position
    inputs = {value.buffer: position for position, value in enumerate(program.inputs)}
    outputs: dict[str, int] = {}
    for position, value in enumerate(program.outputs):
        inside = isinstance(value, Value) and (value.buffer in inputs or value.buffer in states)
        if isinstance(value, Value) and not (inside or pushed) and _whole(value, program):
            outputs.setdefault(value.buffer, position)
    return External(True, inputs, outputs, states) if caller else External(False, {}, {}, states)


def memory_problem(
    program: Program,
    kernels: Mapping[str, Kernel],
    nodes: Mapping[str, Node],
    external: External,
) -> Problem:
    """State the planning problem: lifetimes of activations, workspaces and allowed overlaps.

    An activation lives from its producer to its last reader. Step 0 fills the inputs, step
    ``i + 1`` is call ``i``. Outputs live to the last step, which copies constant outputs from
    flash.

    Parameters
    ----------
    kernels
        Kernels by function name.
    nodes
        Nodes by the name of the activation that they produce.
    external
        The activations that lie outside the arena.
    """
    lives = _lives(program, external)
    workspaces = [
        Request(workspace_name(index, w.name), w.size, index + 1, index + 1, alignment_of(w.dtype))
        for index, call in enumerate(program.calls)
        for w in kernels[call.function].workspaces
    ]
    end = len(program.calls) + 1
    copies = [
        Request(output_name(i), output.nbytes, end, end, alignment_of(str(output.dtype)))
        for i, output in enumerate(program.outputs)
        if not external.external and _needs_slot(output, external)
    ]
    overlaps = [
        overlap
        for index, call in enumerate(program.calls)
        for overlap in _overlaps(index, call, kernels[call.function], lives)
    ]
    return Problem(
        (*lives.values(), *workspaces, *copies),
        tuple(overlaps),
        tuple(_insides(program, nodes, lives)),
    )


def _needs_slot(output: Value | np.ndarray, external: External) -> bool:
    """Return whether an output is a constant, or lies in the memory of a state."""
    return not isinstance(output, Value) or output.buffer in external


def in_place(call: Call, problem: Problem) -> bool:
    """Return whether all inputs of a concatenation already lie in its output."""
    inner = {inside.inner for inside in problem.insides if inside.outer == call.output.buffer}
    return bool(inner) and all(isinstance(a, Value) and a.buffer in inner for a in call.arguments)


def _whole(value: Value, program: Program) -> bool:
    """Return whether a value covers all of its buffer."""
    return value.nbytes == program.values[value.buffer].nbytes


def _lives(program: Program, external: External) -> Mapping[str, Request]:
    """Return the request of every buffer in the arena."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    size: dict[str, int] = {}
    alignment: dict[str, int] = {}

    def touch(values: Sequence[object], step: int) -> None:
        for value in values:
            if isinstance(value, Value) and value.buffer not in external:
                first.setdefault(value.buffer, step)
                last[value.buffer] = step
                size[value.buffer] = max(size.get(value.buffer, 0), value.nbytes)
                alignment[value.buffer] = alignment_of(value.dtype)

    touch(program.inputs, 0)
    for step, call in enumerate(program.calls, 1):
        touch([*call.arguments, call.output], step)
    end = len(program.calls) + 1
    touch(program.outputs, end)
    touch([state.after for state in program.states], end)
    return {
        name: Request(name, size[name], first[name], last[name], alignment[name]) for name in first
    }


def _overlaps(
    index: int, call: Call, kernel: Kernel, lives: Mapping[str, Request]
) -> Iterator[Overlap]:
    """Yield the overlaps that a kernel allows with arguments that have no later reader."""
    buffers = [a.buffer if isinstance(a, Value) else None for a in call.arguments]
    for stated in kernel.overlaps:
        argument, buffer = call.arguments[stated.read], buffers[stated.read]
        if (
            not isinstance(argument, Value)
            or buffer is None
            or buffer not in lives
            or buffers.count(buffer) > 1
            or lives[buffer].last != index + 1
        ):
            continue
        written = stated.written
        name = call.output.buffer if written == "out" else workspace_name(index, written)
        if written == "out" and name not in lives:
            continue
        yield Overlap(name, buffer, stated.before - argument.offset, stated.multiple)


def _insides(
    program: Program, nodes: Mapping[str, Node], lives: Mapping[str, Request]
) -> Iterator[Inside]:
    """Yield the inputs of concatenations and packs that can be produced inside the output."""
    taken: set[str] = set()
    for call in program.calls:
        node = nodes[call.output.name]
        if node.operator not in _JOINING or call.output.buffer not in lives:
            continue
        axis = int(node.options.get("axis", 0)) % len(node.output.shape)
        parts = [a for a in call.arguments if isinstance(a, Value)]
        buffers = [part.buffer for part in parts]
        usable = (
            prod(node.output.shape[:axis]) == 1
            and len(buffers) == len(call.arguments) == len(set(buffers))
            and all(part.buffer in lives and part.buffer not in taken for part in parts)
            and all(_whole(part, program) for part in parts)
        )
        sizes = [lives[buffer].size for buffer in buffers] if usable else []
        offsets = [sum(sizes[:i]) for i in range(len(sizes))]
        if any(o % lives[b].alignment for o, b in zip(offsets, buffers, strict=False)):
            continue
        for buffer, offset in zip(buffers, offsets, strict=False):
            taken.add(buffer)
            yield Inside(buffer, call.output.buffer, offset)
