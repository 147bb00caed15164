"""VIBRATION_FEATURES: levels and spectral kurtosis, an operator of a front end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.signal import spectrum
from tvmtiny.ops.shared.signal.settings import read_settings
from tvmtiny.ops.shared.signal.vibration import VibrationFeatures, VibrationSettings

_HEADERS = ("tvmtiny_signal.h", "tvmtiny_spectrum.h", "tvmtiny_vibration.h")


@register
class VibrationFeaturesOperator(Operator):
    """Rows of features, computed from windows by `tvmtiny.ops.shared.signal.vibration`.

    The input is samples, ``(rows * window * axes,)`` in any shape; the samples of the axes
    alternate.
    """

    name = "VIBRATION_FEATURES"
    input_count = 1
    dtypes = ("int16",)
    result = "int8"
    in_litert = False
    exactness = "fixed point, within 0.1 dB of the definition in real numbers (docs/front-ends.md)"

    def check_node(self, node: Node) -> Iterator[Problem]:
        found = VibrationFeatures(settings_of(node))
        samples = found.settings.window * found.settings.axes
        rows, rest = divmod(node.input(0).elements, samples)
        if rest:
            yield Problem(f"{node.input(0).elements} samples", f"a multiple of {samples}")
            return
        if node.output.elements != rows * found.features:
            yield Problem(
                f"an output of {list(node.output.shape)}", f"{rows} rows of {found.features}"
            )
        problems = [*check_scale(node.output)]
        yield from problems
        if not problems and _quantizer(node) is None:
            yield Problem(f"a scale of {node.output.scale:g}", "a larger scale")

    def compute(self, node: Node, oracle: Oracle) -> Result:
        found, quantizer = VibrationFeatures(settings_of(node)), _quantizer(node)
        assert quantizer is not None
        s, points = found.settings, found.settings.segment // 2
        sizes = [
            *(node.input(0).elements // (s.window * s.axes), s.axes, s.window, s.segment),
            *(s.segment.bit_length() - 1, s.bands, found.floor, found.rms_offset),
            *(found.band_offset, found.segments_log, *quantizer.sizes()),
        ]
        arguments = (
            node.input(0),
            found.window_table,
            spectrum.roots(s.segment).reshape(-1),
            spectrum.bit_order(points),
            found.edges,
            spectrum.log_table(),
            np.array(sizes, np.int64).astype(np.int32),
        )
        work = ((2 * points + 2, "int32"), (2 * (points + 1), "int64"))
        return RuntimeCall("tvmtiny_vibration", arguments, (), _HEADERS, work)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        quantizer = _quantizer(node)
        assert quantizer is not None
        found = VibrationFeatures(settings_of(node)).features_of(inputs[0].reshape(-1))
        return [quantizer.apply(found).reshape(node.output.shape)]

    def macs(self, node: Node) -> int:
        return 0


def settings_of(node: Node) -> VibrationSettings:
    """Return the settings among a node's options."""
    return read_settings(VibrationSettings, node.options)


def _quantizer(node: Node) -> spectrum.Quantizer | None:
    factor = VibrationFeatures(settings_of(node)).factor
    return spectrum.Quantizer.of(factor, node.output.scale, node.output.zero_point)
