"""Images of a camera: crop, resize, pixels to int8, mean and scale."""

from tvmtiny.preprocessing.image.front_end import ImageFrontEnd

__all__ = ["FRONT_END", "ImageFrontEnd"]

FRONT_END = ImageFrontEnd
