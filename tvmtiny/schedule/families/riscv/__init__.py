"""Schedules around the micro-kernels for RISC-V with multiplication (RV32IM)."""

from __future__ import annotations

from types import MappingProxyType

from tvmtiny.schedule.clamping import PORTABLE
from tvmtiny.schedule.families.int8 import Int8Family, Kernels
from tvmtiny.schedule.families.riscv.convolution import (
    convolution_sketches,
    implement_convolution,
    smaller_convolution,
)
from tvmtiny.schedule.families.riscv.depthwise import (
    depthwise_sketches,
    implement_depthwise,
    smaller_depthwise,
)

_MATRIX = Kernels(convolution_sketches, implement_convolution, smaller_convolution)
_DEPTHWISE = Kernels(depthwise_sketches, implement_depthwise, smaller_depthwise)


class RiscV(Int8Family):
    """int8 layers with 32-bit multiplications, some of which give two products."""

    name = "riscv"
    features = frozenset({"rv32m"})
    priority = 8
    sketch_names = frozenset(
        {
            "riscv_3x3",
            "riscv_bytes",
            "riscv_filter",
            "riscv_pairs",
            "riscv_sparse",
            "riscv_sparse_single",
            "riscv_words",
        }
    )
    clamp = PORTABLE
    kernels = MappingProxyType(
        {"CONV_2D": _MATRIX, "DEPTHWISE_CONV_2D": _DEPTHWISE, "FULLY_CONNECTED": _MATRIX}
    )


FAMILY = RiscV()
