"""How a TIR function becomes fast on an instruction set."""

from __future__ import annotations

from tvm import IRModule, tirx

from tvmtiny.frontend.converter import OPERATOR_ATTR
from tvmtiny.schedule.scalar import schedule_scalar
from tvmtiny.targets import Target


def schedule_module(module: IRModule, target: Target) -> tuple[IRModule, dict[str, str]]:
    """Schedule every PrimFunc of `module` for `target`.

    Returns
    -------
    module, descriptions
        The descriptions are by function name.
    """
    descriptions = {}
    scheduled = IRModule(dict(module.functions.items()))
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc):
            operator = str(function.attrs[OPERATOR_ATTR])
            fast, description = schedule_scalar(function, operator, target.cpu)
            scheduled.update_func(variable, fast)
            descriptions[variable.name_hint] = description
    return scheduled, descriptions
