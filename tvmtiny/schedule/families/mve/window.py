"""The kernel of depthwise windows: patches by gathers, outputs by sums across vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from tvmtiny.schedule.families.mve.assembly import VECTOR, Lines, add, vqshrn
from tvmtiny.schedule.families.mve.packing import constant_vectors
from tvmtiny.schedule.scaling import Scaling

#: The reach of a gather of bytes.
REACH = 255

#: The reach of the immediate of a gather from addresses in a vector.
FAR = 508

#: Smaller planes can be on the stack, at odd addresses.
_ALIGNED_BYTES = 128

#: Number of outputs that are requantized and stored together.
LANES = 4

#: Registers of the sums of the lanes.
SUMS = ("r4", "r6", "r8", "r10")

#: Number of vectors of weights that stay in registers, and that a pointer can reach.
_KEPT, _MOST_WEIGHTS = 4, 31

Size = tuple[int, int]


@dataclass(frozen=True)
class WindowKernel:
    """The parameters of a layer's code; sizes are rows and columns.

    Attributes
    ----------
    outputs
        Outputs of a channel that one call computes.
    kernel, stride, dilation
        Size, stride and dilation of the window.
    pitch
        Bytes per row of a plane.
    plane
        Bytes from the plane of a channel to that of the next channel; 0 if they share one.
    plane_bytes
        Bytes of all planes.
    down, right
        Bytes from an output to the output below, and to the next output in its row.
    shift
        1 to 15.
    signed
        Whether positive and negative sums are rounded differently.
    unit
        Outputs that are requantized together: 4, or fewer if the layer has fewer.
    block
        Outputs that share a patch; their number divides that of the unit.
    paired
        Whether planes hold pairs of rows, column by column, so that a word has two columns of both
        rows. A gather of words takes a quarter of the cycles of a gather of bytes, and advances its
        addresses itself; see `tvmtiny.schedule.families.mve.paired_window`.
    """

    outputs: Size
    kernel: Size
    stride: Size
    dilation: Size
    pitch: int
    plane: int
    plane_bytes: int
    down: int
    right: int
    shift: int
    signed: bool
    unit: Size
    block: Size
    paired: bool

    @cached_property
    def patch(self) -> list[Size]:
        """Rows and columns that a block reads.

        Those of its first output come first, in the order of taps.
        """
        if self.paired:
            return self._words
        return self._rectangle if self.halves else self._read

    @cached_property
    def _read(self) -> list[Size]:
        taps = list(product(range(self.kernel[0]), range(self.kernel[1])))
        starts = product(range(self.block[0]), range(self.block[1]))
        found: dict[Size, None] = {}
        for y, x in starts:
            for ky, kx in taps:
                row = y * self.stride[0] + ky * self.dilation[0]
                found[row, x * self.stride[1] + kx * self.dilation[1]] = None
        return list(found)

    @property
    def _patch_size(self) -> Size:
        """Rows and columns of a patch, the columns rounded up to an even number."""
        rows, columns = (
            (block - 1) * stride + kernel
            for block, stride, kernel in zip(self.block, self.stride, self.kernel, strict=True)
        )
        return rows, columns + columns % 2

    @property
    def _rectangle(self) -> list[Size]:
        rows, columns = self._patch_size
        return list(product(range(rows), range(columns)))

    @property
    def _words(self) -> list[Size]:
        """The patch as words of two rows and two columns."""
        rows, columns = self._patch_size
        pairs = product(range(0, rows, 2), range(columns))
        return [(top + below, column) for top, column in pairs for below in range(2)]

    @cached_property
    def halves(self) -> bool:
        """Whether patches are gathered by halfwords, which takes half of the cycles.

        If so, each patch begins at an even address and has no additional vectors.
        """
        beside, step = self.outputs[1], self.stride[1]
        starts = [self.unit[1] * step] if beside > self.unit[1] else []
        starts += [beside % self.unit[1] * step, self.pitch, self.plane]
        starts += [self.block[1] * step] if self.block[1] < self.unit[1] else []
        vectors = -(-len(self._read) // VECTOR)
        return (
            self.dilation == (1, 1)
            and not self.paired
            and not any(start % 2 for start in starts)
            and self.plane_bytes > _ALIGNED_BYTES
            and len(self._rectangle) <= VECTOR * vectors
        )

    @property
    def taps_row(self) -> int:
        """Weights of an output from a row of its window to the next."""
        return self._patch_size[1] if self.halves or self.paired else self.kernel[1]

    @property
    def element(self) -> int:
        """Bytes per element of a gather."""
        return 4 if self.paired else 2 if self.halves else 1

    def place(self, row: int, column: int) -> int:
        """The offset of a byte in a plane."""
        if self.paired:
            return row // 2 * 2 * self.pitch + 2 * column + row % 2
        return row * self.pitch + column

    @property
    def offsets(self) -> list[int]:
        """Bytes of the elements of the patch from its corner."""
        return [self.place(*place) for place in self.patch[:: self.element]]

    @property
    def vectors(self) -> int:
        """Gathers of a patch."""
        return -(-len(self.patch) // VECTOR)

    @property
    def weight_vectors(self) -> int:
        """Vectors of weights of a channel."""
        return self.block[0] * self.block[1] * self.vectors

    @property
    def words(self) -> int:
        """Words of the stream for a channel."""
        return 3 + 2 * self.signed + 4 * self.weight_vectors

    @property
    def usable(self) -> bool:
        """Whether gathers reach all of a patch, and pointers all weights."""
        if self.paired:
            return self._can_pair
        near = self.halves or max(self.offsets) <= REACH
        return near and self.weight_vectors <= _MOST_WEIGHTS

    @property
    def _can_pair(self) -> bool:
        """Whether each patch is a vector of whole words, within reach of the one before."""
        even = all(
            block <= 2 and (block * stride % 2 == 0 or outputs == 1)
            for block, stride, outputs in zip(self.block, self.stride, self.outputs, strict=True)
        )
        far = 0
        if self.inner == 0 or self.unit[0] > self.block[0]:
            far = self.place(self.block[0] * self.stride[0], 0)
        near = self.vectors == 1 and far <= FAR
        return even and near and self.dilation == (1, 1) and self.plane_bytes > _ALIGNED_BYTES

    @property
    def inner(self) -> int:
        """The axis along which adjacent units are computed: the longer one, counted in units."""
        units = [n // u for n, u in zip(self.outputs, self.unit, strict=True)]
        return 0 if units[0] > units[1] else 1

    @cached_property
    def slim(self) -> WindowKernel | None:
        """The kernel of a last row or column of outputs, with units of 4 outputs along it.

        None if there is no such row or column, or if units with the other axis are as good.
        """
        outer = 1 - self.inner
        left = self.outputs[outer] % self.unit[outer]
        if not self.paired or self.unit != (2, 2) or not left or self.outputs[self.inner] <= 2:
            return None
        return replace(self, unit=(LANES, 1) if self.inner == 0 else (1, LANES))

    @property
    def _turns(self) -> int:
        """Number of units."""
        steps = [-(-n // u) for n, u in zip(self.outputs, self.unit, strict=True)]
        if self.slim is None:
            return prod(steps)
        outer = 1 - self.inner
        last = -(-self.outputs[self.inner] // LANES)
        return (steps[outer] - 1) * steps[self.inner] + last

    @property
    def unit_cost(self) -> int:
        """Instructions of a unit."""
        blocks = self.unit[0] * self.unit[1] // (self.block[0] * self.block[1])
        gathers = blocks * self.vectors * (1 if self.vectors == 1 else 2) + blocks - 1
        if self.paired:
            gathers = blocks - 1
        sums = self.unit[0] * self.unit[1] * self.vectors
        return gathers + sums * (1 if self.weight_vectors <= _KEPT else 2) + 9 + 3 * self.signed

    @property
    def cost(self) -> int:
        """Instructions of a channel, roughly."""
        steps = [-(-n // u) for n, u in zip(self.outputs, self.unit, strict=True)]
        return self._turns * self.unit_cost + 6 * min(steps) + 4 * self.weight_vectors

    @property
    def gathered(self) -> int:
        """Elements that gathers read for a channel; each may take a cycle."""
        blocks = prod(self.unit) // prod(self.block)
        return self._turns * blocks * self.vectors * VECTOR // self.element

    def identifier(self) -> str:
        """The parameters that are part of the kernel's name."""
        sizes: tuple[int, ...] = (
            *self.outputs,
            *self.kernel,
            *self.stride,
            *self.dilation,
            self.pitch,
            self.plane,
        )
        sizes += (self.down, self.right, *self.unit, *self.block, self.shift, self.element)
        return f"{'_'.join(map(str, sizes))}_{'signed' if self.signed else 'plain'}"


def pack_windows(
    taps: np.ndarray, gains: np.ndarray, scaling: Scaling, kernel: WindowKernel
) -> np.ndarray:
    """Constants and weights in the order of the header.

    Parameters
    ----------
    taps
        int8, ``(channels, height, width)``.
    gains
        The factor of the sums of each channel: ``(channels,)``.

    Returns
    -------
    np.ndarray
        int32, ``(channels, words)``.
    """
    channels = len(taps)
    index = {position: i for i, position in enumerate(kernel.patch)}
    weights = np.zeros((channels, *kernel.block, kernel.vectors * VECTOR), np.int8)
    for y, x in product(range(kernel.block[0]), range(kernel.block[1])):
        for ky, kx in product(range(kernel.kernel[0]), range(kernel.kernel[1])):
            row = y * kernel.stride[0] + ky * kernel.dilation[0]
            column = x * kernel.stride[1] + kx * kernel.dilation[1]
            weights[:, y, x, index[row, column]] = taps[:, ky, kx]
    initial, multiplier, *by_sign = constant_vectors(scaling)
    # VQDMULH doubles the product; one additional shift undoes this.
    constants = [initial, multiplier, gains, *(2 * vector for vector in by_sign)]
    words = np.ascontiguousarray(weights.reshape(channels, -1)).view("<i4")
    return np.concatenate([np.stack(constants, axis=1).astype(np.int32), words], axis=1)


def requantized(kernel: WindowKernel, sums: Sequence[str]) -> Lines:
    """Four sums as int8 in q7; initial accumulator r1, gain q5, multiplier r3."""
    lines = [
        f"vmov q7[2], q7[0], {sums[0]}, {sums[2]}",
        f"vmov q7[3], q7[1], {sums[1]}, {sums[3]}",
        "vmlas.s32 q7, q5, r1",
        "vqdmulh.s32 q7, q7, r3",
    ]
    if kernel.signed:
        lines += ["vpt.s32 lt, q7, zr", "vaddt.i32 q7, q7, r9", "vadd.i32 q7, q7, r7"]
    return [*lines, vqshrn(7, 7, kernel.shift + 1), "vqmovnb.s16 q7, q7"]


def lane_offsets(kernel: WindowKernel) -> list[int]:
    """Bytes from the first output of a unit to that of each lane."""
    outputs = product(range(kernel.unit[0]), range(kernel.unit[1]))
    found = [y * kernel.down + x * kernel.right for y, x in outputs]
    return found + [0] * (LANES - len(found))


def _unit(kernel: WindowKernel, right: int, out_right: int) -> Lines:
    """One unit; inputs r0, outputs r2, which advance by the given numbers of bytes."""
    lines: Lines = []
    at = 0
    count = kernel.unit[0] * kernel.unit[1]
    starts = product(
        range(0, kernel.unit[0], kernel.block[0]), range(0, kernel.unit[1], kernel.block[1])
    )
    loaded = 0
    for top, left in starts:
        start = top * kernel.stride[0] * kernel.pitch + left * kernel.stride[1]
        lines += add("r0", start - at)
        at = start
        for t in range(kernel.vectors):
            if kernel.vectors > 1:
                lines.append(f"vldrw.32 q4, [sp, #{VECTOR * t}]")
            lines.append(f"vldr{'h.u16' if kernel.halves else 'b.u8'} q7, [r0, q4]")
            for o, (y, x) in enumerate(product(range(kernel.block[0]), range(kernel.block[1]))):
                number = o * kernel.vectors + t
                lane = (top + y) * kernel.unit[1] + left + x
                weights = f"q{number}"
                if kernel.weight_vectors > _KEPT:
                    weights = f"q{loaded % _KEPT}"
                    loaded += 1
                    lines.append(f"vldrw.32 {weights}, [r5, #{VECTOR * number}]")
                mac = "vmladava.s8" if t else "vmladav.s8"
                lines.append(f"{mac} {SUMS[lane]}, q7, {weights}")
    # If there are fewer outputs than lanes, the other lanes repeat the first output.
    lines += requantized(kernel, [SUMS[lane if lane < count else 0] for lane in range(LANES)])
    lines.append("vstrb.32 q7, [r2, q6]")
    return [*lines, *add("r0", right - at), *add("r2", out_right)]


def window_code(kernel: WindowKernel) -> Lines:
    """The kernel: r0 planes, r1 stream, r2 outputs, r3 channels.

    On the stack: offsets of patches of several vectors; plane, outputs, channels left, rows left.
    """
    steps_in = (kernel.stride[0] * kernel.pitch, kernel.stride[1])
    steps_out = (kernel.down, kernel.right)
    # The longer axis is the inner one.
    units = [n // u for n, u in zip(kernel.outputs, kernel.unit, strict=True)]
    inner = 0 if units[0] > units[1] else 1
    outer = 1 - inner

    def distances(axis: int, outputs: int) -> tuple[int, int]:
        return outputs * steps_in[axis], outputs * steps_out[axis]

    size, rest = kernel.unit[inner], kernel.outputs[inner] % kernel.unit[inner]
    forward = distances(inner, size)
    across = _unit(kernel, *forward)
    line = across
    if units[inner] > 1:
        line = [f"mov lr, #{units[inner]}", "3:", *across, "le lr, 3b"]
    gone = units[inner] * size
    if rest:
        # The last unit overlaps the previous one.
        back = distances(inner, rest - size)
        line = [*line, *add("r0", back[0]), *add("r2", back[1]), *_unit(kernel, *forward)]
        gone += rest
    outer_size, outer_rest = kernel.unit[outer], kernel.outputs[outer] % kernel.unit[outer]
    turns = units[outer] + (1 if outer_rest else 0)
    body = line
    if turns > 1:
        on = [
            a - b for a, b in zip(distances(outer, outer_size), distances(inner, gone), strict=True)
        ]
        body = [f"mov r12, #{turns}", "str r12, [sp, #{rows}]", "2:", *line]
        body += ["ldr r12, [sp, #{rows}]", *add("r0", on[0]), *add("r2", on[1])]
        body += ["subs r12, r12, #1", "str r12, [sp, #{rows}]"]
        if outer_rest:
            back = distances(outer, outer_rest - outer_size)
            body += ["cmp r12, #1", "bne 4f", *add("r0", back[0]), *add("r2", back[1]), "4:"]
            body += ["cmp r12, #0"]
        body += ["bne.w 2b"]
    table = VECTOR * kernel.vectors if kernel.vectors > 1 else 0
    kept = kernel.weight_vectors if kernel.weight_vectors <= _KEPT else 0
    body = [text.replace("{rows}", str(table + 12)) for text in body]
    size = 2 if kernel.halves else 1
    offsets = kernel.offsets + [0] * (kernel.vectors * VECTOR // size - len(kernel.offsets))
    code = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r5, r1", "adr.w r12, 9f"]
    code += [f"sub sp, sp, #{table + 16}", f"strd r0, r2, [sp, #{table}]"]
    code += [f"str r3, [sp, #{table + 8}]"]
    code += [f"vldrw.32 q6, [r12, #{VECTOR * kernel.vectors}]"]
    if table:
        for t in range(kernel.vectors):
            code += [f"vldrw.32 q0, [r12, #{VECTOR * t}]", f"vstrw.32 q0, [sp, #{VECTOR * t}]"]
    else:
        code += ["vldrw.32 q4, [r12]"]
    code += ["1:", "ldmia r5!, {r1, r3, r12}", "vdup.32 q5, r12"]
    code += ["ldrd r7, r9, [r5], #8"] if kernel.signed else []
    code += [f"vldrw.32 q{i}, [r5], #{VECTOR}" for i in range(kept)]
    code += [f"ldrd r0, r2, [sp, #{table}]", *body]
    code += [] if kept else add("r5", VECTOR * kernel.weight_vectors)
    code += [f"ldrd r0, r2, [sp, #{table}]", *add("r0", kernel.plane), "adds r2, r2, #1"]
    code += [f"strd r0, r2, [sp, #{table}]", f"ldr r12, [sp, #{table + 8}]"]
    code += ["subs r12, r12, #1", f"str r12, [sp, #{table + 8}]", "bne.w 1b"]
    code += [f"add sp, sp, #{table + 16}", "vpop {d8-d15}", "pop {r4-r11, pc}", ".p2align 2", "9:"]
    code += [f"{'.short' if kernel.halves else '.byte'} {', '.join(map(str, offsets))}"]
    return [*code, f".word {', '.join(map(str, lane_offsets(kernel)))}"]


def window_kernels(base: WindowKernel) -> list[WindowKernel]:
    """All units and blocks for a layer, the cheapest first.

    Parameters
    ----------
    base
        A kernel with any unit and block.
    """
    units: set[Size] = set()
    for shape in ((2, 2), (1, 4), (4, 1)):
        high, wide = (min(n, u) for n, u in zip(base.outputs, shape, strict=True))
        units.add((high, wide))
    found = []
    for unit in units:
        for block in product(range(1, unit[0] + 1), range(1, unit[1] + 1)):
            if unit[0] % block[0] == 0 and unit[1] % block[1] == 0:
                kernel = replace(base, unit=unit, block=block)
                if kernel.usable:
                    found.append(kernel)
    return sorted(found, key=lambda k: (k.cost, -k.element, k.unit, k.block))
