"""Checks, windows and sums of pooling nodes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tvm import tirx

from tvmtiny.ops.shared.checks import check_activation, check_operands, check_symmetric
from tvmtiny.ops.shared.expressions import int32
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Problem
from tvmtiny.ops.shared.sliding_window import Window, check_window, pad_reference, patch, window

#: Most that scales of input and output may differ: the limit of TFLite's pooling kernels.
_SCALE_TOLERANCE = 1e-6

_OPTIONS = ("padding", "stride_h", "stride_w", "filter_height", "filter_width")


def pool_window(node: Node) -> Window:
    """Return the geometry of a pooling node that passed `check_pool`."""
    return window(node, _kernel(node))


def check_pool(node: Node) -> Iterator[Problem]:
    """Yield all problems that keep a pooling node from being compiled."""
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


def taps_inside(geometry: Window, axis: int, position: tirx.Var) -> tirx.PrimExpr:
    """Return how many taps of the window at `position` lie inside the input, along one axis.

    The number is never 0: with SAME, the padding on either side is smaller than the window, and the
    last window starts inside the input.
    """
    taps, pad, after = geometry.kernel[axis], geometry.pad[axis], geometry.pad_after[axis]
    start = position * geometry.stride[axis] - pad
    first = tirx.max(start, int32(0)) if pad else start
    end = start + taps
    last = tirx.min(end, int32(geometry.input[axis])) if after else end
    return last - first if pad or after else int32(taps)


def window_sums(x: np.ndarray, geometry: Window) -> tuple[np.ndarray, np.ndarray]:
    """Sum the taps of each window that lie inside the input, and count them.

    Parameters
    ----------
    x
        An NHWC array.
    geometry
        The windows.

    Returns
    -------
    total, count
        Arrays of the dtype of `x`; `count` has one image and one channel.
    """
    padded = pad_reference(x, geometry, 0)
    ones = pad_reference(np.ones((1, *x.shape[1:3], 1), x.dtype), geometry, 0)
    total = np.zeros((x.shape[0], *geometry.output, x.shape[3]), x.dtype)
    count = np.zeros((1, *geometry.output, 1), x.dtype)
    for ky, kx in np.ndindex(geometry.kernel):
        total += patch(padded, geometry, ky, kx)
        count += patch(ones, geometry, ky, kx)
    return total, count


def _kernel(node: Node) -> tuple[int, int]:
    return int(node.options["filter_height"]), int(node.options["filter_width"])
