"""The pipeline: schedule, lower, plan memory, generate."""

from __future__ import annotations

from tvm import tirx

from tvmtiny import memory, passes
from tvmtiny.codegen.artifact import Artifact
from tvmtiny.codegen.emit import emit
from tvmtiny.codegen.lower import lower_kernel
from tvmtiny.codegen.program import memory_requests, read_program
from tvmtiny.frontend import Model
from tvmtiny.frontend.converter import to_relax
from tvmtiny.schedule import Goal, implementer, parse_goal, schedule_module
from tvmtiny.targets import Target, resolve


def compile(
    model: Model,
    target: Target | str,
    *,
    optimize: Goal | str = Goal.BALANCED,
    flash_budget: int | None = None,
    dead_channels: bool = True,
) -> Artifact:
    """Generate C for `model`.

    Parameters
    ----------
    target
        A CPU or a board, or the name of one.
    optimize
        What schedules prefer: ``balanced`` keeps weights as small as in the model, ``speed`` may
        widen them, ``size`` prefers short code.
    flash_budget
        With ``speed``: the most bytes of constants; weights are widened where that saves most per
        byte, as long as all constants fit.
    dead_channels
        Remove channels that are constant or that nothing depends on. Results are the same.

    Raises
    ------
    UnknownTargetError
        If there is no such CPU or board.
    InputError
        If `optimize` is none of the above.
    """
    target = resolve(target) if isinstance(target, str) else target
    goal = parse_goal(optimize)
    optimized = passes.optimize(model.graph, model.oracle, passes.Options(dead_channels))
    module = to_relax(
        model.content,
        optimized.graph,
        model.oracle,
        implementer(optimized.graph.nodes, target.cpu, model.oracle, goal, flash_budget),
    )
    module = schedule_module(module, target.cpu)
    kernels = {
        variable.name_hint: lower_kernel(function, f"tvmtiny_{model.name}_{variable.name_hint}")
        for variable, function in module.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    program = read_program(module)
    plan = memory.plan(memory_requests(program, kernels))
    return emit(model, optimized, module, target, program, kernels, plan)
