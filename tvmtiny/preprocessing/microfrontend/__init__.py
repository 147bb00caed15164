"""The features of TensorFlow's microfrontend, as used by `pymicro-features` and ESPHome."""

from tvmtiny.preprocessing.microfrontend.front_end import MicrofrontendFrontEnd

__all__ = ["FRONT_END", "MicrofrontendFrontEnd"]

FRONT_END = MicrofrontendFrontEnd
