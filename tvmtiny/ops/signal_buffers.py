"""Operators of TFLM's signal library that store samples: frames, stacks, delays, overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Memory, Oracle, Problem, Result, register
from tvmtiny.ops.shared.signal.operator import SignalOperator, option, signal_call

#: Limit for the elements of a memory, and for sizes.
_MOST = 1 << 16


@register
class SignalDelay(SignalOperator):
    """Samples delayed by some steps; the first ones are zeros."""

    name = "CUSTOM:SignalDelay"
    dtypes = ("int16",)
    types = (("int16",), ("int16",))
    needed = {"delay_length": (1, _MOST)}  # noqa: RUF012

    def memory(self, node: Node) -> tuple[Memory, ...]:
        rows, delay = _rows(node), option(node, "delay_length")
        if not 0 < rows * delay <= _MOST:
            return ()
        return (Memory("delayed", np.zeros((rows, delay), np.int16)),)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        if node.output.shape != node.input(0).shape:
            yield Problem(f"{list(node.input(0).shape)} to {list(node.output.shape)}", "one shape")

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x, before = node.input(0), node.input(1)
        sizes = (_rows(node), x.shape[-1], option(node, "delay_length"))
        return signal_call("delay", (x, before), sizes), Alias(before)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, before = inputs[0].reshape(_rows(node), -1), inputs[1]
        every = np.concatenate([before, x], axis=1)
        return [every[:, : x.shape[1]].reshape(inputs[0].shape), every[:, x.shape[1] :].copy()]


class _Counting(SignalOperator):
    """An operator whose second output states whether the first is valid; if not, that one is 0."""

    dtypes = ("int16", "bool")
    types = (("int16",), ("int16", "bool"))
    #: Index of the counter that determines this.
    place = 0

    def _valid(self, node: Node) -> Result:
        return signal_call("valid", (node.input(2), node.output), (self.place,))


@register
class SignalStacker(_Counting):
    """The last frames side by side, once there are enough; the first frame initially repeats."""

    name = "CUSTOM:SignalStacker"
    place = 2
    needed = {  # noqa: RUF012
        "num_channels": (1, _MOST),
        "stacker_left_context": (0, 1024),
        "stacker_right_context": (0, 1024),
        "stacker_step": (1, 1024),
    }

    def memory(self, node: Node) -> tuple[Memory, ...]:
        channels, left, size, _ = _stack(node)
        capacity = max(size + channels, channels * (1 + left))
        if channels < 1 or not 0 < capacity <= _MOST:
            return ()
        return (
            Memory("stacked", np.zeros(capacity, np.int16)),
            Memory("counts", np.zeros(3, np.int32)),
        )

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        channels, _, size, step = _stack(node)
        if (node.input(0).elements, node.output.elements) != (channels, size) or step > size:
            yield Problem(
                f"{node.input(0).elements} values to {node.output.elements}",
                f"{channels} to {size}, and steps of at most {size // channels} frames",
            )

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        before, counts = node.input(1), node.input(2)
        call = signal_call("stack", (node.input(0), before, counts), _stack(node))
        return call, self._valid(node), Alias(before), Alias(counts)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        _, left, size, step = _stack(node)
        memory, counts = inputs[1].copy(), inputs[2].copy()
        x = np.tile(inputs[0].reshape(-1), 1 if counts[1] else 1 + left)
        memory[counts[0] : counts[0] + x.size] = x
        counts[:] = counts[0] + x.size, 1, counts[0] + x.size >= size
        out = memory[:size] * counts[2].astype(np.int16)
        if counts[2]:
            counts[0] -= step
            memory[: counts[0]] = memory[step : step + counts[0]].copy()
        valid = np.array(bool(counts[2])).reshape(node.outputs[1].shape)
        return [out.reshape(node.output.shape), valid, memory, counts]


@register
class SignalFramer(_Counting):
    """Overlapping frames of samples that arrive in steps."""

    name = "CUSTOM:SignalFramer"
    place = 1
    needed = {"frame_size": (1, _MOST), "frame_step": (1, _MOST), "prefill": (0, 1)}  # noqa: RUF012

    def memory(self, node: Node) -> tuple[Memory, ...]:
        size, step, rows = option(node, "frame_size"), option(node, "frame_step"), _rows(node)
        if not 1 <= step <= size or not 0 < rows * (size + step) <= _MOST:
            return ()
        there = size - step if option(node, "prefill") else 0
        return (
            Memory("framed", np.zeros((rows, size + step), np.int16)),
            Memory("counts", np.array([there, 0], np.int32)),
        )

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        size, step = option(node, "frame_size"), option(node, "frame_step")
        x = node.input(0)
        if x.shape[-1] % step or node.output.elements * step != x.elements * size:
            yield Problem(
                f"{list(x.shape)} to {list(node.output.shape)}",
                f"steps of {step} samples to frames of {size}",
            )

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x, before, counts = (node.input(i) for i in range(3))
        size, step = option(node, "frame_size"), option(node, "frame_step")
        sizes = (_rows(node), x.shape[-1] // step, size, step, size + step)
        call = signal_call("frames", (x, before, counts), sizes)
        return call, self._valid(node), Alias(before), Alias(counts)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        size, step = option(node, "frame_size"), option(node, "frame_step")
        memory, counts = inputs[1].copy(), inputs[2].copy()
        frames, whole = [], True
        for row, x in zip(memory, inputs[0].reshape(len(memory), -1, step), strict=True):
            count = int(inputs[2][0])
            for part in x:
                row[count : count + step] = part
                count += step
                there = count >= size
                whole = whole and there
                frames.append(row[:size].copy() if there else np.zeros(size, np.int16))
                if there:
                    count -= step
                    row[:count] = row[step : step + count].copy()
            counts[:] = count, 0
        counts[1] = whole
        out = np.concatenate(frames).reshape(node.output.shape)
        return [out, np.array(whole).reshape(node.outputs[1].shape), memory, counts]


@register
class SignalOverlapAdd(SignalOperator):
    """Samples of overlapping frames, added up and saturated."""

    name = "CUSTOM:SignalOverlapAdd"
    dtypes = ("int16",)
    types = (("int16",), ("int16",))
    needed = {"frame_step": (1, _MOST)}  # noqa: RUF012

    def memory(self, node: Node) -> tuple[Memory, ...]:
        rows, _, size = _frames(node)
        if not 0 < rows * size <= _MOST:
            return ()
        return (Memory("overlap", np.zeros((rows, size), np.int16)),)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        rows, frames, size = _frames(node)
        step = option(node, "frame_step")
        if step > size or node.output.elements != rows * frames * step:
            yield Problem(
                f"{list(node.input(0).shape)} to {list(node.output.shape)}",
                f"frames of {size} samples to steps of {step}",
            )

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        before = node.input(1)
        sizes = (*_frames(node), option(node, "frame_step"))
        return signal_call("overlap_add", (node.input(0), before), sizes), Alias(before)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        rows, frames, size = _frames(node)
        step = option(node, "frame_step")
        memory, parts = inputs[1].astype(np.int64), []
        for row, x in zip(memory, inputs[0].reshape(rows, frames, size), strict=True):
            for frame in x:
                row[:] = np.clip(row + frame, -32768, 32767)
                parts.append(row[:step].copy())
                row[:] = np.append(row[step:], np.zeros(step, np.int64))
        out = np.concatenate(parts).astype(np.int16).reshape(node.output.shape)
        return [out, memory.astype(np.int16)]


def _shape(node: Node) -> tuple[int, ...]:
    x = node.optional_input(0)
    return () if x is None else x.shape


def _rows(node: Node) -> int:
    """Return the product of all dimensions but the last; 0 without any dimension."""
    shape = _shape(node)
    return prod(shape[:-1]) if shape and min(shape) > 0 else 0


def _frames(node: Node) -> tuple[int, int, int]:
    """Return rows, frames per row and samples per frame; zeros for fewer than two dimensions."""
    shape = _shape(node)
    if len(shape) < 2 or min(shape) < 1:
        return 0, 0, 0
    return prod(shape[:-2]), shape[-2], shape[-1]


def _stack(node: Node) -> tuple[int, int, int, int]:
    """Return channels, frames to the left, and the values of a stack and of a step."""
    channels, left = option(node, "num_channels"), option(node, "stacker_left_context")
    frames = left + option(node, "stacker_right_context") + 1
    return channels, left, channels * frames, channels * option(node, "stacker_step")
