"""The compilation pipeline: schedule, lower, plan memory, generate C."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tvmtiny import passes
from tvmtiny.codegen.arrange import (
    Interface,
    arrange,
    parse_interface,
)
from tvmtiny.codegen.artifact import Artifact
from tvmtiny.codegen.built import Built, build_model, divided
from tvmtiny.codegen.emit import emit
from tvmtiny.codegen.feed_emit import check_fed, estimated_cycles
from tvmtiny.codegen.names import InterfaceNames, interface_names
from tvmtiny.codegen.occupancy import peak
from tvmtiny.codegen.placement import Placement, parse_placement
from tvmtiny.codegen.row_kernels import RowImplementations
from tvmtiny.codegen.single_layer import build_layer, emit_layer
from tvmtiny.codegen.slicing import Slices, parse_longest
from tvmtiny.codegen.stream import (
    ProgramStreamer,
    check_pushed,
    pushed_rows_error,
    sliding_windows_error,
)
from tvmtiny.codegen.stream_emit import StreamEmitter
from tvmtiny.codegen.stream_info import StreamInfo, StreamMode, parse_stream
from tvmtiny.codegen.training import check_trained
from tvmtiny.errors import RamBudgetError
from tvmtiny.errors.base import short_name
from tvmtiny.estimation.cycles import kernel_cycles
from tvmtiny.frontend import Model
from tvmtiny.frontend.make_trainable import make_trainable
from tvmtiny.ops import Node
from tvmtiny.ops.shared.subprogram import all_nodes
from tvmtiny.schedule import (
    Decisions,
    Goal,
    implement,
    implementer,
    parse_goal,
)
from tvmtiny.schedule.implement import constants_bytes
from tvmtiny.schedule.records import Records, find_records
from tvmtiny.schedule.shrink import Choices, shrink
from tvmtiny.schedule.tuned import tuned, with_records
from tvmtiny.streaming.fed import slide_rows
from tvmtiny.targets import BoardLike, Target, resolve


def compile(
    model: Model,
    target: Target | BoardLike,
    *,
    optimize: Goal | str = Goal.BALANCED,
    flash_budget: int | None = None,
    dead_channels: bool = True,
    io: Interface | str = Interface.ARENA,
    ram_budget: int | None = None,
    place: Mapping[str, str] | None = None,
    records: Records | str | os.PathLike[str] | None = None,
    tuned_for: str | None = None,
    input_names: Sequence[str] | str | None = None,
    output_names: Sequence[str] | str | None = None,
    stream: StreamMode | str = StreamMode.NONE,
    longest_slice: int | None = None,
    trainable: str | None = None,
) -> Artifact:
    """Generate C for `model`.

    Parameters
    ----------
    model
        A model from `tvmtiny.load`.
    target
        A CPU, a board, the name of either, or a board file; see `tvmtiny.resolve`.
    optimize
        The goal of scheduling: ``balanced`` keeps weights as small as in the model, ``speed`` may
        widen them, ``size`` prefers short code.
    flash_budget
        Limit on constants in bytes, used with ``speed``: weights are widened where that saves the
        most time per byte, as long as all constants fit.
    dead_channels
        Whether to remove channels that are constant or unused. Results do not change.
    io
        Placement of inputs and outputs: ``arena`` keeps them in the arena; with ``external``,
        kernels read and write memory that the caller provides.
    ram_budget
        Limit on the arena in bytes; where the fastest kernels need more, slower ones are used.
    place
        Memory region of the board for the ``arena`` and for the ``weights``, keyed by those names;
        by default the board's regions for data and for code.
    records
        Tuned records, used where a record for the same layer, CPU and goal beats the default rule;
        see `tvmtiny.schedule.records`. Records may use arena up to `ram_budget` (without one, no
        more than the default rules need) and flash as the goal weighs it, within `flash_budget`.
        Either a file or folder of records, or ``none``; by default the records that ship with
        tvmtiny.
    tuned_for
        Metric of the records to use, ``instructions`` or ``cycles``. By default, all of `records`;
        of the records that ship with tvmtiny, those tuned for instructions, because instructions
        are counted exactly, whereas cycles of an emulated board are estimates and a lower estimate
        may cost more instructions.
    input_names, output_names
        Names of the inputs and outputs in the header, in order. Inputs and outputs without a given
        name take it from the model's signature, else from the tensor without TensorFlow's counters
        and scopes, else ``input_0``, ``output_0`` and so on.
    stream
        How layers are streamed. ``inside`` runs layers row by row where that lowers the peak of the
        arena. ``rows`` also takes the input row by row, in order, so that the whole image is never
        in memory. Both choose the fewest instructions that fit `ram_budget`; without a budget, the
        smallest arena that costs at most about 15 % more instructions. ``time`` takes an endless
        sequence of rows: each row completes another window over the most recent ones, and only the
        new part is computed. ``auto`` is ``inside`` where `ram_budget` requires it and ``none``
        (layer by layer) otherwise.
    longest_slice
        Limit on one step of an inference, in estimated cycles. The inference can then run in steps,
        and layers are divided until no step exceeds the limit.
    trainable
        ``last`` or ``last2``: make the last one or two FULLY_CONNECTED trainable on the device; see
        `tvmtiny.frontend.make_trainable.make_trainable`.

    Returns
    -------
    Artifact
        The generated C files with their arena, layers, tensors and constants.

    Raises
    ------
    UnknownTargetError, BoardFileError
        If the CPU or board is unknown, or the board file is invalid.
    InputError
        If `optimize`, `io`, `stream` or `tuned_for` has an unknown value, `place` names an unknown
        region, the `records` cannot be read, `input_names` or `output_names` are not valid names
        for the header, the model's input cannot come in rows, a layer cannot be divided into steps
        of `longest_slice`, or the layer cannot be trained at all or with the given `io` or
        `stream`.
    RamBudgetError
        If no arena within `ram_budget` was found.
    """
    return _compile(
        model,
        resolve(target),
        None,
        optimize=optimize,
        flash_budget=flash_budget,
        dead_channels=dead_channels,
        io=io,
        ram_budget=ram_budget,
        place=place,
        records=records,
        tuned_for=tuned_for,
        input_names=input_names,
        output_names=output_names,
        stream=stream,
        longest_slice=longest_slice,
        trainable=trainable,
    )


def compile_like(
    artifact: Artifact, model: Model, target: Target | BoardLike, **options: Any
) -> Artifact:
    """Generate C for a model that was compiled for another target, reusing its streaming plan.

    Parameters
    ----------
    artifact
        Result of `compile` for the same model and options. The layers that it runs row by row are
        streamed here too, where possible; otherwise a new streaming plan is searched.
    model
        The model to compile.
    target
        A CPU, a board, the name of either, or a board file; see `tvmtiny.resolve`.
    options
        Keyword arguments of `compile`, which raises the same errors.

    Returns
    -------
    Artifact
        The generated code for `target`.
    """
    return _compile(model, resolve(target), artifact.stream, **options)


def _compile(
    model: Model,
    target: Target,
    like: StreamInfo | None,
    *,
    optimize: Goal | str = Goal.BALANCED,
    flash_budget: int | None = None,
    dead_channels: bool = True,
    io: Interface | str = Interface.ARENA,
    ram_budget: int | None = None,
    place: Mapping[str, str] | None = None,
    records: Records | str | os.PathLike[str] | None = None,
    tuned_for: str | None = None,
    input_names: Sequence[str] | str | None = None,
    output_names: Sequence[str] | str | None = None,
    stream: StreamMode | str = StreamMode.NONE,
    longest_slice: int | None = None,
    trainable: str | None = None,
) -> Artifact:
    if trainable is not None:
        model = make_trainable(model, trainable)
    goal, interface = parse_goal(optimize), parse_interface(io)
    placement = parse_placement(place or {}, target.board)
    names = interface_names(model.graph, input_names, output_names)
    mode = parse_stream(stream)
    if model.feed is not None:
        if mode is StreamMode.TIME:
            # The rows of a front end slide within the graph.
            model, mode = slide_rows(model), StreamMode.NONE
        check_fed(model.name, interface, mode)
    if model.training is not None:
        # Channels that look dead may matter once the weights are trained.
        dead_channels = False
        check_trained(model, interface, mode)
    if mode.pushes:
        check_pushed(model)
        interface = Interface.EXTERNAL
    slices = Slices(partial(kernel_cycles, target), parse_longest(longest_slice))
    streams = mode.pushes or mode is StreamMode.INSIDE
    plain_budget = None if streams else ram_budget
    optimized = passes.optimize(model.graph, model.oracle, passes.Options(dead_channels))
    default, built = _decide(
        model,
        optimized,
        target,
        goal,
        interface,
        mode.pushes,
        flash_budget,
        plain_budget,
        find_records(records, tuned_for),
    )
    artifact = None
    over = ram_budget is not None and built.arena_bytes > ram_budget
    if streams or (mode is StreamMode.AUTO and over):
        if mode is StreamMode.AUTO:
            built = build_model(model, optimized, target.cpu, interface, default, mode.pushes)
            mode = StreamMode.INSIDE
        artifact = _streamed(
            model, optimized, target, built, mode, goal, ram_budget, placement, names, slices, like
        )
    if artifact is None and longest_slice is not None:
        mode = StreamMode.NONE
        artifact = _streamed(
            model, optimized, target, built, mode, goal, ram_budget, placement, names, slices, like
        )
    if artifact is None:
        artifact = emit(
            model,
            optimized,
            built.module,
            target,
            built.arrangement,
            built.kernels,
            placement,
            names,
            0.0 if model.feed is None else estimated_cycles(built, slices),
        )
    if ram_budget is not None and artifact.arena_bytes > ram_budget:
        raise _budget_error(artifact, ram_budget, built)
    return artifact


def arranged(
    model: Model,
    target: Target,
    *,
    optimize: Goal | str = Goal.BALANCED,
    flash_budget: int | None = None,
    dead_channels: bool = True,
    io: Interface | str = Interface.ARENA,
    ram_budget: int | None = None,
    records: Records | str | os.PathLike[str] | None = None,
    tuned_for: str | None = None,
) -> Built:
    """Make the decisions of `compile` without streaming, and generate no code.

    The parameters are those of `compile`, which raises the same errors, except that a missed budget
    is not an error.
    """
    goal, interface = parse_goal(optimize), parse_interface(io)
    optimized = passes.optimize(model.graph, model.oracle, passes.Options(dead_channels))
    known = find_records(records, tuned_for)
    decide = partial(_decide, model, optimized, target, goal, interface, False)
    return decide(flash_budget, ram_budget, known)[1]


def _decide(
    model: Model,
    optimized: passes.Optimized,
    target: Target,
    goal: Goal,
    interface: Interface,
    pushed: bool,
    flash_budget: int | None,
    ram_budget: int | None,
    known: Records,
) -> tuple[Choices, Built]:
    """Return the default rules' choices, and the model built after shrinking and tuned records."""
    nodes = tuple(all_nodes(optimized.graph))
    choose = implementer(nodes, target.cpu, model.oracle, goal, flash_budget)

    def build(choices: Choices) -> Built:
        return build_model(model, optimized, target.cpu, interface, choices, pushed)

    default = {node.index: choose(node) for node in nodes}
    built = shrink(build, nodes, default, target.cpu, model.oracle, goal, ram_budget)
    if known:
        built = with_records(
            build,
            nodes,
            built,
            lambda node: list(tuned(node, target.cpu, model.oracle, goal, known)),
            ram_budget,
            lambda choices: flash_budget is None or constants_bytes(nodes, choices) <= flash_budget,
        )
    return default, built


def _streamed(
    model: Model,
    optimized: passes.Optimized,
    target: Target,
    built: Built,
    mode: StreamMode,
    goal: Goal,
    ram_budget: int | None,
    placement: Placement,
    names: InterfaceNames,
    slices: Slices,
    like: StreamInfo | None,
) -> Artifact | None:
    """Generate the model with row-by-row segments; None if no segment is worthwhile."""
    if slices.longest is not None:
        built = divided(built, slices, mode.pushes)
    streamer = ProgramStreamer(
        model.name,
        built.arrangement,
        built.nodes,
        built.choices,
        RowImplementations(target.cpu, model.oracle, goal, slices),
        mode.pushes,
    )
    if mode is StreamMode.TIME:
        found = streamer.with_sliding_windows()
        if found is None:
            raise sliding_windows_error(model, built.arrangement.program, built.nodes)
    elif mode is StreamMode.NONE:
        found = streamer.without_segments()
    else:
        found = streamer.with_segments_of(like) or streamer.stream(ram_budget)
    if mode is StreamMode.ROWS and found is None:
        raise pushed_rows_error(model, built.arrangement.program, built.nodes)
    if found is None:
        return None
    if mode is StreamMode.INSIDE and not streamer.saves_memory(found):
        return None
    emitter = StreamEmitter(
        mode,
        found.works,
        slices,
        built.choices,
        model,
        optimized,
        built.module,
        target,
        found.arrangement,
        built.kernels,
        placement,
        names,
        0.0 if model.feed is None else estimated_cycles(built, slices),
    )
    return emitter.artifact()


def optimized_nodes(model: Model, *, dead_channels: bool = True) -> tuple[Node, ...]:
    """Return the nodes of `model` after all graph passes, which are what `compile` implements.

    Nodes inside loops and branches are included.
    """
    options = passes.Options(dead_channels)
    return tuple(all_nodes(passes.optimize(model.graph, model.oracle, options).graph))


def compile_layer(
    model: Model,
    node: Node,
    target: Target | BoardLike,
    decisions: Decisions | None = None,
    *,
    goal: Goal | str = Goal.BALANCED,
    name: str | None = None,
) -> Artifact | None:
    """Generate C for a single layer.

    Parameters
    ----------
    model
        The model that the node belongs to.
    node
        One of `optimized_nodes`; its activations become the inputs.
    target
        A CPU, a board, the name of either, or a board file; see `tvmtiny.resolve`.
    decisions
        A candidate from `tvmtiny.schedule.space`; by default the default rule's choice for `goal`.
    goal
        Goal of the default rule, as `optimize` in `compile`.
    name
        Prefix of the generated code; by default built from model, operator and output tensor.

    Returns
    -------
    Artifact or None
        None if the decisions cannot be implemented (see `tvmtiny.schedule.implement`) or the node
        needs no code.

    Raises
    ------
    UnknownTargetError, BoardFileError
        If the CPU or board is unknown, or the board file is invalid.
    InputError
        If the goal is unknown.
    """
    target = resolve(target)
    done = implement(node, target.cpu, model.oracle, parse_goal(goal), decisions)
    if done is None:
        return None
    label = name or f"{model.name}_{node.symbol}_{node.output.index}"
    return emit_layer(build_layer(model, node, target, done, label))


def _budget_error(artifact: Artifact, ram_budget: int, built: Built) -> RamBudgetError:
    bottleneck = peak(artifact)
    external = arrange(built.arrangement.program, built.kernels, built.nodes, Interface.EXTERNAL)
    return RamBudgetError(
        artifact.name,
        ram_budget,
        artifact.arena_bytes,
        artifact.plan.lower_bound,
        bottleneck.label,
        tuple((short_name(occupant.label), occupant.bytes) for occupant in bottleneck.occupants),
        None if artifact.external else external.plan.total,
    )
