"""Schedules around the micro-kernels for RISC-V vectors (RVV 1.0) of at least 128 bits."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from tvmtiny.ops import Node
from tvmtiny.schedule.clamping import ClampKernel
from tvmtiny.schedule.families.int8 import Int8Family, Kernels
from tvmtiny.schedule.families.rvv.depthwise import (
    depthwise_sketches,
    implement_depthwise,
    smaller_depthwise,
)
from tvmtiny.schedule.families.rvv.elementwise import (
    elementwise_sketches,
    implement_add,
    implement_mul,
)
from tvmtiny.schedule.families.rvv.matrix import (
    implement_matrix,
    matrix_sketches,
    smaller_matrix,
)
from tvmtiny.schedule.families.rvv.pool import (
    implement_average_pool,
    implement_max_pool,
    pool_sketches,
)
from tvmtiny.schedule.implementation import Decisions


def _no_smaller(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    return iter(())


_ADD = Kernels(elementwise_sketches, implement_add, _no_smaller)
_MATRIX = Kernels(matrix_sketches, implement_matrix, smaller_matrix)
_DEPTHWISE = Kernels(depthwise_sketches, implement_depthwise, smaller_depthwise)


class Rvv(Int8Family):
    """int8 layers with channels as lanes."""

    name = "rvv"
    features = frozenset({"rvv"})
    priority = 20
    sketch_names = frozenset(
        {
            "rvv_direct",
            "rvv_elements",
            "rvv_pixels",
            "rvv_pool",
            "rvv_row_windows",
            "rvv_sparse_direct",
            "rvv_sparse_pairs",
            "rvv_sparse_pixels",
            "rvv_sparse_strip",
            "rvv_strip",
            "rvv_strip_windows",
        }
    )
    clamp = ClampKernel("tvmtiny_rvv_clamp_bytes", ("tvmtiny_rvv.h", "tvmtiny_rvv_clamp.h"), 0.1)
    kernels = MappingProxyType(
        {
            "ADD": _ADD,
            "AVERAGE_POOL_2D": Kernels(pool_sketches, implement_average_pool, _no_smaller),
            "CONV_2D": _MATRIX,
            "DEPTHWISE_CONV_2D": _DEPTHWISE,
            "FULLY_CONNECTED": _MATRIX,
            "MAX_POOL_2D": Kernels(pool_sketches, implement_max_pool, _no_smaller),
            "MUL": Kernels(elementwise_sketches, implement_mul, _no_smaller),
            "SUB": _ADD,
        }
    )


FAMILY = Rvv()
