"""Filters of TFLM's signal library, and the stages that follow them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Memory, Oracle, Problem, Result, register
from tvmtiny.ops.shared.signal import gain
from tvmtiny.ops.shared.signal.filterbank import rounded_root
from tvmtiny.ops.shared.signal.operator import SignalOperator, option, signal_call

_MOST_CHANNELS = 4096
#: Entries of a table of gains.
_GAINS = 125


@register
class SignalFilterBank(SignalOperator):
    """Sums of energies over filters that overlap by halves."""

    name = "CUSTOM:SignalFilterBank"
    dtypes = ("uint32",)
    result = "uint64"
    types = (("uint32", *("int16",) * 5), ("uint64",))
    needed = {"num_channels": (1, _MOST_CHANNELS)}  # noqa: RUF012
    constants = (1, 2, 3, 4, 5)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        channels = option(node, "num_channels")
        tables = [_values(node, i) for i in range(1, 6)]
        weights, unweights, starts, weight_starts, widths = tables
        bands = channels + 1
        if node.output.elements != channels or min(t.size for t in tables[2:]) < bands:
            yield Problem(
                f"{node.output.elements} sums of {channels} channels", "one sum per channel"
            )
            return
        ends = (starts[:bands] + widths[:bands]).max(initial=0)
        last = (weight_starts[:bands] + widths[:bands]).max(initial=0)
        lowest = min(t.min(initial=0) for t in tables)
        if lowest < 0 or ends > node.input(0).elements or last > min(weights.size, unweights.size):
            yield Problem("filters that reach beyond energies or weights", "filters within both")

    def compute(self, node: Node, oracle: Oracle) -> Result:
        arguments = [node.input(i) for i in range(6)]
        return signal_call("filter_bank", arguments, (option(node, "num_channels"),))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        energy = inputs[0].reshape(-1).astype(np.uint64)
        weights, unweights, starts, weight_starts, widths = (
            values.reshape(-1).astype(np.int64) for values in inputs[1:6]
        )
        channels = option(node, "num_channels")
        sums = np.zeros(channels + 2, np.uint64)
        for band in range(channels + 1):
            bins = energy[starts[band] : starts[band] + widths[band]]
            mine = slice(weight_starts[band], weight_starts[band] + widths[band])
            sums[band] += (bins * weights[mine].astype(np.uint64)).sum(dtype=np.uint64)
            sums[band + 1] += (bins * unweights[mine].astype(np.uint64)).sum(dtype=np.uint64)
        return [sums[1:-1].reshape(node.output.shape)]


@register
class SignalFilterBankSquareRoot(SignalOperator):
    """Square roots, rounded to the nearest integer and shifted back by the samples' scaling."""

    name = "CUSTOM:SignalFilterBankSquareRoot"
    dtypes = ("uint64",)
    result = "uint32"
    types = (("uint64", "int32"), ("uint32",))

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        if node.input(0).shape != node.output.shape or node.input(1).elements != 1:
            yield Problem(f"{list(node.input(0).shape)} to {list(node.output.shape)}", "one shape")

    def compute(self, node: Node, oracle: Oracle) -> Result:
        arguments = (node.input(0), node.input(1))
        return signal_call("square_root", arguments, (node.output.elements,))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        shift = np.uint64(int(inputs[1].reshape(-1)[0]) & 31)
        return [(rounded_root(inputs[0]) >> shift).astype(np.uint32)]


@register
class SignalFilterBankSpectralSubtraction(SignalOperator):
    """A signal without its noise, and the estimate of the noise, which is a state."""

    name = "CUSTOM:SignalFilterBankSpectralSubtraction"
    dtypes = ("uint32",)
    types = (("uint32",), ("uint32", "uint32"))
    needed = {  # noqa: RUF012
        "num_channels": (1, _MOST_CHANNELS),
        "smoothing": (0, 1 << 30),
        "one_minus_smoothing": (0, 1 << 30),
        "alternate_smoothing": (0, 1 << 30),
        "alternate_one_minus_smoothing": (0, 1 << 30),
        "min_signal_remaining": (0, 1 << 30),
        "smoothing_bits": (0, 31),
        "spectral_subtraction_bits": (0, 31),
        "clamping": (0, 1),
    }

    def memory(self, node: Node) -> tuple[Memory, ...]:
        channels = option(node, "num_channels")
        if not 1 <= channels <= _MOST_CHANNELS:
            return ()
        return (Memory("noise", np.zeros(channels, np.uint32)),)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        sizes = {t.elements for t in (node.input(0), *node.outputs[:2])}
        if sizes != {option(node, "num_channels")}:
            yield Problem(f"{sorted(sizes)} values", f"{option(node, 'num_channels')} channels")

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        x, before, after = node.input(0), node.input(1), node.outputs[1]
        bits = option(node, "smoothing_bits"), option(node, "spectral_subtraction_bits")
        sizes = (x.elements, *bits)
        clamps, least = option(node, "clamping"), option(node, "min_signal_remaining")
        noise = signal_call("noise", (x, before, _shares(node)), (*sizes, clamps))
        left = signal_call("subtract", (x, after), (*sizes, least))
        return left, noise, Alias(after)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, before = inputs[0].reshape(-1), inputs[1].reshape(-1)
        shares = _shares(node).reshape(2, 2)[np.arange(x.size) % 2].astype(np.int64)
        bits = option(node, "smoothing_bits")
        left, after = gain.reduced(
            x,
            before,
            shares[:, 0],
            option(node, "min_signal_remaining"),
            bits,
            shares[:, 1],
            option(node, "spectral_subtraction_bits"),
        )
        if option(node, "clamping"):
            after = np.minimum(after, (x.astype(np.uint64) << np.uint64(bits)).astype(np.uint32))
        shape = node.output.shape
        return [left.reshape(shape), after.reshape(node.outputs[1].shape), after.copy()]


def _shares(node: Node) -> np.ndarray:
    """Return shares of the signal and of the old estimate, for even and odd channels: int32."""
    names = ("smoothing", "one_minus_smoothing")
    every = (*names, *(f"alternate_{name}" for name in names))
    return np.array([option(node, name) for name in every], np.int32)


@register
class SignalPcan(SignalOperator):
    """Gains that are controlled for each channel by the noise."""

    name = "CUSTOM:SignalPCAN"
    dtypes = ("uint32",)
    types = (("uint32", "uint32", "int16"), ("uint32",))
    needed = {"snr_shift": (0, 63)}  # noqa: RUF012
    constants = (2,)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        sizes = {t.elements for t in (node.input(0), node.input(1), node.output)}
        if len(sizes) != 1 or node.input(2).elements < _GAINS:
            yield Problem(
                f"{sorted(sizes)} values and {node.input(2).elements} gains",
                f"one estimate per signal, and {_GAINS} gains",
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        arguments = [node.input(i) for i in range(3)]
        return signal_call("pcan", arguments, (node.output.elements, option(node, "snr_shift")))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, noise, table = (values.reshape(-1) for values in inputs)
        found = gain.controlled(x, noise, table, option(node, "snr_shift"))
        return [found.reshape(node.output.shape)]


@register
class SignalFilterBankLog(SignalOperator):
    """Natural logarithms times a scale, limited to 32767."""

    name = "CUSTOM:SignalFilterBankLog"
    dtypes = ("uint32",)
    result = "int16"
    types = (("uint32",), ("int16",))
    needed = {"output_scale": (0, 1 << 30), "input_correction_bits": (0, 31)}  # noqa: RUF012

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        if node.input(0).shape != node.output.shape:
            yield Problem(f"{list(node.input(0).shape)} to {list(node.output.shape)}", "one shape")

    def compute(self, node: Node, oracle: Oracle) -> Result:
        numbers = [option(node, name) for name in ("output_scale", "input_correction_bits")]
        table = gain.log_table().astype(np.int16)
        return signal_call("log", (node.input(0), table), (node.output.elements, *numbers))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        scale, bits = option(node, "output_scale"), option(node, "input_correction_bits")
        return [np.minimum(gain.logarithm(inputs[0], scale, bits), 32767).astype(np.int16)]


def _values(node: Node, position: int) -> np.ndarray:
    data = node.input(position).data
    assert data is not None
    return data.reshape(-1).astype(np.int64)
