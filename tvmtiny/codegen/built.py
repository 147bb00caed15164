"""A model between its schedule and its C: kernels lowered, arena planned."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from tvm import IRModule, tirx

from tvmtiny import passes
from tvmtiny.codegen.arrange import Arrangement, Interface, arrange, follows, least_bytes
from tvmtiny.codegen.control import ControlWriter
from tvmtiny.codegen.lower import Kernel, lower_kernels
from tvmtiny.codegen.program import Program, read_program
from tvmtiny.codegen.slicing import Slices
from tvmtiny.codegen.symbols import kernel_symbol
from tvmtiny.frontend import Model
from tvmtiny.frontend.converter import to_relax, variable_name
from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node
from tvmtiny.ops.shared.primfunc_attributes import CONTROL_ATTR
from tvmtiny.ops.shared.subprogram import all_nodes
from tvmtiny.schedule import schedule_module
from tvmtiny.schedule.shrink import Choices
from tvmtiny.targets import Cpu

__all__ = ["Built", "build_functions", "build_model", "divided"]

#: Longest run of calls whose `least_bytes` bounds the arena from below.
_RUN = 12


@dataclass(frozen=True, eq=False)
class Built:
    """A model whose kernels are lowered and whose arena is planned.

    Attributes
    ----------
    module
        All functions, and the program that calls them.
    kernels
        Kernels by function name.
    nodes
        Nodes by the variables of their outputs.
    program
        The calls in the order of the graph.
    arrangement
        The calls in the order of execution, with the memory plan.
    choices
        The implementation of each node, by node index.
    """

    module: IRModule
    kernels: Mapping[str, Kernel]
    nodes: Mapping[str, Node]
    program: Program
    arrangement: Arrangement
    choices: Choices

    @property
    def arena_bytes(self) -> int:
        return self.arrangement.plan.total

    def bytes_for(self, node: int, changed: Container[int]) -> int:
        program = self.arrangement.program
        begin = self._calls[node]
        end = begin + 1
        nodes = [self.nodes[call.output.name].index for call in program.calls]
        while follows(program, begin) and nodes[begin - 1] not in changed and end - begin < _RUN:
            begin -= 1
        while end < len(nodes) and end - begin < _RUN:
            if nodes[end] in changed or not follows(program, end):
                break
            end += 1
        if (begin, end) not in self._least:
            self._least[begin, end] = least_bytes(self.arrangement, begin, end)
        return self._least[begin, end]

    @cached_property
    def _least(self) -> dict[tuple[int, int], int]:
        return {}

    @cached_property
    def _calls(self) -> dict[int, int]:
        calls = enumerate(self.arrangement.program.calls)
        return {self.nodes[call.output.name].index: number for number, call in calls}

    def tight_nodes(self) -> Mapping[int, int]:
        return self._tight_nodes

    @cached_property
    def _tight_nodes(self) -> dict[int, int]:
        plan, problem = self.arrangement.plan, self.arrangement.problem
        ends = {r.name: plan.offsets[r.name] + r.size for r in problem.requests}
        tight = {}
        for step, call in enumerate(self.arrangement.program.calls, 1):
            alive = [r.name for r in problem.requests if r.first <= step <= r.last]
            full = max((ends[name] for name in alive), default=0) == plan.total
            workspace = sum(w.size for w in self.kernels[call.function].workspaces)
            if full and workspace:
                tight[self.nodes[call.output.name].index] = workspace
        return tight


def divided(built: Built, slices: Slices, pushed: bool) -> Built:
    """Return `built` with those kernels divided into parts that are too long for a slice."""
    program = built.program
    kernels = slices.kernels(program, built.kernels, built.nodes, built.choices)
    interface = Interface.EXTERNAL if built.arrangement.external.external else Interface.ARENA
    arrangement = arrange(program, kernels, built.nodes, interface, pushed)
    return replace(built, kernels=kernels, arrangement=arrangement)


def build_model(
    model: Model,
    optimized: passes.Optimized,
    cpu: Cpu,
    interface: Interface,
    choices: Choices,
    pushed: bool,
) -> Built:
    """Lower the kernels of a model and plan its arena.

    Parameters
    ----------
    interface
        Where inputs and outputs lie.
    choices
        The implementation of each node, by node index.
    pushed
        Whether the caller pushes the input row by row.
    """
    module = to_relax(optimized.graph, model.oracle, lambda node: choices[node.index])
    return build_functions(model, module, optimized.graph, cpu, interface, choices, pushed)


def build_functions(
    model: Model,
    module: IRModule,
    graph: Graph,
    cpu: Cpu,
    interface: Interface,
    choices: Choices,
    pushed: bool = False,
) -> Built:
    """Lower the functions of `module`, which was made from `graph`, and plan the arena."""
    module = schedule_module(module, cpu)
    symbols, functions = {}, {}
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc) and CONTROL_ATTR not in function.attrs:
            symbol = kernel_symbol(model.name, variable.name_hint)
            symbols[variable.name_hint], functions[symbol] = symbol, function
    lowered = lower_kernels(functions)
    kernels = {name: lowered[symbol] for name, symbol in symbols.items()}
    nodes = {variable_name(t): node for node in all_nodes(graph) for t in node.outputs}
    program = read_program(module, graph)
    program = ControlWriter(model.name, module, nodes, choices).finished(program, kernels)
    arrangement = arrange(program, kernels, nodes, interface, pushed)
    return Built(module, kernels, nodes, program, arrangement, choices)
