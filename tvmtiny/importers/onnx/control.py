"""Refuse those If and Loop operators that `tvmtiny.importers.onnx.inlining` cannot replace."""

from __future__ import annotations

from tvmtiny.importers.onnx.context import Context, RefusedError, handles
from tvmtiny.importers.onnx.graph import Op
from tvmtiny.importers.onnx.inlining import MOST_INLINED

#: Operators with bodies.
KINDS = ("If", "Loop", "Scan")


@handles("If")
def _if(ctx: Context, op: Op) -> None:
    raise RefusedError(
        "a condition that is computed when the model runs", "a constant, or Where of both results"
    )


@handles("Loop", "Scan")
def _loop(ctx: Context, op: Op) -> None:
    raise RefusedError(
        "a number of turns that is computed when the model runs, or too large a body",
        f"a Loop of a constant number of turns with at most {MOST_INLINED:,} operators together",
    )
