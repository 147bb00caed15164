"""The pipeline: schedule, lower, plan memory, generate."""

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
from tvmtiny.codegen.built import Built, build_functions, build_model, divided
from tvmtiny.codegen.emit import emit
from tvmtiny.codegen.feed_emit import check_fed, estimated_cycles
from tvmtiny.codegen.names import InterfaceNames, interface_names
from tvmtiny.codegen.occupancy import peak
from tvmtiny.codegen.placement import Placement, parse_placement
from tvmtiny.codegen.row_kernels import RowImplementations
from tvmtiny.codegen.slices import Slices, parse_longest
from tvmtiny.codegen.stream import ProgramStreamer, check_pushed, unpushable, unslidable
from tvmtiny.codegen.stream_emit import StreamEmitter
from tvmtiny.codegen.stream_info import StreamInfo, StreamMode, parse_stream
from tvmtiny.codegen.training import check_trained
from tvmtiny.errors import RamBudgetError
from tvmtiny.errors.base import short_name
from tvmtiny.estimation.cycles import kernel_cycles
from tvmtiny.frontend import Model
from tvmtiny.frontend.converter import node_to_relax
from tvmtiny.frontend.reader import Graph
from tvmtiny.frontend.trainable import trainable as make_trainable
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
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.
    optimize
        What schedules prefer: ``balanced`` keeps weights as small as in the model, ``speed`` may
        widen them, ``size`` prefers short code.
    flash_budget
        With ``speed``: the most bytes of constants; weights are widened where that saves most per
        byte, as long as all constants fit.
    dead_channels
        Remove channels that are constant or that nothing depends on. Results are the same.
    io
        Inputs and outputs lie in the ``arena``, or are ``external``: kernels read and write the
        memory that the caller passes.
    ram_budget
        Bytes of arena; where the fastest kernels need more, slower ones that need less are taken.
    place
        Which of the board's memory regions holds the ``arena`` and the ``weights``, by those
        names; by default those for data and for code.
    records
        Tuned decisions, taken where a record of the same layer, CPU and goal beats the default
        rule, see `tvmtiny.schedule.records`. They may use arena up to `ram_budget`, or else no
        more than the default rules need, and flash as far as the goal weighs it, within
        `flash_budget`. A file or folder of records, or ``none``; by default those that come with
        tvmtiny.
    tuned_for
        Use records of this metric, ``instructions`` or ``cycles``: by default whatever `records`
        holds, and of those that come with tvmtiny the ones tuned for instructions, which are
        counted exactly; cycles of an emulated board are estimated, and fewer of them may take
        more instructions.
    input_names, output_names
        What the header calls the first inputs and outputs; by default and for the others their
        names in the model's signature, else those of the tensors without TensorFlow's counters and
        scopes, else ``input_0``, ``output_0`` and so on.
    stream
        ``inside`` runs layers row by row where that lowers the peak of the arena, ``rows`` also
        takes the input row by row, in the order in which they come: no image is in memory. With
        `ram_budget` the fewest instructions that fit, without it the smallest arena for about 15 %
        more instructions. ``time`` takes rows without end: each one completes another window over
        the last ones, and only what is new is computed. ``auto`` is ``inside`` where `ram_budget`
        needs it, and else ``none``: layer by layer.
    longest_slice
        Cycles, by an estimate: an inference can be run in steps, and layers are divided until no
        step takes longer.
    trainable
        ``last``: the last FULLY_CONNECTED can be trained on the device, see
        `tvmtiny.frontend.trainable.trainable`.

    Raises
    ------
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or its file is not usable.
    InputError
        If `optimize`, `io`, `stream` or `tuned_for` is none of the above, there is no such region
        for `place`, the `records` cannot be read, `input_names` or `output_names` are no names for
        the header, the model's input cannot come in rows, a layer cannot be divided into steps of
        `longest_slice`, or the layer cannot be trained, or not with `io` or `stream`.
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
    """Generate C for a model that was compiled for another target, without planning anew.

    Parameters
    ----------
    artifact
        What `compile` gave for the same model and options: what runs row by row there does here,
        where it can. Without, that is looked for.
    options
        Of `compile`, which raises the same errors.
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
        check_fed(model.name, interface, mode)
    if model.training is not None:
        # Channels that seem dead may be what new weights depend on.
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
    """Decide what `compile` decides where nothing streams, and generate nothing.

    Parameters are those of `compile`, which raises the same errors; a budget that is missed is
    none.
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
    """What the default rules choose, and the model with what shrinking and records make of it."""
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
    """The model with segments that run row by row; None where none are of use."""
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
        found = streamer.slide()
        if found is None:
            raise unslidable(model, built.arrangement.program, built.nodes)
    elif mode is StreamMode.NONE:
        found = streamer.whole()
    else:
        found = streamer.alike(like) or streamer.stream(ram_budget)
    if mode is StreamMode.ROWS and found is None:
        raise unpushable(model, built.arrangement.program, built.nodes)
    if found is None:
        return None
    if mode is StreamMode.INSIDE and not streamer.pays(found):
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
    """The nodes of `model` after all graph passes: what `compile` implements.

    Those that loops and branches run are among them.
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
    """Generate C for one layer alone.

    Parameters
    ----------
    model
        Where the node is from.
    node
        One of `optimized_nodes`; its activations are the inputs.
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.
    decisions
        A candidate of `tvmtiny.schedule.space`; by default the rule's own for `goal`.
    name
        Prefix of the generated code; by default made from model, operator and output tensor.

    Returns
    -------
    Artifact or None
        None where the decisions cannot be implemented, see `tvmtiny.schedule.implement`, and for
        a node that needs no code.

    Raises
    ------
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or its file is not usable.
    InputError
        If there is no such goal.
    """
    target = resolve(target)
    done = implement(node, target.cpu, model.oracle, parse_goal(goal), decisions)
    if done is None:
        return None
    inputs = {t.index: t for t in node.inputs if t is not None and t.data is None}
    tensors = model.graph.tensors
    graph = Graph(tensors, (node,), tuple(inputs.values()), node.outputs[:1], {})
    label = name or f"{model.name}_{node.symbol}_{node.output.index}"
    layer = Model(label, b"", graph, model.oracle)
    module = node_to_relax(node, done)
    built = build_functions(layer, module, graph, target.cpu, Interface.ARENA, {node.index: done})
    return emit(
        layer,
        passes.Optimized(graph),
        built.module,
        target,
        built.arrangement,
        built.kernels,
        Placement(),
    )


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
