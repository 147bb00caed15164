"""The operator MEL_FEATURES with a DCT as a front end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tvmtiny.errors import InputError
from tvmtiny.ops.shared.signal.mel import MelSettings
from tvmtiny.preprocessing.mel import MelFrontEnd


@dataclass(frozen=True)
class MfccFrontEnd(MelFrontEnd):
    """Computes cepstral coefficients, 13 by default."""

    name: ClassVar[str] = "mfcc"
    settings: MelSettings = field(default_factory=lambda: MelSettings(coefficients=13))

    def check(self) -> None:
        if self.settings.coefficients < 1:
            raise InputError(
                f"mfcc needs coefficients, 1 to {self.settings.channels}; for none use log-mel"
            )
        super().check()
