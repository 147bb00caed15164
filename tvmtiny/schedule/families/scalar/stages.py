"""The stages of tensor expressions, without a schedule, which takes long to open."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.s_tir import SBlock
from tvm_ffi import structural_equal


def stages_of(function: tirx.PrimFunc) -> list[SBlock]:
    """Return the blocks of a function from `te.create_prim_func`, one per stage."""
    body = function.body.block.body
    found = []
    for stage in body.seq if isinstance(body, tirx.SeqStmt) else [body]:
        while isinstance(stage, tirx.For):
            stage = stage.body
        found.append(stage.block)
    return found


def reduces(stage: SBlock) -> bool:
    """Return whether a stage accumulates its elements."""
    return any(v.iter_type == tirx.IterVar.CommReduce for v in stage.iter_vars)


def read_in_step(function: tirx.PrimFunc, stages: Sequence[SBlock]) -> list[int]:
    """Return the positions of parameters whose elements are read just before they are overwritten.

    This holds if a single stage computes the output, element by element, from the elements at the
    same place.
    """
    (*first, block) = stages
    if first or any(v.iter_type != tirx.IterVar.DataPar for v in block.iter_vars):
        return []
    (written,) = block.writes
    return [
        position
        for position, parameter in enumerate(function.params[:-1])
        for read in block.reads
        if read.source.name == parameter.name
        and str(read.source.dtype) == str(written.source.dtype)
        and structural_equal(read.source.shape, written.source.shape)
        and all(
            int(extent) == 1 or structural_equal(reads, writes)
            for extent, reads, writes in zip(
                written.source.shape, read.region, written.region, strict=True
            )
        )
    ]
