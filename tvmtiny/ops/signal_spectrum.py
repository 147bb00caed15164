"""Windows and spectra of TFLM's signal library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from tvmtiny.ops.microfrontend import stage_factors
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.signal.fft import (
    LEAST_LENGTH,
    MOST_LENGTH,
    digit_reversal,
    inverse_real_fft,
    radices,
    real_fft,
    split_twiddles,
)
from tvmtiny.ops.shared.signal.operator import SignalOperator, option, signal_call


@register
class SignalWindow(SignalOperator):
    """Frames of samples times a window, shifted right and saturated."""

    name = "CUSTOM:SignalWindow"
    dtypes = ("int16",)
    types = (("int16", "int16"), ("int16",))
    needed = {"shift": (0, 31)}  # noqa: RUF012
    constants = (1,)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        size = node.input(1).elements
        if not size or node.input(0).elements % size or node.output.shape != node.input(0).shape:
            yield Problem(f"a window of {size} for {list(node.input(0).shape)}", "whole windows")

    def compute(self, node: Node, oracle: Oracle) -> Result:
        x, window = node.input(0), node.input(1)
        return signal_call(
            "window", (x, window), (x.elements, window.elements, option(node, "shift"))
        )

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        frames = inputs[0].reshape(-1, inputs[1].size).astype(np.int64)
        products = (frames * inputs[1].reshape(-1)) >> option(node, "shift")
        return [np.clip(products, -32768, 32767).astype(np.int16).reshape(inputs[0].shape)]


@register
class SignalFftAutoScale(SignalOperator):
    """Samples shifted left as far as possible, and the number of bits."""

    name = "CUSTOM:SignalFftAutoScale"
    dtypes = ("int16", "int32")
    types = (("int16",), ("int16", "int32"))

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        if node.output.shape != node.input(0).shape or node.outputs[1].elements != 1:
            yield Problem(
                f"outputs of {list(node.output.shape)}", "the input's shape, and a number"
            )

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x, count = node.input(0), node.input(0).elements
        shifted = signal_call("scale", (x, node.outputs[1]), (count,))
        return shifted, signal_call("scale_bits", (x,), (count,))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        most = 0
        for value in inputs[0].reshape(-1).tolist():
            if value > most:
                most = value
            elif -value > most:
                # The lowest number has no absolute value in 16 bits.
                most = -value if value > -32768 else -32768
        bits = 0 if most <= 0 else 15 - most.bit_length()
        shifted = (inputs[0].astype(np.int64) << bits).astype(np.int16)
        return [shifted, np.array(bits, np.int32).reshape(node.outputs[1].shape)]


class _Transform(SignalOperator):
    """A transform of real numbers, or its inverse, whose length is a power of two."""

    dtypes = ("int16",)
    types = (("int16",), ("int16",))
    needed = {"fft_length": (LEAST_LENGTH, MOST_LENGTH)}  # noqa: RUF012

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        length = option(node, "fft_length")
        if length & (length - 1):
            yield Problem(f"a transform of {length} samples", "a power of two")


@register
class SignalRfft(_Transform):
    """Spectra of frames of samples, with real and imaginary parts side by side."""

    name = "CUSTOM:SignalRfft"

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        yield from super().check_shapes(node)
        length, x = option(node, "fft_length"), node.input(0)
        frames = x.elements // x.shape[-1] if x.shape else 0
        if not frames or x.shape[-1] > length or node.output.elements != frames * (length + 2):
            yield Problem(
                f"{list(x.shape)} to {list(node.output.shape)}",
                f"frames of at most {length} samples to {length + 2} numbers each",
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        x = node.input(0)
        points = option(node, "fft_length") // 2
        sizes = (x.elements // x.shape[-1], x.shape[-1], points, radices(points)[-1])
        return _transform_call("rfft", node, sizes, False)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        frames = inputs[0].reshape(-1, inputs[0].shape[-1])
        padded = np.zeros((len(frames), option(node, "fft_length")), np.int16)
        padded[:, : frames.shape[1]] = frames
        return [real_fft(padded).reshape(node.output.shape)]


@register
class SignalIrfft(_Transform):
    """Frames of samples, from their spectra."""

    name = "CUSTOM:SignalIrfft"

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        yield from super().check_shapes(node)
        length, x = option(node, "fft_length"), node.input(0)
        frames = x.elements // (length + 2)
        sizes = (x.shape[-1:], node.output.shape[-1:])
        if sizes != ((length + 2,), (length,)) or node.output.elements != frames * length:
            yield Problem(
                f"{list(x.shape)} to {list(node.output.shape)}",
                f"{length + 2} numbers to {length} samples",
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        points = option(node, "fft_length") // 2
        frames = node.input(0).elements // (2 * points + 2)
        return _transform_call("irfft", node, (frames, points, radices(points)[-1]), True)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        spectra = inputs[0].reshape(-1, option(node, "fft_length") // 2 + 1, 2)
        return [inverse_real_fft(spectra).reshape(node.output.shape)]


@register
class SignalEnergy(SignalOperator):
    """Squared magnitudes of a spectrum; 0 outside a range, where TFLM writes nothing."""

    name = "CUSTOM:SignalEnergy"
    dtypes = ("int16",)
    result = "uint32"
    types = (("int16",), ("uint32",))
    needed = {"start_index": (0, MOST_LENGTH), "end_index": (0, MOST_LENGTH)}  # noqa: RUF012

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        count = node.output.elements
        if node.input(0).elements != 2 * count or option(node, "end_index") > count:
            yield Problem(
                f"{node.input(0).elements} numbers to {count} energies",
                "one energy per two numbers",
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        ends = (option(node, "start_index"), option(node, "end_index"))
        return signal_call("energy", (node.input(0),), (node.output.elements, *ends))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        squares = (inputs[0].reshape(-1, 2).astype(np.int64) ** 2).sum(axis=1)
        places = np.arange(len(squares))
        inside = (places >= option(node, "start_index")) & (places < option(node, "end_index"))
        return [np.where(inside, squares, 0).astype(np.uint32).reshape(node.output.shape)]


def _transform_call(function: str, node: Node, sizes: Sequence[int], inverse: bool) -> RuntimeCall:
    points = option(node, "fft_length") // 2
    factors, order = _tables(points, inverse)
    arguments = (node.input(0), factors, order)
    return signal_call(function, arguments, sizes, ((2 * points, "int32"),))


@cache
def _tables(points: int, inverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of all stages and of the final split, and the first stage's order."""
    stages = [f.reshape(-1, 2) for f in stage_factors(points, inverse)]
    words = np.concatenate([*stages, split_twiddles(points, inverse)]).view(np.int32)
    order = digit_reversal(points)[:: radices(points)[-1]]
    return words.reshape(-1), order.astype(np.int16)
