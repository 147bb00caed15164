"""Front ends: computations between a sensor's samples and a model, as parts of the model.

A front end is a folder of this package that defines ``FRONT_END``, a subclass of `FrontEnd`; see
`tvmtiny.preprocessing.registry`.
"""

from tvmtiny.preprocessing.attach import with_front_end
from tvmtiny.preprocessing.detection import Detection, Detector
from tvmtiny.preprocessing.front_end import FrontEnd, Parts
from tvmtiny.preprocessing.options import apply_front_end, front_end, parse_duration
from tvmtiny.preprocessing.registry import find_front_end, front_ends

__all__ = [
    "Detection",
    "Detector",
    "FrontEnd",
    "Parts",
    "apply_front_end",
    "find_front_end",
    "front_end",
    "front_ends",
    "parse_duration",
    "with_front_end",
]
