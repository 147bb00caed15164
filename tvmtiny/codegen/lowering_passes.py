"""The passes of TVM that lower scheduled functions.

They are TVM's pipeline without packed arguments, without the division into functions of host and
device, and without passes that have nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import tvm
from tvm import s_tir, tirx
from tvm_ffi import VisitInterrupt, structural_walk


@cache
def c_target() -> tvm.target.Target:
    """Return TVM's target for C."""
    return tvm.target.Target("c")


@cache
def _target_with_host() -> tvm.target.Target:
    return c_target().with_host(c_target())


@dataclass(frozen=True)
class _Kind:
    """What decides which passes a function needs.

    Attributes
    ----------
    scheduled
        Whether TVM scheduled the function, in blocks.
    allocating
        Whether it allocates buffers; if it was not scheduled, whether they can share memory.
    branches
        Whether a function that was not scheduled has branches.
    """

    scheduled: bool
    allocating: bool
    branches: bool


def run_passes(functions: Mapping[str, tirx.PrimFunc]) -> dict[str, tirx.PrimFunc]:
    """Lower functions, given by symbol, to plain loops over flat buffers."""
    kinds: dict[_Kind, dict[str, tirx.PrimFunc]] = {}
    for symbol, function in functions.items():
        named = function.with_attrs({"global_symbol": symbol, "target": _target_with_host()})
        kinds.setdefault(_kind(function), {})[symbol] = named
    lowered = {}
    for kind, members in kinds.items():
        module = _first_passes(kind)(tvm.IRModule(members))
        # Most functions have no branches to hoist; the pass takes long to find that out.
        branched = kind.scheduled or kind.branches
        hoisted = {s: module[s] for s in members if branched and _has_branches(module[s])}
        if hoisted:
            others = {s: module[s] for s in members if s not in hoisted}
            module = s_tir.transform.HoistIfThenElse()(tvm.IRModule(hoisted))
            module = tvm.IRModule({**others, **{s: module[s] for s in hoisted}})
        module = _last_passes(kind.scheduled)(module)
        lowered.update({symbol: module[symbol] for symbol in members})
    return {symbol: lowered[symbol] for symbol in functions}


def _kind(function: tirx.PrimFunc) -> _Kind:
    body = function.body
    if isinstance(body, s_tir.SBlockRealize):
        # Schedules allocate all buffers in the outermost block.
        return _Kind(True, len(body.block.alloc_buffers) > 0, False)
    statements = body.seq if isinstance(body, tirx.SeqStmt) else ()
    allocations = sum(isinstance(statement, tirx.AllocBuffer) for statement in statements)
    return _Kind(False, allocations > 1, _has_branches(function))


def _first_passes(kind: _Kind) -> tvm.ir.transform.Pass:
    if kind.scheduled:
        return _passes_for_blocks(kind.allocating)
    return _passes_for_loops(kind.branches, kind.allocating)


@cache
def _passes_for_blocks(allocating: bool) -> tvm.ir.transform.Pass:
    """Return the passes before branches are hoisted, for functions that TVM scheduled in blocks.

    Parameters
    ----------
    allocating
        Whether blocks allocate buffers.
    """
    s, t = s_tir.transform, tirx.transform
    return tvm.transform.Sequential(
        [
            s.CanonicalizeLoop(),
            s.LowerInitBlock(),
            *((s.PlanAndUpdateBufferAllocationLocation(),) if allocating else ()),
            s.ConvertBlocksToOpaque(),
            *((s.CompactBufferAllocation(),) if allocating else ()),
            s.LowerMatchBuffer(),
            t.StmtSimplify(),
            s.LowerOpaqueBlock(),
            t.FlattenBuffer(),
            t.NarrowDataType(32),
            s.LoopPartition(),
            t.VectorizeLoop(True),
            t.StorageRewrite(),
        ]
    )


@cache
def _passes_for_loops(branches: bool, sharing: bool) -> tvm.ir.transform.Pass:
    """Return the passes before branches are hoisted, for functions that were written as loops.

    The loops start at 0 and have constant extents and 32-bit variables, and buffers have one
    dimension. Such buffers are not compacted: that would shrink them to the elements whose
    addresses are passed to micro-kernels.

    Parameters
    ----------
    branches
        Whether there are branches; their conditions have to be simple to be hoisted.
    sharing
        Whether several buffers are allocated, which can share memory.
    """
    s, t = s_tir.transform, tirx.transform
    return tvm.transform.Sequential(
        [
            *((t.StmtSimplify(),) if branches else ()),
            s.LowerOpaqueBlock(),
            *((t.StorageRewrite(),) if sharing else ()),
        ]
    )


@cache
def _last_passes(scheduled: bool) -> tvm.ir.transform.Pass:
    """Return the passes after branches are hoisted.

    Parameters
    ----------
    scheduled
        Whether TVM scheduled the function; only then do indices stem from splits of loops.
    """
    s, t = s_tir.transform, tirx.transform
    return tvm.transform.Sequential(
        [
            t.UnrollLoop(),
            *((s.RenormalizeSplitPattern(),) if scheduled else ()),
            t.StmtSimplify(),
            s.RewriteUnsafeSelect(),
            t.CommonSubexprElim(),
        ]
    )


def _has_branches(function: tirx.PrimFunc) -> bool:
    return structural_walk(function, (tirx.IfThenElse, VisitInterrupt), order="pre") is not None
