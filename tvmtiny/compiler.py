"""The pipeline: schedule, lower, plan memory, generate."""

from __future__ import annotations

from tvm import tirx

from tvmtiny import memory
from tvmtiny.codegen.artifact import Artifact
from tvmtiny.codegen.emit import emit
from tvmtiny.codegen.lower import lower_kernel
from tvmtiny.codegen.program import memory_requests, read_program
from tvmtiny.frontend import Model
from tvmtiny.schedule import schedule_module
from tvmtiny.targets import Target, resolve


def compile(model: Model, target: Target | str) -> Artifact:
    """Generate C for `model`.

    Parameters
    ----------
    target
        A CPU or a board, or the name of one.

    Raises
    ------
    UnknownTargetError
        If there is no such CPU or board.
    """
    target = resolve(target) if isinstance(target, str) else target
    module, schedules = schedule_module(model.module, target)
    kernels = {
        variable.name_hint: lower_kernel(
            function,
            f"tvmtiny_{model.name}_{variable.name_hint}",
            schedules[variable.name_hint],
        )
        for variable, function in module.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    program = read_program(module)
    plan = memory.plan(memory_requests(program, kernels))
    return emit(model, module, target, program, kernels, plan)
