"""Levels, bands and spectral kurtosis of vibration and motion."""

from tvmtiny.preprocessing.vibration.front_end import VibrationFrontEnd

__all__ = ["FRONT_END", "VibrationFrontEnd"]

FRONT_END = VibrationFrontEnd
