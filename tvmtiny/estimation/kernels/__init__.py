"""How often each part of a micro-kernel runs, from its instantiation and the arguments of calls.

Each function of these modules mirrors the loops of one macro or function of the runtime's headers.
What a part costs is calibrated; how often it runs is exact.
"""

# Importing a module registers its counts.
from tvmtiny.estimation.kernels import patches, thumb, tiles
from tvmtiny.estimation.kernels.counting import Instantiation, Part, instantiations, parts

__all__ = ["Instantiation", "Part", "instantiations", "parts", "patches", "thumb", "tiles"]
