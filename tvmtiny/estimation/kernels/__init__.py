"""Executions of each part of a micro-kernel, derived from its instantiation and its arguments.

Each function of these modules mirrors the loops of one macro or function in the runtime's headers.
The cost of a part is calibrated; the number of its executions is exact.
"""

# Importing a module registers its counting functions.
from tvmtiny.estimation.kernels import dsp_depthwise, dsp_tiles, patches, thumb
from tvmtiny.estimation.kernels.counting import Instantiation, Part, instantiations, parts

__all__ = [
    "Instantiation",
    "Part",
    "dsp_depthwise",
    "dsp_tiles",
    "instantiations",
    "parts",
    "patches",
    "thumb",
]
