"""The passes of TVM that lower a scheduled function.

They are TVM's pipeline without packed arguments, without the division into functions of host and
device, and without passes that have nothing to do.
"""

from __future__ import annotations

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


def run_passes(function: tirx.PrimFunc, symbol: str) -> tirx.PrimFunc:
    """Lower a function to plain loops over flat buffers, and call it `symbol`."""
    named = function.with_attrs({"global_symbol": symbol, "target": _target_with_host()})
    module = tvm.IRModule({symbol: named})
    scheduled = isinstance(function.body, s_tir.SBlockRealize)
    if scheduled:
        # Schedules allocate all buffers in the outermost block.
        module = _passes_for_blocks(len(function.body.block.alloc_buffers) > 0)(module)
        branches = _has_branches(module[symbol])
    else:
        branches = _has_branches(function)
        module = _passes_for_loops(branches, _allocations(function) > 1)(module)
    # Most functions have no branches that could be hoisted; the pass takes long to find that out.
    if branches:
        module = s_tir.transform.HoistIfThenElse()(module)
    return _last_passes(scheduled)(module)[symbol]


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


def _allocations(function: tirx.PrimFunc) -> int:
    statements = function.body.seq if isinstance(function.body, tirx.SeqStmt) else ()
    return sum(isinstance(statement, tirx.AllocBuffer) for statement in statements)
