"""Log-mel spectra, as librosa, TensorFlow or CMSIS-DSP define them."""

from tvmtiny.preprocessing.log_mel.front_end import LogMelFrontEnd

__all__ = ["FRONT_END", "LogMelFrontEnd"]

FRONT_END = LogMelFrontEnd
