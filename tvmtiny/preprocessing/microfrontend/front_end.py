"""The operator MICROFRONTEND as a front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.ops import Node, Quantization, Tensor, find_operator
from tvmtiny.ops.microfrontend import microfrontend
from tvmtiny.ops.shared.graph import State
from tvmtiny.ops.shared.signal.microfrontend import Microfrontend, MicrofrontendSettings
from tvmtiny.preprocessing.front_end import FrontEnd, NewTensor, Parts


@dataclass(frozen=True)
class MicrofrontendFrontEnd(FrontEnd):
    """Computes features as described in `tvmtiny.ops.shared.signal.microfrontend`.

    Attributes
    ----------
    settings
        Settings of the features. The defaults are those of `pymicro-features`: 40 channels, windows
        of 30 ms at 16 kHz, every 10 ms.
    """

    name: ClassVar[str] = "microfrontend"
    settings: MicrofrontendSettings = field(default_factory=MicrofrontendSettings)

    @classmethod
    def of(
        cls, sample_rate: int | None, step_ms: float | None, settings: Mapping[str, Any]
    ) -> MicrofrontendFrontEnd:
        known = {f.name: f.type for f in fields(MicrofrontendSettings)}
        values = dict(settings)
        unknown = next((key for key in settings if key not in known), None)
        if unknown is not None:
            raise InputError(
                f"microfrontend has no setting {quoted(unknown)}; known: {', '.join(known)}"
            )
        if step_ms is not None:
            if step_ms != int(step_ms) or step_ms < 1:
                raise InputError(
                    f"a step of {step_ms:g} ms is not possible; give a whole number of ms, at "
                    "least 1"
                )
            values["step_ms"] = int(step_ms)
        if sample_rate is not None:
            values["sample_rate"] = sample_rate
        made = cls(replace(MicrofrontendSettings(), **values))
        made.check()
        return made

    def check(self) -> None:
        """Check the settings.

        Raises
        ------
        InputError
            If no features can be computed with the settings.
        """
        s = self.settings
        sizes = (s.sample_rate, s.window_ms, s.step_ms, s.channels)
        if min(sizes) < 1 or s.sample_rate > 192_000 or s.window_ms > 1000 or s.channels > 256:
            raise InputError(
                "microfrontend needs a sample rate of 1 to 192,000 Hz, windows and steps of 1 to "
                "1,000 ms and 1 to 256 channels"
            )
        if s.step_ms >= s.window_ms:
            raise InputError(
                f"a step of {s.step_ms} ms is not shorter than the window of {s.window_ms} ms; "
                "give a shorter step"
            )
        try:
            _ = self._front
        except ValueError as error:
            raise InputError(
                f"at {s.sample_rate} Hz, {error}: {s.upper_hz:g} Hz; give another sample rate"
            ) from error
        scale = Quantization((0.1,), (-128,))
        output = Tensor(0, "features", (1, s.channels), "int8", scale)
        self.parts(output, 1, lambda name, shape, dtype: Tensor(0, name, shape, dtype))

    @property
    def sample_rate(self) -> int:
        return self.settings.sample_rate

    @property
    def features(self) -> int:
        return self.settings.channels

    @property
    def samples(self) -> int:
        return self._front.step

    @property
    def _front(self) -> Microfrontend:
        return microfrontend(self.settings)

    def parts(self, output: Tensor, rows: int, new: NewTensor) -> Parts:
        samples = new("samples", (1, rows * self.samples), "int16")
        node, states = self._node(samples, output, new)
        operator = find_operator(node.operator)
        assert operator is not None
        for problem in operator.check(node):
            raise InputError(
                f"microfrontend does not support {problem.reason}; allowed: {problem.allowed}"
            )
        return Parts(samples, (node,), states, 0)

    def _node(
        self, samples: Tensor, output: Tensor, new: NewTensor
    ) -> tuple[Node, tuple[State, ...]]:
        history, noise = (self._front.window - self.samples,), (self.features,)
        before = [new("samples_before", history, "int16"), new("noise", noise, "int32")]
        after = [new("samples_after", history, "int16"), new("noise_after", noise, "int32")]
        states = tuple(
            State(b.name, b, a, np.zeros(b.shape, b.dtype))
            for b, a in zip(before, after, strict=True)
        )
        options = asdict(self.settings)
        node = Node(0, "MICROFRONTEND", 1, (samples, *before), (output, *after), options)
        return node, states
