"""Outputs that one function of the runtime computes, where loops over elements do not do."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.node import Tensor
from tvmtiny.ops.shared.primfunc_attributes import (
    HEADERS_ATTR,
    OPERATOR_ATTR,
    OVERLAPS_ATTR,
    SCHEDULE_ATTR,
)


@dataclass(frozen=True, eq=False)
class RuntimeCall:
    """One call.

    Attributes
    ----------
    function
        Its parameters are the addresses of the arguments, that of the output, those of the
        workspaces, and the numbers.
    headers
        Of the runtime, those that others include first.
    workspaces
        Memory that only this call needs: how many elements, and of what dtype.
    in_place
        Positions of arguments where the output may lie, or begin in front of them.
    """

    function: str
    arguments: tuple[Tensor | np.ndarray, ...]
    numbers: tuple[int, ...]
    headers: tuple[str, ...]
    workspaces: tuple[tuple[int, str], ...] = ()
    in_place: tuple[int, ...] = ()


def call_function(
    call: RuntimeCall, output: Tensor, operator: str, schedule: str = "function of the runtime"
) -> tirx.PrimFunc:
    """The call as a function; its last parameter is the output.

    Parameters
    ----------
    operator
        TFLite's name, for reports.
    schedule
        What computes it, for reports.
    """
    parameters = [
        tirx.decl_buffer(
            (max(1, a.size if isinstance(a, np.ndarray) else a.elements),),
            str(a.dtype),
            name=f"x{i}",
        )
        for i, a in enumerate(call.arguments)
    ]
    parameters.append(tirx.decl_buffer((output.elements,), output.dtype, name="out"))
    workspaces = [
        tirx.decl_buffer((elements,), dtype, name=f"workspace{i}")
        for i, (elements, dtype) in enumerate(call.workspaces)
    ]
    addresses = [tirx.address_of(buffer[0]) for buffer in (*parameters, *workspaces)]
    body: tirx.Stmt = tirx.Evaluate(
        tirx.call_extern("void", call.function, *addresses, *call.numbers)
    )
    if workspaces:
        body = tirx.SeqStmt([*(tirx.AllocBuffer(buffer) for buffer in workspaces), body])
    overlaps = [{"written": "out", "read": i, "before": 0} for i in call.in_place]
    return tirx.PrimFunc(parameters, body).with_attrs(
        {
            OVERLAPS_ATTR: json.dumps(overlaps),
            OPERATOR_ATTR: operator,
            SCHEDULE_ATTR: schedule,
            HEADERS_ATTR: " ".join(call.headers),
            "tirx.noalias": True,
        }
    )
