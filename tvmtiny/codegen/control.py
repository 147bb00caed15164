"""C functions that run subgraphs: a loop or branches around calls of kernels.

One workspace holds the values that an iteration passes to the next and the workspaces of the
kernels inside; results are in the output from the start. The kernels are those of the whole model:
further iterations need no additional code or constants, and equal layers inside and outside the
loop share a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from tvm import IRModule

from tvmtiny.codegen.arrange import Arrangement, Interface, arrange
from tvmtiny.codegen.lower import InnerCall, Kernel, Workspace
from tvmtiny.codegen.names import c_type
from tvmtiny.codegen.program import Call, Program, Value, read_program
from tvmtiny.codegen.requests import ALIGNMENT, in_place, workspace_name
from tvmtiny.codegen.symbols import kernel_symbol
from tvmtiny.frontend.converter import subprogram_name
from tvmtiny.ops import Node
from tvmtiny.ops.shared.block import block_offsets, results
from tvmtiny.ops.shared.control_call import TURNS
from tvmtiny.ops.shared.primfunc_attributes import SCHEDULE_ATTR
from tvmtiny.ops.shared.subprogram import Subprogram, subprograms
from tvmtiny.schedule.shrink import Choices

__all__ = ["ControlWriter"]

_HEADER = "tvmtiny_copy.h"
#: Alignment of every buffer in a workspace that holds elements wider than a word, in bytes.
_WIDE = 8


@dataclass(frozen=True)
class ControlWriter:
    """Writes the C functions that run the subgraphs of a model.

    Attributes
    ----------
    model
        Name of the model.
    module
        The module with the kernels and one function for each subgraph.
    nodes
        Nodes by the name of the activation that they produce, including those of subgraphs.
    choices
        The implementation of each node, by node index.
    """

    model: str
    module: IRModule
    nodes: Mapping[str, Node]
    choices: Choices

    def finished(self, program: Program, kernels: dict[str, Kernel]) -> Program:
        """Add the functions to `kernels`; return `program` with the arguments that they take."""
        calls = []
        for call in program.calls:
            node = self.nodes[call.output.name]
            if subprograms(node):
                function = _Function(self, node, call, kernels)
                kernels[call.function] = function.kernel()
                call = replace(call, arguments=function.arguments())
            calls.append(call)
        return replace(program, calls=tuple(calls))


class _Function:
    """One function that runs subgraphs, and its arguments."""

    def __init__(
        self, writer: ControlWriter, node: Node, call: Call, kernels: dict[str, Kernel]
    ) -> None:
        self._writer, self._node, self._call, self._kernels = writer, node, call, kernels
        self._offsets = block_offsets(results(node))[0]
        self._constants: dict[tuple[str, bytes], np.ndarray] = {}
        self._used: set[int] = set()
        self._inner: list[InnerCall] = []
        self._turns = int(node.options.get(TURNS, 1))
        self._lines: dict[str, list[str]] = {}
        self._size, self._alignment = 0, ALIGNMENT
        programs = subprograms(node)
        bodies = [self._program(i, program) for i, program in enumerate(programs)]
        self._is_loop = len(programs) == 1 and self._turns > 1
        if len(programs) == 2:
            then, other = (_indented(first + each + last) for first, each, last in bodies)
            condition = f"*{self._input(0)}"
            self._body = [f"if ({condition}) {{", *then, "} else {", *other, "}"]
            return
        ((self._first, self._each, self._last),) = bodies
        self._body = self._first + self._each + self._last

    def arguments(self) -> tuple[Value | np.ndarray, ...]:
        """Return the arguments of the call."""
        used = [self._call.arguments[position] for position in sorted(self._used)]
        return (*used, *self._constants.values())

    def kernel(self) -> Kernel:
        """Return the function; for a loop, also the variant that runs a range of iterations."""
        if not self._is_loop:
            return self._finished(self._body, "")
        whole = [f"for (int32_t turn = 0; turn < {self._turns}; ++turn) {{", *_indented(self._each)]
        parts = ["for (int32_t turn = begin; turn < end; ++turn) {", *_indented(self._each), "}"]
        if self._first:
            parts = ["if (begin == 0) {", *_indented(self._first), "}", *parts]
        if self._last:
            parts += [f"if (end == {self._turns}) {{", *_indented(self._last), "}"]
        divided = replace(
            self._finished(parts, ", int32_t begin, int32_t end"),
            weights=np.full(self._turns, 1.0 / self._turns),
        )
        return replace(
            self._finished([*self._first, *whole, "}", *self._last], ""), in_parts=divided
        )

    def _finished(self, body: list[str], more: str) -> Kernel:
        call, attributes = self._call, self._writer.module[self._call.function].attrs
        parameters = [
            f"const {c_type(str(call.arguments[position].dtype))} *{_argument(position)}"
            for position in sorted(self._used)
        ]
        parameters += [
            f"const {c_type(str(value.dtype))} *c{i}"
            for i, value in enumerate(self._constants.values())
        ]
        parameters.append(f"{c_type(call.output.dtype)} *out")
        begin = [] if _mentions(body, "out") or _mentions(body, "results") else ["(void)out;"]
        if _mentions(body, "results"):
            begin = ["uint8_t *const results = (uint8_t *)(void *)out;"]
        copies = _mentions(body, "tvmtiny_copy(") or _mentions(body, "tvmtiny_fill(")
        workspaces: tuple[Workspace, ...] = ()
        if self._size and self._alignment == _WIDE:
            workspaces = (Workspace("words", "int64", self._size),)
            parameters.append("int64_t *words")
            begin.append("uint8_t *const arena = (uint8_t *)(void *)words;")
        elif self._size:
            workspaces = (Workspace("arena", "uint8", self._size),)
            parameters.append("uint8_t *arena")
        symbol = kernel_symbol(self._writer.model, call.function)
        prototype = f"void {symbol}({', '.join(parameters)}{more})"
        lines = "\n".join(["{", *_indented([*begin, *body]), "}"])
        return Kernel(
            symbol,
            prototype,
            f"{prototype}\n{lines}\n",
            workspaces,
            f"{attributes[SCHEDULE_ATTR]}, {len(self._inner)} calls",
            (_HEADER,) if copies else (),
            (),
            inner=tuple(self._inner),
        )

    def _program(
        self, position: int, program: Subprogram
    ) -> tuple[list[str], list[str], list[str]]:
        """Return the lines before the first iteration, of each one, and after the last one."""
        name = subprogram_name(self._node, position)
        read = read_program(self._writer.module, program.graph, name)
        read = self._writer.finished(read, self._kernels)
        arrangement = arrange(read, self._kernels, self._writer.nodes, Interface.EXTERNAL)
        memory = _Memory(self, program, arrangement)
        self._size = max(self._size, memory.size)
        self._alignment = max(self._alignment, memory.alignment)
        first, each, last = [], [], []
        for state, source in enumerate(program.initial):
            initial = self._call.arguments[source]
            place, size = memory.state(state), read.states[state].before.nbytes
            content = set(initial.tobytes()) if isinstance(initial, np.ndarray) else set()
            if len(content) == 1:
                first.append(f"tvmtiny_fill({place}, {content.pop()}, {size});")
            else:
                first.append(f"tvmtiny_copy({place}, {self._input(source)}, {size});")
        for step, call in enumerate(arrangement.program.calls):
            if not in_place(call, arrangement.problem):
                each.append(self._call_text(memory, step, call))
        for output, value in enumerate(arrangement.program.outputs):
            target = memory.result(program.given[output])
            if isinstance(value, np.ndarray):
                last.append(f"tvmtiny_copy({target}, {self._constant(value)}, {value.nbytes});")
            elif arrangement.external.outputs.get(value.buffer) != output:
                copy = f"tvmtiny_copy({target}, {memory.pointer(value)}, {value.nbytes});"
                # A state is overwritten by the next iteration, so it is copied to the output here.
                (each if value.buffer.startswith("state.") else last).append(copy)
        for number, values in enumerate(arrangement.program.states):
            if arrangement.external.states.get(values.after.buffer) != number:
                source_text = memory.pointer(values.after)
                size = values.after.nbytes
                each.append(f"tvmtiny_copy({memory.state(number)}, {source_text}, {size});")
        return first, each, last

    def _call_text(self, memory: _Memory, step: int, call: Call) -> str:
        kernel = self._kernels[call.function]
        arguments = [
            self._constant(a) if isinstance(a, np.ndarray) else memory.pointer(a)
            for a in call.arguments
        ]
        arguments.append(memory.pointer(call.output))
        arguments += [
            f"({c_type(w.dtype)} *)(void *)(arena + {memory.workspace(step, w)})"
            for w in kernel.workspaces
        ]
        constants = sum(a.nbytes for a in call.arguments if isinstance(a, np.ndarray))
        node = self._writer.nodes[call.output.name]
        made = self._writer.choices.get(node.index)
        self._inner.append(InnerCall(call.function, kernel, node, made, constants, self._turns))
        return f"{kernel.symbol}({', '.join(arguments)});"

    def _constant(self, data: np.ndarray) -> str:
        key = (str(data.dtype), data.tobytes())
        self._constants.setdefault(key, data)
        return f"c{list(self._constants).index(key)}"

    def _input(self, position: int) -> str:
        """Return the parameter that passes an input of the node."""
        self._used.add(position)
        return _argument(position)

    def input_dtype(self, position: int) -> str:
        """Return the dtype that the parameter of an input points to."""
        return str(self._call.arguments[position].dtype)

    def result(self, position: int) -> int:
        """Return the offset of a result in the output, in bytes."""
        return self._offsets[position]


class _Memory:
    """Addresses of the values of a subgraph, as C expressions."""

    def __init__(self, function: _Function, program: Subprogram, arrangement: Arrangement) -> None:
        self._function, self._program, self._arrangement = function, program, arrangement
        requests = arrangement.problem.requests
        states = arrangement.program.states
        self._states: dict[int, int] = {}
        end = 0
        for position, state in enumerate(states):
            if program.kept[position] is None:
                self._states[position] = end
                end += -(-state.before.nbytes // _WIDE) * _WIDE
        self._base = end
        self.size = end + arrangement.plan.total
        wide = [r.alignment for r in requests]
        wide += [np.dtype(state.before.dtype).itemsize for state in states]
        self.alignment = max(wide, default=ALIGNMENT)

    def state(self, position: int, offset: int = 0) -> str:
        """Return the address of the byte at `offset` of a state."""
        kept = self._program.kept[position]
        if kept is not None:
            return self.result(kept, offset)
        return f"arena + {self._states[position] + offset}"

    def result(self, position: int, offset: int = 0) -> str:
        """Return the address of the byte at `offset` of a result."""
        return f"results + {self._function.result(position) + offset}"

    def workspace(self, step: int, workspace: Workspace) -> int:
        """Return the arena offset of a call's workspace."""
        return self._base + self._arrangement.plan.offsets[workspace_name(step, workspace.name)]

    def pointer(self, value: Value) -> str:
        """Return the address of a value."""
        external = self._arrangement.external
        if value.buffer in external.inputs:
            position = self._program.captured[external.inputs[value.buffer]]
            name = self._function._input(position)
            if not value.offset and value.dtype == self._function.input_dtype(position):
                return name
            start = f"((const uint8_t *)(const void *){name} + {value.offset})"
            return f"(const {c_type(value.dtype)} *)(const void *){start}"
        if value.buffer in external.outputs:
            given = self._program.given[external.outputs[value.buffer]]
            place = self.result(given, value.offset)
        elif value.buffer in external.states:
            place = self.state(external.states[value.buffer], value.offset)
        else:
            offset = self._arrangement.plan.offsets[value.buffer]
            place = f"arena + {self._base + offset + value.offset}"
        return f"({c_type(value.dtype)} *)(void *)({place})"


def _argument(position: int) -> str:
    return f"x{position}"


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _mentions(lines: list[str], name: str) -> bool:
    return any(name in line for line in lines)
