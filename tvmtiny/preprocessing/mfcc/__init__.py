"""Mel-frequency cepstral coefficients, as librosa, TensorFlow or CMSIS-DSP define them."""

from tvmtiny.preprocessing.mfcc.front_end import MfccFrontEnd

__all__ = ["FRONT_END", "MfccFrontEnd"]

FRONT_END = MfccFrontEnd
