"""MICROFRONTEND: features of sound, an operator that `tvmtiny.preprocessing` adds to models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.quantization import INT8_RANGE, round_half_away
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.signal import gain
from tvmtiny.ops.shared.signal.fft import (
    LEAST_LENGTH,
    MOST_LENGTH,
    digit_reversal,
    radices,
    split_twiddles,
    twiddles,
)
from tvmtiny.ops.shared.signal.filterbank import WEIGHT_BITS
from tvmtiny.ops.shared.signal.microfrontend import Microfrontend, MicrofrontendSettings
from tvmtiny.ops.shared.signal.settings import read_settings

#: Real number that a feature of 1 stands for, as in `pymicro-features`.
FEATURE_SCALE = 10 / 256

_HEADERS = ("tvmtiny_signal.h", "tvmtiny_microfrontend.h")


@register
class MicrofrontendOperator(Operator):
    """Frames of features, computed from samples by `tvmtiny.ops.shared.signal.microfrontend`.

    The inputs are samples, ``(frames * step,)`` in any shape, the earlier samples of the first
    window, and the estimate of noise. The further outputs are the new values of the latter two. The
    first output is ``frames`` rows of features, quantized as LiteRT's QUANTIZE does for
    ``feature * 10 / 256``.
    """

    name = "MICROFRONTEND"
    input_count = 3
    output_count = 3
    dtypes = ("int16",)
    result = "int8"
    in_litert = False
    exactness = "bit-exact with the package pymicro-features, which has TensorFlow's own C"

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, history, noise = (node.input(i) for i in range(3))
        try:
            front = microfrontend(settings_of(node))
        except ValueError as error:
            yield Problem(str(error), "limits within the spectrum")
            return
        if front.window % 2 or front.step % 2 or not 0 < front.step < front.window:
            yield Problem(
                f"a window of {front.window} samples and a step of {front.step}",
                "even numbers, the step shorter than the window",
            )
            return
        if not LEAST_LENGTH <= front.length <= MOST_LENGTH:
            yield Problem(
                f"a transform of {front.length} samples", f"{LEAST_LENGTH} to {MOST_LENGTH}"
            )
            return
        sums = front.filterbank.weights.astype(int) + front.filterbank.unweights
        if np.any(sums != 1 << WEIGHT_BITS):
            yield Problem("a share of a filter that rounds up twice", "slightly other limits")
        if not 0 <= front.snr_shift < 64 or front.filterbank.bins[0] < 1:
            yield Problem("gains or limits out of range", "values like the defaults")
        shapes = (history.shape, noise.shape, x.elements % front.step)
        if shapes != ((front.window - front.step,), (front.channels,), 0):
            yield Problem(
                f"{x.elements} samples and {list(history.shape)} before them",
                f"a multiple of {front.step}, and {front.window - front.step}",
            )
            return
        frames = x.elements // front.step
        if node.output.elements != frames * front.channels:
            yield Problem(
                f"an output of {list(node.output.shape)}", f"{frames} rows of {front.channels}"
            )
        if (history.dtype, noise.dtype) != ("int16", "int32"):
            yield Problem(f"states of {history.dtype} and {noise.dtype}", "int16 and int32")
        problems = [*check_scale(node.output)]
        yield from problems
        if not problems and quantizer(node) is None:
            yield Problem(f"a scale of {node.output.scale:g}", "a scale that fits the features")

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        return microfrontend_call(node), Alias(node.input(1)), Alias(node.input(2))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        front = microfrontend(settings_of(node))
        x, history, noise = inputs
        samples = np.concatenate([history, x.reshape(-1)])
        features, after = front.features(samples, noise.view(np.uint32))
        quantized = quantized_features(node, features.reshape(node.output.shape))
        return [quantized, samples[len(samples) - len(history) :], after.view(np.int32)]

    def macs(self, node: Node) -> int:
        return 0


def settings_of(node: Node) -> MicrofrontendSettings:
    """Return the settings among a node's options."""
    return read_settings(MicrofrontendSettings, node.options)


@cache
def microfrontend(settings: MicrofrontendSettings) -> Microfrontend:
    """Return the tables for settings.

    Raises
    ------
    ValueError
        If the filters reach beyond half of the sample rate.
    """
    return Microfrontend(settings)


def quantized_features(node: Node, features: np.ndarray) -> np.ndarray:
    """Quantize features to the int8 values of a node's output."""
    real = features.astype(np.float32) * np.float32(FEATURE_SCALE)
    nearest = round_half_away(real / np.float32(node.output.scale))
    return np.clip(nearest.astype(np.int64) + node.output.zero_point, *INT8_RANGE).astype(np.int8)


def _most(front: Microfrontend) -> int:
    """Return the largest feature."""
    if not front.settings.logarithm:
        return 0xFFFF
    largest = np.array([0xFFFFFFFF], np.uint32)
    return int(gain.logarithm(largest, 1 << front.settings.log_shift, 0)[0])


def quantizer(node: Node) -> tuple[int, int, int] | None:
    """Find multiplier, offset and shift that equal `quantized_features` for every feature.

    Returns
    -------
    tuple of int or None
        None if there are none within 32 bits.
    """
    features = np.arange(_most(microfrontend(settings_of(node))) + 1, dtype=np.int64)
    wanted = quantized_features(node, features).astype(np.int64)
    factor = FEATURE_SCALE / node.output.scale
    for shift in range(24, -1, -1):
        multiplier = round(factor * (1 << shift))
        offset = ((node.output.zero_point + 128) << shift) + ((1 << shift) >> 1)
        if int(features[-1]) * multiplier + offset >= 1 << 32:
            continue
        values = ((features * multiplier + offset) >> shift) - 128
        if np.array_equal(np.minimum(values, 127), wanted):
            return multiplier, offset, shift
    return None


def stage_factors(points: int, inverse: bool = False) -> list[np.ndarray]:
    """Return the factors of the butterflies in each stage after the first: int16, (size, 3, 2)."""
    roots, size, found = twiddles(points, inverse), radices(points)[-1], []
    while size < points:
        step = points // (4 * size)
        found.append(roots[np.arange(size)[:, None] * np.arange(1, 4) * step])
        size *= 4
    return found


def microfrontend_call(
    node: Node,
    name: str = "tvmtiny_microfrontend",
    *,
    by_power: bool = False,
    first_bin: int | None = None,
) -> RuntimeCall:
    """Call a function of ``tvmtiny_microfrontend.h``, or one with the same parameters.

    Parameters
    ----------
    name
        Name of the function.
    by_power
        Whether the factors of a stage are ordered by power: all first factors, then all second
        ones. Otherwise the factors of a word are side by side.
    first_bin
        Bin from which energies are computed; by default the first one that is used.
    """
    front = microfrontend(settings_of(node))
    s, points = front.settings, front.length // 2
    radix = radices(points)[-1]
    found = quantizer(node)
    assert found is not None
    order = (1, 0, 2) if by_power else (0, 1, 2)
    factors = [f.transpose(order).reshape(-1, 2) for f in stage_factors(points)]
    words = np.concatenate([*factors, split_twiddles(points)]).view(np.int32).reshape(-1)
    gains = front.gain_table if s.gain_control else np.zeros(1, np.int16)
    sizes = [
        *(front.window, front.step, node.input(0).elements // front.step, points, radix),
        *(front.channels, first_bin or front.filterbank.bins[0], s.smoothing_bits),
        *(int(front.smoothing[0]), int(front.smoothing[-1 if front.channels == 1 else 1])),
        *(front.least, s.gain_control, front.snr_shift),
        *(s.logarithm, 1 << s.log_shift, front.correction_bits, *found),
    ]
    arguments = (
        node.input(0),
        front.coefficients,
        words,
        digit_reversal(points)[::radix].astype(np.int16),
        front.filterbank.starts.astype(np.int16),
        front.filterbank.weights,
        gains,
        gain.log_table().astype(np.int16),
        np.array(sizes, np.int64).astype(np.int32),
        node.input(1),
        node.input(2),
    )
    return RuntimeCall(name, arguments, (), _HEADERS, ((2 * points, "int32"),))
