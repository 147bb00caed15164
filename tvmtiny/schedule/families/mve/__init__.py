"""Schedules around the micro-kernels for Helium, the vectors of Cortex-M55 and M85 (MVE)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.clamping import ClampKernel
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.families.mve.choice import CHOICES, choice_sketches, implement_choice
from tvmtiny.schedule.families.mve.depthwise import implement_depthwise
from tvmtiny.schedule.families.mve.depthwise_plan import depthwise_sketches, smaller_depthwise
from tvmtiny.schedule.families.mve.dequantize import dequantize_sketches, implement_dequantize
from tvmtiny.schedule.families.mve.elementwise import (
    elementwise_sketches,
    implement_add,
    implement_mul,
    implement_prelu,
    implement_squared_difference,
)
from tvmtiny.schedule.families.mve.floats import FLOAT_OPERATORS, implement_float
from tvmtiny.schedule.families.mve.half import half_sketches, implement_half
from tvmtiny.schedule.families.mve.half_functions import (
    half_function_sketches,
    implement_half_function,
    is_half_function,
)
from tvmtiny.schedule.families.mve.lstm import implement_lstm, lstm_sketches
from tvmtiny.schedule.families.mve.matrix import (
    implement_convolution,
    implement_fully_connected,
    matrix_sketches,
    smaller_matrix,
)
from tvmtiny.schedule.families.mve.mel import implement_mel
from tvmtiny.schedule.families.mve.microfrontend import implement_microfrontend
from tvmtiny.schedule.families.mve.movement import (
    MOVEMENTS,
    implement_movement,
    movement_sketches,
)
from tvmtiny.schedule.families.mve.pool import (
    implement_average_pool,
    implement_max_pool,
    implement_mean,
    mean_sketches,
    pool_sketches,
)
from tvmtiny.schedule.families.mve.reduction import (
    REDUCTIONS,
    implement_reduction,
    reduction_sketches,
)
from tvmtiny.schedule.families.mve.resize import implement_resize, resize_sketches
from tvmtiny.schedule.families.mve.rows import (
    implement_normalization,
    implement_softmax,
    implement_table,
    is_table,
    normalization_sketches,
    softmax_sketches,
    table_sketches,
)
from tvmtiny.schedule.families.mve.svdf import implement_svdf, svdf_sketches
from tvmtiny.schedule.implementation import Decisions, Goal, Implementation, Sketch
from tvmtiny.targets import Cpu

_IMPLEMENT: dict[str, Callable[[Node, Oracle, Goal, Decisions | None], Implementation | None]] = {
    "ADD": implement_add,
    "AVERAGE_POOL_2D": implement_average_pool,
    "CONV_2D": implement_convolution,
    "DEPTHWISE_CONV_2D": implement_depthwise,
    "FULLY_CONNECTED": implement_fully_connected,
    "L2_NORMALIZATION": implement_normalization,
    "MAX_POOL_2D": implement_max_pool,
    "MEAN": implement_mean,
    "MUL": implement_mul,
    "PRELU": implement_prelu,
    "RESIZE_BILINEAR": implement_resize,
    "SOFTMAX": implement_softmax,
    "SQUARED_DIFFERENCE": implement_squared_difference,
    "SUB": implement_add,
    "SVDF": implement_svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": implement_lstm,
}

#: Operators that also have kernels for int16.
_INT16 = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "MAX_POOL_2D",
        "MUL",
        "PRELU",
        "RESIZE_BILINEAR",
        "SQUARED_DIFFERENCE",
        "SUB",
    }
)

_SMALLER: dict[str, Callable[[Node, Decisions], Iterator[Decisions]]] = {
    "CONV_2D": smaller_matrix,
    "DEPTHWISE_CONV_2D": smaller_depthwise,
}

_SKETCHES: dict[str, Callable[[Node], tuple[Sketch, ...]]] = {
    "ADD": elementwise_sketches,
    "AVERAGE_POOL_2D": pool_sketches,
    "CONV_2D": matrix_sketches,
    "DEPTHWISE_CONV_2D": depthwise_sketches,
    "FULLY_CONNECTED": matrix_sketches,
    "L2_NORMALIZATION": normalization_sketches,
    "MAX_POOL_2D": pool_sketches,
    "MEAN": mean_sketches,
    "MUL": elementwise_sketches,
    "PRELU": elementwise_sketches,
    "RESIZE_BILINEAR": resize_sketches,
    "SOFTMAX": softmax_sketches,
    "SQUARED_DIFFERENCE": elementwise_sketches,
    "SUB": elementwise_sketches,
    "SVDF": svdf_sketches,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm_sketches,
}


class Mve(KernelFamily):
    """int8 layers around VMLADAVA, float32 layers around VFMA."""

    name = "mve"
    features = frozenset({"mve"})
    priority = 20
    lanes = 16
    sketch_names = frozenset(
        {
            "mve_choice",
            "mve_dequantize",
            "mve_pixels",
            "mve_rows",
            "mve_strip",
            "mve_patches",
            "mve_sparse_patches",
            "mve_sparse_pixels",
            "mve_sparse_rows",
            "mve_sparse_strip",
            "mve_windows",
            "mve_vectors",
            "mve_move",
            "mve_normalize",
            "mve_pool",
            "mve_reduce",
            "mve_resize",
            "mve_half",
            "mve_half_function",
            "mve_lstm",
            "mve_softmax",
            "mve_svdf",
            "mve_table",
        }
    )
    clamp = ClampKernel("tvmtiny_mve_clamp_bytes", ("tvmtiny_mve.h", "tvmtiny_mve_clamp.h"), 0.4)

    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        if _is_float(node, cpu):
            made = implement_float(node, oracle, Goal.BALANCED)
            return () if made is None else (Sketch("mve_float"),)
        if node.operator == "DEQUANTIZE":
            return dequantize_sketches(node) if "mvef" in cpu.features else ()
        if node.operator in CHOICES:
            return choice_sketches(node)
        if _is_reduction(node):
            return reduction_sketches(node)
        if node.operator in MOVEMENTS:
            return movement_sketches(node, oracle)
        if is_half_function(node):
            return half_function_sketches(node)
        if not _has_kernel(node):
            return half_sketches(node, oracle) if _is_half(node) else ()
        find = _SKETCHES.get(node.operator)
        if find is None and is_table(node):
            return table_sketches(node)
        return () if find is None else find(node)

    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        if node.operator == "MICROFRONTEND":
            return implement_microfrontend(node, oracle, goal, decisions)
        if node.operator == "MEL_FEATURES":
            return implement_mel(node, oracle, goal, decisions)
        if _is_float(node, cpu):
            return implement_float(node, oracle, goal, decisions)
        if _is_half(node):
            return implement_half(node, oracle, goal, decisions)
        if node.operator == "DEQUANTIZE":
            with_floats = "mvef" in cpu.features
            return implement_dequantize(node, oracle, goal, decisions) if with_floats else None
        if node.operator in CHOICES:
            return implement_choice(node, oracle, goal, decisions)
        if _is_reduction(node):
            return implement_reduction(node, oracle, goal, decisions)
        if node.operator in MOVEMENTS:
            return implement_movement(node, oracle, goal, decisions)
        if is_half_function(node):
            return implement_half_function(node, oracle, goal, decisions)
        if not _has_kernel(node):
            return None
        implement = _IMPLEMENT.get(node.operator)
        if implement is None and is_table(node):
            implement = implement_table
        return None if implement is None else implement(node, oracle, goal, decisions)

    def smaller(self, node: Node, decisions: Decisions) -> Iterator[Decisions]:
        find = _SMALLER.get(node.operator)
        return iter(()) if find is None else find(node, decisions)


def _is_float(node: Node, cpu: Cpu) -> bool:
    """Whether a node is in float32 and the CPU has vectors of floats."""
    same = node.operator in FLOAT_OPERATORS and "mvef" in cpu.features
    return same and node.input(0).dtype == node.output.dtype == "float32"


def _is_reduction(node: Node) -> bool:
    """Whether a node is a reduction but not a pool."""
    return node.operator in REDUCTIONS and not (node.operator == "MEAN" and mean_sketches(node))


def _is_half(node: Node) -> bool:
    """Whether a node is a layer with weights and int16 activations."""
    weighted = node.operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return weighted and node.input(0).dtype == node.output.dtype == "int16"


def _has_kernel(node: Node) -> bool:
    """Whether a kernel for the operator of a node supports its dtypes."""
    if not node.inputs or node.inputs[0] is None:
        return False
    dtypes = {node.input(0).dtype, node.output.dtype}
    return dtypes == {"int8"} or (dtypes == {"int16"} and node.operator in _INT16)


FAMILY = Mve()
