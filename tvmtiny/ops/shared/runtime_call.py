"""Outputs that a single function of the runtime computes, in place of loops over elements."""

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

#: Schedule of kernels without loops of their own.
RUNTIME_SCHEDULE = "function of the runtime"


@dataclass(frozen=True, eq=False)
class RuntimeCall:
    """A call of a function of the runtime.

    Attributes
    ----------
    function
        Name of the function. Its parameters are the addresses of the arguments, of the output and
        of the workspaces, and then the numbers.
    arguments
        Tensors and arrays that the function reads.
    numbers
        Integers that are passed to the function.
    headers
        Headers of the runtime; those that others include come first.
    workspaces
        Memory that only this call uses: number of elements, and dtype.
    in_place
        Positions of arguments that the output may overwrite, or start before.
    """

    function: str
    arguments: tuple[Tensor | np.ndarray, ...]
    numbers: tuple[int, ...]
    headers: tuple[str, ...]
    workspaces: tuple[tuple[int, str], ...] = ()
    in_place: tuple[int, ...] = ()


def call_function(
    call: RuntimeCall, output: Tensor, operator: str, schedule: str = RUNTIME_SCHEDULE
) -> tirx.PrimFunc:
    """Make a function for the call; its last parameter is the output.

    Parameters
    ----------
    call
        The call.
    output
        The output.
    operator
        TFLite's name, for reports.
    schedule
        Description of the implementation, for reports.
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
