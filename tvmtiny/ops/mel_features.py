"""MEL_FEATURES: log-mel spectra or MFCC, an operator of front ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.signal import spectrum
from tvmtiny.ops.shared.signal.mel import MelFeatures, MelSettings
from tvmtiny.ops.shared.signal.settings import read_settings

_HEADERS = ("tvmtiny_copy.h", "tvmtiny_signal.h", "tvmtiny_spectrum.h", "tvmtiny_mel.h")


@register
class MelFeaturesOperator(Operator):
    """Frames of features, computed from samples by `tvmtiny.ops.shared.signal.mel`.

    The inputs are samples, ``(frames * step,)`` in any shape, and the earlier samples of the first
    window, whose new value is the second output. The first output is ``frames`` rows of features.
    """

    name = "MEL_FEATURES"
    input_count = 2
    output_count = 2
    dtypes = ("int16",)
    result = "int8"
    in_litert = False
    exactness = "fixed point, within 0.1 dB of the definition in real numbers (docs/front-ends.md)"

    def check_node(self, node: Node) -> Iterator[Problem]:
        x, history = node.input(0), node.input(1)
        mel = mel_features(settings_of(node))
        shapes = (history.shape, history.dtype, x.elements % mel.step)
        if shapes != ((mel.memory,), "int16", 0):
            yield Problem(
                f"{x.elements} samples and {list(history.shape)} before them",
                f"a multiple of {mel.step}, and {mel.memory}",
            )
            return
        rows = x.elements // mel.step
        if node.output.elements != rows * mel.features:
            yield Problem(
                f"an output of {list(node.output.shape)}", f"{rows} rows of {mel.features}"
            )
        problems = [*check_scale(node.output)]
        yield from problems
        if not problems and quantizer(node) is None:
            yield Problem(f"a scale of {node.output.scale:g}", "a larger scale")

    def compute(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        return mel_call(node), Alias(node.input(1))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, history = inputs
        samples = np.concatenate([history, x.reshape(-1)])
        found = quantizer(node)
        assert found is not None
        features = found.apply(mel_features(settings_of(node)).features_of(samples))
        return [features.reshape(node.output.shape), samples[len(samples) - len(history) :]]

    def macs(self, node: Node) -> int:
        return 0


def settings_of(node: Node) -> MelSettings:
    """Return the settings among a node's options."""
    return read_settings(MelSettings, node.options)


@cache
def mel_features(settings: MelSettings) -> MelFeatures:
    """Return the tables for settings."""
    return MelFeatures(settings)


def quantizer(node: Node) -> spectrum.Quantizer | None:
    """Return the factors for a node's output; None if its scale is too small."""
    factor = mel_features(settings_of(node)).factor
    return spectrum.Quantizer.of(factor, node.output.scale, node.output.zero_point)


def mel_call(node: Node, function: str = "tvmtiny_mel") -> RuntimeCall:
    """Return the call of a function with the parameters of ``tvmtiny_mel``."""
    mel = mel_features(settings_of(node))
    s, points = mel.settings, mel.length // 2
    found = quantizer(node)
    assert found is not None
    sizes = [
        *(mel.window, mel.step, node.input(0).elements // mel.step, points, mel.emphasis),
        *(s.channels, s.coefficients, int(mel.power), mel.epsilon, mel.floor),
        *found.sizes(),
    ]
    arguments = (
        node.input(0),
        mel.window_table,
        spectrum.roots(mel.length).reshape(-1),
        spectrum.bit_order(points),
        mel.bands.reshape(-1),
        mel.weights,
        mel.offsets,
        mel.dct_table.reshape(-1) if s.coefficients else np.zeros(1, np.int16),
        spectrum.log_table(),
        np.array(sizes, np.int64).astype(np.int32),
        node.input(1),
    )
    work = ((2 * points + 2, "int32"), (s.channels if s.coefficients else 1, "int32"))
    return RuntimeCall(function, arguments, (), _HEADERS, work)
