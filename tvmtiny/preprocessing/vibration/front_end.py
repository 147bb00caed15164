"""The operator VIBRATION_FEATURES as a front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from tvmtiny.errors import InputError
from tvmtiny.ops import Node, Tensor, find_operator
from tvmtiny.ops.shared.signal.spectrum import LEAST_LENGTH, MOST_LENGTH
from tvmtiny.ops.shared.signal.vibration import (
    MOST_SAMPLES,
    MOST_SEGMENTS,
    VibrationFeatures,
    VibrationSettings,
)
from tvmtiny.preprocessing.front_end import FrontEnd, NewTensor, Parts
from tvmtiny.preprocessing.settings import set_fields


@dataclass(frozen=True)
class VibrationFrontEnd(FrontEnd):
    """Computes features as described in `tvmtiny.ops.shared.signal.vibration`.

    Attributes
    ----------
    settings
        Settings of the features.
    """

    name: ClassVar[str] = "vibration"
    settings: VibrationSettings = field(default_factory=VibrationSettings)

    @classmethod
    def of(
        cls, sample_rate: int | None, step_ms: float | None, settings: Mapping[str, Any]
    ) -> VibrationFrontEnd:
        values = dict(settings)
        if sample_rate is not None:
            values["sample_rate"] = sample_rate
        made = set_fields(cls.name, VibrationSettings(), values)
        if step_ms is not None:
            window = {"window": round(step_ms * made.sample_rate / 1000)}
            made = set_fields(cls.name, made, window)
        front_end = cls(made)
        front_end.check()
        return front_end

    def check(self) -> None:
        """Check the settings.

        Raises
        ------
        InputError
            If no features can be computed with the settings.
        """
        s = self.settings
        if not 1 <= s.sample_rate <= 1_000_000 or not 1 <= s.axes <= 16:
            raise InputError("vibration needs a sample rate of 1 to 1,000,000 Hz and 1 to 16 axes")
        if s.segment & (s.segment - 1) or not LEAST_LENGTH <= s.segment <= MOST_LENGTH:
            raise InputError(
                f"a segment of {s.segment} samples does not fit; vibration needs a power of two "
                f"from {LEAST_LENGTH} to {MOST_LENGTH}"
            )
        if not s.segment <= s.window <= MOST_SAMPLES or s.window % s.segment:
            raise InputError(
                f"a window of {s.window} samples does not fit; vibration needs a multiple of the "
                f"segment of {s.segment}, up to {MOST_SAMPLES:,}"
            )
        if VibrationFeatures(s).segments > MOST_SEGMENTS:
            raise InputError(
                f"a window of {s.window} samples has more than {MOST_SEGMENTS} segments of "
                f"{s.segment}, which overlap by halves; give longer segments"
            )
        if not 1 <= s.bands <= s.segment // 2:
            raise InputError(f"{s.bands} bands do not fit; give 1 to {s.segment // 2}")

    @property
    def sample_rate(self) -> int:
        """Samples of all axes in a second."""
        return self.settings.sample_rate * self.settings.axes

    @property
    def features(self) -> int:
        return VibrationFeatures(self.settings).features

    @property
    def samples(self) -> int:
        return self.settings.window * self.settings.axes

    def parts(self, output: Tensor, rows: int, new: NewTensor) -> Parts:
        samples = new("samples", (1, rows * self.samples), "int16")
        options = asdict(self.settings)
        node = Node(0, "VIBRATION_FEATURES", 1, (samples,), (output,), options)
        operator = find_operator(node.operator)
        assert operator is not None
        for problem in operator.check(node):
            raise InputError(
                f"vibration makes no features of {problem.reason}; allowed: {problem.allowed}"
            )
        return Parts(samples, (node,))
