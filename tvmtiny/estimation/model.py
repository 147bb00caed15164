"""The cost of a model in closed form, layer by layer, derived from its schedule alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tvmtiny.codegen.built import Built
from tvmtiny.codegen.lower import Kernel, used_kernels
from tvmtiny.codegen.program import Call
from tvmtiny.codegen.requests import in_place
from tvmtiny.compiler import arranged
from tvmtiny.errors import InputError
from tvmtiny.estimation.facts import (
    KernelFacts,
    entry_amounts,
    facts,
    facts_for,
    keys,
    rough_amounts,
)
from tvmtiny.estimation.table import Figures, Table, calibrated_cores, table
from tvmtiny.frontend import Model
from tvmtiny.ops import Node, find_operator
from tvmtiny.schedule import Goal, Implementation
from tvmtiny.schedule.records import Records
from tvmtiny.targets import BoardLike, Region, Target, resolve

__all__ = ["LayerCost", "ModelCost", "TotalCost", "cost"]


@dataclass(frozen=True)
class LayerCost:
    """The estimated cost of a layer.

    Attributes
    ----------
    index, operator, name, schedule
        See `tvmtiny.codegen.LayerInfo`.
    macs
        Multiply-accumulate operations.
    instructions, estimated_cycles
        Estimates of one execution; the cycles include `wait_cycles`.
    wait_cycles
        Cycles for which the core waits for constants in the board's flash, if the board's file
        states its timing; 0 for a CPU alone.
    flash_read_bytes, ram_read_bytes
        Estimated bytes of data that are loaded from flash and RAM; instructions do not count.
    constants_bytes
        Exact bytes of weights and tables in flash.
    workspace_bytes
        Exact bytes of the arena that only this layer uses.
    rough
        Whether the layer contains parts that were not measured on any layer, so that its estimates
        may be far off.
    """

    index: int
    operator: str
    name: str
    macs: int
    instructions: int
    estimated_cycles: int
    wait_cycles: int
    flash_read_bytes: int
    ram_read_bytes: int
    constants_bytes: int
    workspace_bytes: int
    schedule: str
    rough: bool


@dataclass(frozen=True)
class TotalCost:
    """The estimated cost of an inference.

    Attributes
    ----------
    macs, instructions, estimated_cycles, wait_cycles, flash_read_bytes, ram_read_bytes
        Sums over all layers; instructions and cycles include the run function.
    arena_bytes, constants_bytes
        Exact sizes of the code that `tvmtiny.compile` generates for the same options.
    rough_layers
        Number of layers with rough estimates; see `LayerCost.rough`.
    """

    macs: int
    instructions: int
    estimated_cycles: int
    wait_cycles: int
    flash_read_bytes: int
    ram_read_bytes: int
    arena_bytes: int
    constants_bytes: int
    rough_layers: int


@dataclass(frozen=True)
class ModelCost:
    """The estimated cost of a model.

    Attributes
    ----------
    model, cpu
        Names of the model and of the CPU.
    calibrated_on
        The CPU whose measured layers the estimate is based on.
    layers
        The layers in the order of execution; the cost of a layer without a kernel is 0.
    entry
        The cost of the run function itself.
    total
        The cost of an inference.
    """

    model: str
    cpu: str
    calibrated_on: str
    layers: tuple[LayerCost, ...]
    entry: Figures
    total: TotalCost


def cost(
    model: Model,
    target: Target | BoardLike,
    *,
    optimize: Goal | str = Goal.BALANCED,
    flash_budget: int | None = None,
    dead_channels: bool = True,
    io: str = "arena",
    ram_budget: int | None = None,
    records: Records | str | os.PathLike[str] | None = None,
    tuned_for: str | None = None,
) -> ModelCost:
    """Estimate instructions, cycles, memory and memory traffic of `model`, without building it.

    Parameters
    ----------
    model
        The model.
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.
    optimize, flash_budget, dead_channels, io, ram_budget, records, tuned_for
        See `tvmtiny.compile`.

    Returns
    -------
    ModelCost
        The cost of each layer and of an inference.

    Raises
    ------
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or the file of the board cannot be used.
    InputError
        If no layers were measured on the CPU, or in the cases listed for `tvmtiny.compile`.
    """
    resolved = resolve(target)
    cpu = resolved.cpu.name
    if cpu not in calibrated_cores():
        raise InputError(
            f"tvmtiny cost has no figures for {cpu}; it has them for "
            f"{', '.join(calibrated_cores())}; tvmtiny profile counts on every board in QEMU"
        )
    built = arranged(
        model,
        resolved,
        optimize=optimize,
        flash_budget=flash_budget,
        dead_channels=dead_channels,
        io=io,
        ram_budget=ram_budget,
        records=records,
        tuned_for=tuned_for,
    )
    figures = table(cpu)
    program = built.arrangement.program
    idle = {i for i, c in enumerate(program.calls) if in_place(c, built.arrangement.problem)}
    busy = [call for i, call in enumerate(program.calls) if i not in idle]
    known = facts_of(built, busy, figures)
    layers = tuple(
        _layer(
            i,
            call,
            built,
            (Figures(0, 0, 0, 0), False) if i in idle else _figures(call, built, figures, known),
            resolved.board.code if resolved.board else None,
        )
        for i, call in enumerate(program.calls)
    )
    interface = len(program.inputs) + len(program.outputs)
    entry = figures.run_function(entry_amounts([len(call.arguments) for call in busy], interface))
    total = TotalCost(
        sum(layer.macs for layer in layers),
        sum(layer.instructions for layer in layers) + round(entry.instructions),
        sum(layer.estimated_cycles for layer in layers) + round(entry.cycles),
        sum(layer.wait_cycles for layer in layers),
        sum(layer.flash_read_bytes for layer in layers),
        sum(layer.ram_read_bytes for layer in layers),
        built.arena_bytes,
        _constants_bytes(model, built, idle),
        sum(layer.rough for layer in layers),
    )
    return ModelCost(model.name, cpu, figures.cpu, layers, entry, total)


def facts_of(built: Built, calls: Iterable[Call], figures: Table) -> Mapping[str, KernelFacts]:
    """Return the facts of the kernels that `calls` execute, by symbol."""
    kernels = used_kernels((call.function for call in calls), built.kernels)
    return facts(kernels.values(), unaligned=figures.unaligned)


def _figures(
    call: Call, built: Built, figures: Table, known: Mapping[str, KernelFacts]
) -> tuple[Figures, bool]:
    node, kernel = built.nodes[call.output.name], built.kernels[call.function]
    return _kernel_figures(node, kernel, built.choices.get(node.index), figures, known)


def _kernel_figures(
    node: Node,
    kernel: Kernel,
    made: Implementation | None,
    figures: Table,
    known: Mapping[str, KernelFacts],
) -> tuple[Figures, bool]:
    """Return the figures of a kernel, and whether they are rough."""
    if kernel.inner:
        parts = [
            (inner.times, *_kernel_figures(inner.node, inner.kernel, inner.made, figures, known))
            for inner in kernel.inner
        ]
        total = Figures(
            sum(times * part.instructions for times, part, _ in parts),
            sum(times * part.cycles for times, part, _ in parts),
            sum(times * part.flash_read_bytes for times, part, _ in parts),
            sum(times * part.ram_read_bytes for times, part, _ in parts),
        )
        return total, any(rough for *_, rough in parts)
    names = tuple(keys(node, kernel))
    kernel_facts = facts_for(node, made, known[kernel.symbol])
    rough = bool(figures.unmeasured(names, kernel_facts))
    found = figures.layer(names, kernel_facts)
    if found is None:
        found = figures.roughly(rough_amounts(node, made))
    return found, rough


def _layer(
    index: int, call: Call, built: Built, estimate: tuple[Figures, bool], flash: Region | None
) -> LayerCost:
    found, rough = estimate
    node, kernel = built.nodes[call.output.name], built.kernels[call.function]
    operator = find_operator(node.operator)
    assert operator is not None
    first = call.output.name == f"t{node.output.index}"
    tensor = next(t for t in node.outputs if f"t{t.index}" == call.output.name)
    done = found.instructions > 0
    constants = sum(a.nbytes for a in call.arguments if isinstance(a, np.ndarray))
    waits = 0 if flash is None else flash.wait_cycles(found.flash_read_bytes, constants)
    return LayerCost(
        index,
        node.operator,
        tensor.name,
        operator.macs(node) if first else 0,
        round(found.instructions),
        round(found.cycles) + waits,
        waits,
        round(found.flash_read_bytes),
        round(found.ram_read_bytes),
        constants,
        sum(w.size for w in kernel.workspaces) if done else 0,
        kernel.schedule if done else "in place",
        rough,
    )


def _constants_bytes(model: Model, built: Built, idle: set[int]) -> int:
    """Return the bytes of all constants in flash, without duplicates and constant states."""
    program = built.arrangement.program
    arrays = [
        a
        for i, call in enumerate(program.calls)
        if i not in idle
        for a in call.arguments
        if isinstance(a, np.ndarray)
    ]
    arrays += [value for value in program.outputs if isinstance(value, np.ndarray)]
    arrays += [s.initial for s in model.graph.states if len(set(s.initial.tobytes())) != 1]
    return sum({(str(a.dtype), a.tobytes()): a.nbytes for a in arrays}.values())
