"""Check and window of pooling nodes."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.ops.shared.checks import check_activation, check_operands, check_symmetric
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.sliding_window import Window, check_window, window

#: How far the scales of input and output may differ: the bound of TFLite's pooling kernels.
_SCALE_TOLERANCE = 1e-6

_OPTIONS = ("padding", "stride_h", "stride_w", "filter_height", "filter_width")


def pool_window(node: Node) -> Window:
    """Geometry of a pooling node that passed `check_pool`."""
    return window(node, _kernel(node))


def check_pool(node: Node) -> Iterator[Problem]:
    """Yield everything that keeps a pooling node from being compiled."""
    odd = list(check_operands(node, 1, _OPTIONS))
    if odd:
        yield from odd
        return
    x, output = node.input(0), node.output
    yield from check_window(node, _kernel(node))
    yield from check_activation(node)
    if len(x.shape) == 4 == len(output.shape) and (x.shape[0], x.shape[3]) != (
        output.shape[0],
        output.shape[3],
    ):
        yield Problem(
            f"input {list(x.shape)} and output {list(output.shape)} differ in batch or channels",
            "equal batch size and channels",
        )
    if x.dtype == "int16":
        yield from check_symmetric(node)
    if (
        x.dtype in ("int8", "int16")
        and None not in (x.quantization, output.quantization)
        and (abs(x.scale - output.scale) > _SCALE_TOLERANCE or x.zero_point != output.zero_point)
    ):
        yield Problem(
            f"input (scale {x.scale:g}, zero point {x.zero_point}) and output (scale "
            f"{output.scale:g}, zero point {output.zero_point}) are quantized differently",
            "the same scale and zero point: pooling does not rescale",
        )


def _kernel(node: Node) -> tuple[int, int]:
    return int(node.options["filter_height"]), int(node.options["filter_width"])
