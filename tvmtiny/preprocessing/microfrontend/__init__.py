"""The features of TensorFlow's microfrontend, as `pymicro-features` and ESPHome use them."""

from tvmtiny.preprocessing.microfrontend.front_end import MicrofrontendFrontEnd

__all__ = ["FRONT_END", "MicrofrontendFrontEnd"]

FRONT_END = MicrofrontendFrontEnd
