"""The operator MEL_FEATURES as a front end: what log-mel and MFCC share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.ops import Node, Tensor, find_operator
from tvmtiny.ops.mel_features import mel_features
from tvmtiny.ops.shared.graph import State
from tvmtiny.ops.shared.signal.mel import CONVENTIONS, MelSettings
from tvmtiny.ops.shared.signal.spectrum import LEAST_LENGTH, MOST_LENGTH
from tvmtiny.preprocessing.front_end import FrontEnd, NewTensor, Parts
from tvmtiny.preprocessing.settings import set_fields

#: Largest sum of a filter's weights, which are 16 bits, for sums of 64 bits.
_MOST_WEIGHTS = 1 << 24


@dataclass(frozen=True)
class MelFrontEnd(FrontEnd):
    """Computes features as described in `tvmtiny.ops.shared.signal.mel`.

    Attributes
    ----------
    settings
        Settings of the features.
    """

    settings: MelSettings = field(default_factory=MelSettings)
    hidden: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(
        cls, sample_rate: int | None, step_ms: float | None, settings: Mapping[str, Any]
    ) -> MelFrontEnd:
        given = {"sample_rate": sample_rate, "step_ms": step_ms}
        values = {**settings, **{key: v for key, v in given.items() if v is not None}}
        made = cls(set_fields(cls.name, cls().settings, values, cls.hidden))
        made.check()
        return made

    def check(self) -> None:
        """Check the settings.

        Raises
        ------
        InputError
            If no features can be computed with the settings.
        """
        s, name = self.settings, self.name
        if s.convention not in CONVENTIONS:
            raise InputError(
                f"{name} has no convention {quoted(s.convention)}; known: {', '.join(CONVENTIONS)}"
            )
        if not 1 <= s.sample_rate <= 192_000 or not 1 <= s.channels <= 256:
            raise InputError(f"{name} needs a sample rate of 1 to 192,000 Hz and 1 to 256 channels")
        if not 0 < s.step_ms <= 1000 or not 0 < s.window_ms <= 1000:
            raise InputError(f"{name} needs windows and steps of up to 1,000 ms")
        mel = mel_features(s)
        if not 0 < mel.step < mel.window:
            raise InputError(
                f"a step of {mel.step} samples is no shorter than the window of {mel.window}"
            )
        power = mel.length & (mel.length - 1) == 0
        if not (power and LEAST_LENGTH <= mel.length <= MOST_LENGTH and mel.length >= mel.window):
            raise InputError(
                f"a transform of {mel.length} samples does not fit; {name} needs a power of two "
                f"from {LEAST_LENGTH} to {MOST_LENGTH}, no shorter than the window of {mel.window}"
            )
        if not 0 <= s.lower_hz < mel.upper_hz <= s.sample_rate / 2:
            raise InputError(
                f"filters from {s.lower_hz:g} to {mel.upper_hz:g} Hz are beyond half of the sample "
                f"rate, {s.sample_rate / 2:g} Hz; give other limits"
            )
        if not 0 <= s.coefficients <= s.channels:
            raise InputError(
                f"{s.coefficients} coefficients of {s.channels} channels; give 1 to {s.channels}"
            )
        self._check_filters()

    def _check_filters(self) -> None:
        mel = mel_features(self.settings)
        empty = [i for i, (_, count) in enumerate(mel.bands.tolist()) if not count]
        if empty:
            raise InputError(
                f"{len(empty)} of {self.settings.channels} filters lie between two frequencies of "
                f"the transform of {mel.length} samples; give fewer channels or a larger "
                "fft_length"
            )
        sums = np.add.reduceat(mel.weights.astype(np.int64), _starts(mel.bands))
        if int(sums.max()) >= _MOST_WEIGHTS:
            raise InputError(f"{self.settings.channels} filters are too wide; give more channels")

    @property
    def sample_rate(self) -> int:
        return self.settings.sample_rate

    @property
    def features(self) -> int:
        return mel_features(self.settings).features

    @property
    def samples(self) -> int:
        return mel_features(self.settings).step

    def parts(self, output: Tensor, rows: int, new: NewTensor) -> Parts:
        samples = new("samples", (1, rows * self.samples), "int16")
        shape = (mel_features(self.settings).memory,)
        before, after = new("samples_before", shape, "int16"), new("samples_after", shape, "int16")
        state = State(before.name, before, after, np.zeros(shape, np.int16))
        options = asdict(self.settings)
        node = Node(0, "MEL_FEATURES", 1, (samples, before), (output, after), options)
        operator = find_operator(node.operator)
        assert operator is not None
        for problem in operator.check(node):
            raise InputError(
                f"{self.name} makes no features of {problem.reason}; allowed: {problem.allowed}"
            )
        return Parts(samples, (node,), (state,), 0)


def _starts(bands: np.ndarray) -> np.ndarray:
    counts = bands[:, 1].astype(np.int64)
    return np.cumsum(counts) - counts
