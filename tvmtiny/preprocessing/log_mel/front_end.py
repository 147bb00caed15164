"""The operator MEL_FEATURES without a DCT as a front end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvmtiny.preprocessing.mel import MelFrontEnd


@dataclass(frozen=True)
class LogMelFrontEnd(MelFrontEnd):
    """Computes logarithms of the sums of filters."""

    name: ClassVar[str] = "log-mel"
    hidden: ClassVar[tuple[str, ...]] = ("coefficients",)
