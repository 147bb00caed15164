"""Schedules around the micro-kernels for the DSP extension (Armv7E-M, Armv8-M)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.clamping import ClampKernel
from tvmtiny.schedule.families.dsp.add import add_sketches, implement_add
from tvmtiny.schedule.families.dsp.binary import binary_sketches, implement_binary
from tvmtiny.schedule.families.dsp.convolution import (
    convolution_sketches,
    implement_convolution,
    implement_fully_connected,
    implement_multiplied,
    smaller_convolution,
)
from tvmtiny.schedule.families.dsp.depthwise import (
    depthwise_sketches,
    implement_depthwise,
    smaller_depthwise,
)
from tvmtiny.schedule.families.dsp.depthwise_spread import implement_spread, is_spread
from tvmtiny.schedule.families.dsp.half import half_sketches, implement_half
from tvmtiny.schedule.families.dsp.lstm import implement_lstm
from tvmtiny.schedule.families.dsp.mel import implement_mel
from tvmtiny.schedule.families.dsp.microfrontend import implement_microfrontend
from tvmtiny.schedule.families.dsp.pool import (
    implement_average_pool,
    implement_max_pool,
    implement_mean,
    pool_sketches,
)
from tvmtiny.schedule.families.dsp.product import (
    implement_product,
    product_sketches,
    smaller_product,
)
from tvmtiny.schedule.families.dsp.svdf import implement_svdf
from tvmtiny.schedule.families.dsp.transpose import implement_transpose
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.schedule.matrix_layer import as_convolution, is_multiplied
from tvmtiny.targets import Cpu


def _implement_depthwise(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    """Implement one filter per input channel, or several filters as a convolution in groups."""
    if is_multiplied(node):
        return implement_multiplied(node, oracle, goal, decisions)
    if is_spread(node):
        return implement_spread(node, oracle, goal, decisions)
    return implement_depthwise(node, oracle, goal, decisions)


def _smaller_depthwise(node: Node, decisions: Decisions) -> Iterator[Decisions]:
    if is_multiplied(node):
        return smaller_convolution(as_convolution(node), decisions)
    if is_spread(node):
        return iter(())
    return smaller_depthwise(node, decisions)


def _depthwise_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    if is_multiplied(node):
        return convolution_sketches(as_convolution(node), oracle)
    if is_spread(node):
        return ()
    return depthwise_sketches(node, oracle)


def _broadcasts(node: Node) -> bool:
    return any(node.input(i).shape != node.output.shape for i in range(2))


def _implement_sum(
    node: Node, oracle: Oracle, goal: Goal, decisions: Decisions | None = None
) -> Implementation | None:
    implement = implement_binary if _broadcasts(node) else implement_add
    return implement(node, oracle, goal, decisions)


def _sum_sketches(node: Node, oracle: Oracle) -> tuple[Sketch, ...]:
    return (binary_sketches if _broadcasts(node) else add_sketches)(node, oracle)


_IMPLEMENT: dict[str, Callable[[Node, Oracle, Goal, Decisions | None], Implementation | None]] = {
    "ADD": _implement_sum,
    "AVERAGE_POOL_2D": implement_average_pool,
    "BATCH_MATMUL": implement_product,
    "CONV_2D": implement_convolution,
    "DEPTHWISE_CONV_2D": _implement_depthwise,
    "MAXIMUM": implement_binary,
    "MAX_POOL_2D": implement_max_pool,
    "MINIMUM": implement_binary,
    "MUL": implement_binary,
    "MEAN": implement_mean,
    "FULLY_CONNECTED": implement_fully_connected,
    "SUB": _implement_sum,
    "SVDF": implement_svdf,
    "TRANSPOSE_CONV": implement_transpose,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": implement_lstm,
}

#: Operators that have kernels for int16 activations.
_HALF = ("CONV_2D", "FULLY_CONNECTED")

_SMALLER: dict[str, Callable[[Node, Decisions], Iterator[Decisions]]] = {
    "BATCH_MATMUL": smaller_product,
    "CONV_2D": smaller_convolution,
    "DEPTHWISE_CONV_2D": _smaller_depthwise,
    "FULLY_CONNECTED": smaller_convolution,
}

_SKETCHES: dict[str, Callable[[Node, Oracle], tuple[Sketch, ...]]] = {
    "ADD": _sum_sketches,
    "AVERAGE_POOL_2D": pool_sketches,
    "BATCH_MATMUL": product_sketches,
    "CONV_2D": convolution_sketches,
    "DEPTHWISE_CONV_2D": _depthwise_sketches,
    "FULLY_CONNECTED": convolution_sketches,
    "MAXIMUM": binary_sketches,
    "MAX_POOL_2D": pool_sketches,
    "MINIMUM": binary_sketches,
    "MUL": binary_sketches,
    "SUB": _sum_sketches,
}


class Dsp(KernelFamily):
    """int8 and some int16 layers around SMLAD and similar instructions."""

    name = "dsp"
    features = frozenset({"dsp"})
    priority = 10
    lanes = 4
    replaces = frozenset({"thumb"})
    sketch_names = frozenset(
        {
            "3x3",
            "any",
            "binary",
            "block",
            "column",
            "dense",
            "direct",
            "half",
            "lstm",
            "patches",
            "phases",
            "product",
            "sparse",
            "spread",
            "sums",
            "sums_direct",
            "svdf",
            "windows",
            "winograd",
            "words",
        }
    )
    clamp = ClampKernel("tvmtiny_dsp_clamp_bytes", ("tvmtiny_dsp.h", "tvmtiny_dsp_clamp.h"), 1.4)

    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        if _is_half(node):
            return half_sketches(node, oracle)
        find = _SKETCHES.get(node.operator)
        return find(node, oracle) if find is not None and _is_int8(node) else ()

    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        if _is_half(node):
            return implement_half(node, oracle, goal, decisions)
        if node.operator == "MICROFRONTEND":
            return implement_microfrontend(node, oracle, goal, decisions)
        if node.operator == "MEL_FEATURES":
            return implement_mel(node, oracle, goal, decisions)
        implement = _IMPLEMENT.get(node.operator)
        if implement is None or not _is_int8(node):
            return None
        return implement(node, oracle, goal, decisions)

    def smaller(self, node: Node, decisions: Decisions) -> Iterator[Decisions]:
        find = None if _is_half(node) else _SMALLER.get(node.operator)
        return iter(()) if find is None else find(node, decisions)


def _is_int8(node: Node) -> bool:
    # The first input of a TRANSPOSE_CONV is the shape of its output.
    x = node.input(2 if node.operator == "TRANSPOSE_CONV" else 0)
    return x.dtype == "int8" and node.output.dtype == "int8"


def _is_half(node: Node) -> bool:
    dtypes = {node.input(0).dtype, node.output.dtype}
    return node.operator in _HALF and dtypes == {"int16"}


FAMILY = Dsp()
