"""Schedules around the micro-kernels for Arm cores without the DSP extension (Cortex-M0, M3)."""

from __future__ import annotations

from types import MappingProxyType

from tvmtiny.schedule.clamping import PORTABLE
from tvmtiny.schedule.families.int8 import Int8Family, Kernels
from tvmtiny.schedule.families.thumb.convolution import (
    convolution_sketches,
    implement_convolution,
    smaller_convolution,
)
from tvmtiny.schedule.families.thumb.depthwise import (
    depthwise_sketches,
    implement_depthwise,
    smaller_depthwise,
)
from tvmtiny.targets import Cpu

_MATRIX = Kernels(convolution_sketches, implement_convolution, smaller_convolution)
_DEPTHWISE = Kernels(depthwise_sketches, implement_depthwise, smaller_depthwise)


class Thumb(Int8Family):
    """int8 layers with 32-bit multiplications, some of which give two products."""

    name = "thumb"
    priority = 5
    sketch_names = frozenset(
        {
            "mixed",
            "pairs",
            "plane",
            "plane3x3",
            "quads",
            "single",
            "sparse_pairs",
            "sparse_single",
            "whole",
        }
    )
    arena_worth = 2.0
    clamp = PORTABLE
    kernels = MappingProxyType(
        {"CONV_2D": _MATRIX, "DEPTHWISE_CONV_2D": _DEPTHWISE, "FULLY_CONNECTED": _MATRIX}
    )

    def runs_on(self, cpu: Cpu) -> bool:
        """Return whether `cpu` is an Arm core; elsewhere loops over expressions are faster in C."""
        return cpu.architecture == "arm"


FAMILY = Thumb()
