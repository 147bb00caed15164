"""Kernels that produce some rows of a layer: the layer's kernels for a smaller image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from zlib import crc32

import numpy as np

from tvmtiny.codegen.lower import Kernel, local_buffers, lower_kernels
from tvmtiny.codegen.program import Value, read_program
from tvmtiny.codegen.slicing import Slices
from tvmtiny.codegen.symbols import kernel_symbol
from tvmtiny.frontend.converter import to_relax, variable_name
from tvmtiny.ops import Node, Oracle, Tensor
from tvmtiny.ops.shared.graph import Graph
from tvmtiny.schedule import Goal, implement, schedule_module
from tvmtiny.schedule.implementation import Implementation
from tvmtiny.schedule.per_node import resized
from tvmtiny.schedule.shrink import smaller_implementations
from tvmtiny.streaming.rows import activations_of, row_node, row_rule
from tvmtiny.streaming.segment_costs import RowCost
from tvmtiny.targets import Cpu

#: Estimated instructions of an additional call.
_CALL = 20

#: The limit on bytes of constants that a layer needs twice if two kernels share its rows.
_MOST_REPEATED = 4096

#: Estimated instructions per element for schedules without an estimate of their own.
_PER_ELEMENT = 4


#: Index of the node, rows, how many rows of the window above and below are not in memory, and the
#: variant of the rows.
RowKey = tuple[int, int, int, int, int]


@dataclass(frozen=True, eq=False)
class RowKernel:
    """A kernel that produces rows of one layer.

    Attributes
    ----------
    kernel
        The lowered kernel.
    arguments
        In the order of the kernel's parameters: tensors of the layer, and constants with the names
        of their parameters.
    read_offset, write_offset
        Bytes from the start of the rows to the first byte that the kernel reads or writes.
    cycles
        Estimated cycles of a call.
    """

    kernel: Kernel
    arguments: tuple[Tensor | tuple[str, np.ndarray], ...]
    read_offset: int = 0
    write_offset: int = 0
    cycles: float = 0.0


@dataclass(frozen=True, eq=False)
class _Part:
    """A node for some of the rows that are made together, or for some of their pixels."""

    node: Node
    implementation: Implementation | None
    read_offset: int = 0
    write_offset: int = 0

    @cached_property
    def cost(self) -> RowCost:
        elements = self.node.output.elements
        found = self.implementation
        if found is None:
            return RowCost(0, _PER_ELEMENT * elements)
        return RowCost(
            sum(w.size for w in local_buffers(found.function)),
            found.instructions or _PER_ELEMENT * elements,
        )

    @cached_property
    def constants(self) -> dict[str, int]:
        """Bytes of large constants, by a hash of their values."""
        found = {}
        for argument in self.implementation.arguments if self.implementation else ():
            data = argument.data if isinstance(argument, Tensor) else argument
            if isinstance(data, np.ndarray) and data.nbytes > _MOST_REPEATED:
                found[f"{data.nbytes}.{crc32(np.ascontiguousarray(data).data)}"] = data.nbytes
        return found


class RowImplementations:
    """Chooses and lowers the kernels that produce rows on one CPU.

    Parameters
    ----------
    slices
        The limit on the length of a piece of work.
    """

    def __init__(self, cpu: Cpu, oracle: Oracle, goal: Goal, slices: Slices) -> None:
        self._cpu, self._oracle, self._goal, self._slices = cpu, oracle, goal, slices
        self._known: dict[RowKey, tuple[_Part, ...]] = {}
        #: The kernel that computes all pixels of the rows.
        self._whole: dict[RowKey, _Part] = {}
        #: Kernels for some pixels of a layer, by its index and their number.
        self._some: dict[tuple[int, int], _Part] = {}
        self._smaller: dict[RowKey, list[tuple[_Part, ...]]] = {}
        self._costs: dict[tuple[int, int, int | None], RowCost | None] = {}

    def _parts(self, key: RowKey, node: Node, most: int | None) -> tuple[_Part, ...] | None:
        """Return the kernels that compute these rows within `most` bytes of workspace, or None.

        The rows are divided between two kernels if their numbers suit the tiles better.
        """
        if key not in self._known:
            some = row_node(node, *key[1:])
            self._whole[key] = whole = _Part(some, self._implement(some))
            ways = [(whole,), *self._splits(some)]
            most_constants = sum(_constants(ways[0]).values()) + _MOST_REPEATED
            self._known[key] = min(
                (way for way in ways if sum(_constants(way).values()) <= most_constants),
                key=_instructions,
            )
        found = self._known[key]
        if most is None or _workspace(found) <= most:
            return found
        if key not in self._smaller:
            self._smaller[key] = list(self._slower(self._whole[key]))
        fitting = [parts for parts in self._smaller[key] if _workspace(parts) <= most]
        return min(fitting, key=_instructions, default=None)

    def _smallest(self, key: RowKey, node: Node) -> tuple[_Part, ...]:
        """Return the kernels that compute these rows with the least workspace."""
        self._parts(key, node, 0)
        return min([self._known[key], *self._smaller.get(key, [])], key=_workspace)

    def _slower(self, fastest: _Part) -> Iterator[tuple[_Part, ...]]:
        """Yield single kernels with less workspace than the fastest one."""
        node, implementation = fastest.node, fastest.implementation
        if implementation is None:
            return
        cpu, oracle, goal = self._cpu, self._oracle, self._goal
        for found in smaller_implementations(node, implementation, cpu, oracle, goal):
            yield (_Part(node, found),)

    def _splits(self, node: Node) -> Iterator[tuple[_Part, _Part]]:
        """Yield ways to divide the pixels of rows between two kernels.

        If the tile size does not divide the number of pixels, a tile computes some pixels twice; a
        smaller tile may be cheaper for the last ones. Only 1x1 convolutions can be split this way.
        """
        x = node.input(0)
        if node.operator != "CONV_2D" or node.input(1).shape[1:3] != (1, 1):
            return
        if x.shape[1:3] != node.output.shape[1:3]:
            return
        pixels = x.shape[1] * x.shape[2]
        for last in (2, 4):
            first = pixels - last
            before, after = (first * t.nbytes // pixels for t in (x, node.output))
            if first > 0 and before % 4 == after % 4 == 0:
                end = replace(self._pixels(node, last), read_offset=before, write_offset=after)
                yield self._pixels(node, first), end

    def _pixels(self, node: Node, pixels: int) -> _Part:
        """Return the kernel for some pixels of a 1x1 convolution, which rows of any number need."""
        key = node.index, pixels
        if key not in self._some:
            some = _with_pixels(node, pixels)
            self._some[key] = _Part(some, self._implement(some))
        return self._some[key]

    def _implement(self, node: Node) -> Implementation | None:
        return implement(node, self._cpu, self._oracle, self._goal)

    def cost(self, node: Node, rows: int, most: int | None) -> RowCost | None:
        """Return the cost of computing these rows within `most` bytes of workspace, or None."""
        key = node.index, rows, most
        if key not in self._costs:
            rule = row_rule(node)
            assert rule is not None
            parts = self._parts((node.index, rows, 0, 0, rule.typical(rows)), node, most)
            self._costs[key] = None
            if parts is not None:
                constants = tuple(_constants(parts).items())
                self._costs[key] = RowCost(_workspace(parts), _instructions(parts), constants)
        return self._costs[key]

    def kernels(
        self, model: str, wanted: Mapping[RowKey, int | None], by_index: Mapping[int, Node]
    ) -> Mapping[RowKey, tuple[RowKernel, ...]]:
        """Lower all requested kernels.

        Parameters
        ----------
        model
            Its name, the prefix of symbols.
        wanted
            For each, the most bytes of workspace, as far as that can be.
        by_index
            Nodes by index.
        """
        # One graph holds all parts, so every tensor gets an index of its own.
        tensors = [t for n in by_index.values() for t in (*n.outputs, *n.inputs)]
        used = [t.index for t in tensors if t is not None]
        fresh = count(1 + max(used, default=0))
        nodes: list[Node] = []
        inputs: list[Tensor] = []
        keys: dict[str, RowKey] = {}
        originals: dict[int, Tensor] = {}
        implementations: dict[int, Implementation | None] = {}
        parts: dict[str, _Part] = {}
        for key, most in wanted.items():
            original = by_index[key[0]]
            for part in self._parts(key, original, most) or self._smallest(key, original):
                made, found = _renamed(part, fresh)
                for renamed, t in zip(activations_of(made), activations_of(original), strict=True):
                    originals[renamed.index] = t
                inputs += activations_of(made)
                implementations[made.output.index] = found
                nodes.append(made)
                name = variable_name(made.output)
                keys[name], parts[name] = key, part
        graph = Graph((), tuple(nodes), tuple(inputs), tuple(n.output for n in nodes), {})
        module = to_relax(graph, self._oracle, lambda n: implementations[n.output.index])
        module = schedule_module(module, self._cpu)
        program = read_program(module, graph)
        names = {f"input.{i}": originals[t.index] for i, t in enumerate(inputs)}
        result: dict[RowKey, tuple[RowKernel, ...]] = {}
        symbols = [kernel_symbol(model, f"rows_{call.function}") for call in program.calls]
        called = [module[call.function] for call in program.calls]
        lowered = lower_kernels(dict(zip(symbols, called, strict=True)))
        for call, symbol, function in zip(program.calls, symbols, called, strict=True):
            kernel = lowered[symbol]
            parameters = [str(p.name) for p in function.params]
            arguments = tuple(
                names[a.name] if isinstance(a, Value) else (name, a)
                for a, name in zip(call.arguments, parameters, strict=False)
            )
            part = parts[call.output.name]
            constants = [a for a in call.arguments if isinstance(a, np.ndarray)]
            kernel, cycles = self._slices.kernel(kernel, part.node, part.implementation, constants)
            made_by = RowKernel(kernel, arguments, part.read_offset, part.write_offset, cycles)
            key = keys[call.output.name]
            result[key] = (*result.get(key, ()), made_by)
        assert len(program.calls) == len(nodes), "every node is one call"
        return result


def _workspace(parts: tuple[_Part, ...]) -> int:
    return max(part.cost.workspace for part in parts)


def _constants(parts: tuple[_Part, ...]) -> dict[str, int]:
    """Return the bytes of large constants, by a hash of their values.

    Tiles of different shapes order the same weights differently.
    """
    return {name: size for part in parts for name, size in part.constants.items()}


def _instructions(parts: tuple[_Part, ...]) -> int:
    return sum(part.cost.instructions for part in parts) + _CALL * (len(parts) - 1)


def _with_pixels(node: Node, pixels: int) -> Node:
    def shaped(tensor: Tensor) -> Tensor:
        return replace(tensor, shape=(1, 1, pixels, tensor.shape[3]))

    inputs = tuple(t if t is None or t.data is not None else shaped(t) for t in node.inputs)
    return resized(replace(node, inputs=inputs, outputs=(shaped(node.output),)), node)


def _renamed(part: _Part, fresh: Iterator[int]) -> tuple[Node, Implementation | None]:
    """Return a part's node and implementation with fresh tensor indices."""
    node, found = part.node, part.implementation
    mapped = {t.index: replace(t, index=next(fresh)) for t in activations_of(node)}
    inputs = tuple(t if t is None or t.data is not None else mapped[t.index] for t in node.inputs)
    made = replace(node, inputs=inputs, outputs=(replace(node.output, index=next(fresh)),))
    if found is not None:
        arguments = tuple(
            mapped[a.index] if isinstance(a, Tensor) and a.index in mapped else a
            for a in found.arguments
        )
        found = replace(found, arguments=arguments)
    return made, found


def plain_instructions(node: Node, implementation: Implementation | None) -> int:
    """Estimate the instructions of a whole layer."""
    known = 0 if implementation is None else implementation.instructions
    return known or _PER_ELEMENT * node.output.elements
