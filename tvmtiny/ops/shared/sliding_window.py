"""The window that a convolution or pooling slides over an image: geometry, checks, padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.expressions import Expression, constant
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Problem


@dataclass(frozen=True)
class Window:
    """A sliding window along height and width; all pairs are ``(height, width)``.

    Attributes
    ----------
    pad
        Rows above and columns to the left of the input that windows cover.
    pad_after
        Rows below and columns to the right of the input that windows cover.
    """

    input: tuple[int, int]
    output: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]
    pad_after: tuple[int, int]

    @property
    def padded(self) -> bool:
        """Whether any window reaches outside the input."""
        return any(self.pad + self.pad_after)

    @property
    def trivial(self) -> bool:
        """Whether each output position reads exactly the input at the same position."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and not self.padded

    @property
    def flat(self) -> bool:
        """Whether each patch is one run of inputs that directly follows the previous patch."""
        whole = self.kernel == self.input and self.dilation == (1, 1) and not self.padded
        return self.trivial or whole


def window(node: Node, kernel: tuple[int, int]) -> Window:
    """Return the geometry of a convolution or pooling (LiteRT ``ComputePaddingHeightWidth``).

    Graph passes set the option `explicit_padding`, which replaces `padding`: rows and columns
    ``(top, bottom, left, right)`` around the input.

    Parameters
    ----------
    node
        The convolution or pooling.
    kernel
        Height and width of the filter.
    """
    options = node.options
    size = node.input(0).shape[1:3]
    stride = (int(options["stride_h"]), int(options["stride_w"]))
    dilation = (
        int(options.get("dilation_h_factor", 1)),
        int(options.get("dilation_w_factor", 1)),
    )
    output, pad, after = [], [], []
    explicit = options.get("explicit_padding")
    top, bottom, left, right = explicit or (0, 0, 0, 0)
    for extent, taps, step, spread, sides in zip(
        size, kernel, stride, dilation, ((top, bottom), (left, right)), strict=True
    ):
        reach = (taps - 1) * spread + 1
        if explicit is not None:
            count = (extent + sum(sides) - reach + step) // step
            before = sides[0]
        elif options["padding"] == "SAME":
            count = -(-extent // step)
            before = max(0, (count - 1) * step + reach - extent) // 2
        else:
            count, before = (extent - reach + step) // step, 0
        output.append(count)
        pad.append(before)
        after.append(max(0, (count - 1) * step + reach - extent - before))
    return Window(
        (size[0], size[1]),
        (output[0], output[1]),
        kernel,
        stride,
        dilation,
        (pad[0], pad[1]),
        (after[0], after[1]),
    )


def whole_height(node: Node) -> int:
    """Return the rows of the whole layer's output, even if the node only makes some of them.

    Nodes for some rows have the option `whole_height`.
    """
    return int(node.options.get("whole_height", node.output.shape[1]))


def check_window(node: Node, kernel: tuple[int, int]) -> Iterator[Problem]:
    """Yield problems with the geometry of a convolution or pooling node."""
    if len(node.input(0).shape) != 4 or len(node.output.shape) != 4:
        yield Problem("input and output must have four dimensions", "NHWC tensors")
        return
    options = node.options
    steps = [options["stride_h"], options["stride_w"]]
    steps += [options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)]
    if min(steps) < 1 or min(kernel) < 1:
        yield Problem("stride, dilation or filter size below 1", "positive numbers")
        return
    if options["padding"] not in ("SAME", "VALID"):
        yield Problem(f"padding {options['padding']}", "SAME or VALID")
        return
    expected = window(node, kernel).output
    if min(expected) < 1 or tuple(node.output.shape[1:3]) != expected:
        yield Problem(
            f"the output is {node.output.shape[1]}x{node.output.shape[2]}, but input, filter, "
            f"stride and padding give {expected[0]}x{expected[1]}",
            "an output of the size that the options imply",
        )


def pad_stage(x: te.Tensor, geometry: Window, value: Tensor | int | float) -> te.Tensor:
    """Make stage ``pad``, the input with its border; without a border, return the input.

    Parameters
    ----------
    x
        An NHWC tensor.
    geometry
        The window.
    value
        Value of the border; a tensor stands for its zero point (0 for a float tensor).
    """
    if not geometry.padded:
        return x
    if isinstance(value, Tensor):
        value = 0.0 if x.dtype == "float32" else value.zero_point
    batch, height, width, channels = (int(d) for d in x.shape)
    (top, left), (bottom, right) = geometry.pad, geometry.pad_after

    def staged(n: tirx.Var, y: tirx.Var, z: tirx.Var, c: tirx.Var) -> Expression:
        inside = []
        if top:
            inside.append(y >= top)
        if bottom:
            inside.append(y < top + height)
        if left:
            inside.append(z >= left)
        if right:
            inside.append(z < left + width)
        return tirx.if_then_else(
            tirx.all(*inside), x[n, y - top, z - left, c], constant(value, x.dtype)
        )

    shape = (batch, height + top + bottom, width + left + right, channels)
    return te.compute(shape, staged, name="pad")


def pad_reference(x: np.ndarray, geometry: Window, value: int | float) -> np.ndarray:
    """Apply the border of `pad_stage` in numpy."""
    (top, left), (bottom, right) = geometry.pad, geometry.pad_after
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def patch(x: np.ndarray, geometry: Window, ky: int, kx: int) -> np.ndarray:
    """Return the padded input as read by tap ``(ky, kx)`` of every output position."""
    top, left = ky * geometry.dilation[0], kx * geometry.dilation[1]
    rows, columns = geometry.output
    sy, sx = geometry.stride
    return x[:, top : top + (rows - 1) * sy + 1 : sy, left : left + (columns - 1) * sx + 1 : sx]
