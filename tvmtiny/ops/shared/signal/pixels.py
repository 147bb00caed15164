"""Pixels of a camera as a model's input, in fixed point and in real numbers.

An image is cropped and resized, as TensorFlow does with centres of pixels at halves, and each
channel becomes ``(value - mean) * scale``, values being 0 to 255. Positions between pixels have 11
fractional bits, so that a value is off by at most 0.13 before it is quantized.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tvmtiny.ops.shared.signal.spectrum import LOG_BITS, Quantizer

#: Fractional bits of a position between pixels.
POSITION_BITS = 11
#: Bytes of a pixel by format.
FORMATS = {"rgb565": 2, "rgb565be": 2, "rgb888": 3, "grey": 1}
RESIZES = ("bilinear", "nearest")
#: Shares of red, green and blue in grey, in 256ths (ITU-R BT.601).
LUMA = (77, 150, 29)


@dataclass(frozen=True)
class ImageSettings:
    """The settings of the input.

    Attributes
    ----------
    height, width
        Size of the camera's image.
    format
        ``rgb565`` (the lower byte first), ``rgb565be``, ``rgb888`` or ``grey``.
    crop_top, crop_left, crop_height, crop_width
        Part of the image that is used; a size of 0 reaches to the end.
    resize
        ``bilinear`` or ``nearest``.
    mean, scale
        Numbers for all channels, or one for each, separated by commas.
    out_height, out_width, channels
        Size of the model's input.
    """

    height: int = 120
    width: int = 160
    format: str = "rgb565"
    crop_top: int = 0
    crop_left: int = 0
    crop_height: int = 0
    crop_width: int = 0
    resize: str = "bilinear"
    mean: str = "0"
    scale: str = "1"
    out_height: int = 0
    out_width: int = 0
    channels: int = 0


class ImageInput:
    """The tables and the arithmetic for given settings."""

    def __init__(self, settings: ImageSettings) -> None:
        self.settings = settings

    @cached_property
    def means(self) -> tuple[float, ...]:
        """Mean of each channel."""
        return _numbers(self.settings.mean, self.settings.channels)

    @cached_property
    def scales(self) -> tuple[float, ...]:
        """Scale of each channel."""
        return _numbers(self.settings.scale, self.settings.channels)

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """Top, left, height and width of the part that is used."""
        s = self.settings
        height = s.crop_height or s.height - s.crop_top
        return s.crop_top, s.crop_left, height, s.crop_width or s.width - s.crop_left

    @cached_property
    def places(self) -> np.ndarray:
        """Row or column and fraction of each output row, then of each column: int16, (n, 2)."""
        s, (top, left, height, width) = self.settings, self.crop
        rows, columns = self._along(s.out_height, height), self._along(s.out_width, width)
        rows[:, 0] += top
        columns[:, 0] += left
        return np.concatenate([rows, columns]).astype(np.int16)

    def _along(self, count: int, size: int) -> np.ndarray:
        centres = (np.arange(count) + 0.5) * size / count
        if self.settings.resize == "nearest":
            return np.stack([np.floor(centres), np.zeros(count)], axis=-1).astype(np.int64)
        fixed = np.floor(np.clip(centres - 0.5, 0, size - 1) * (1 << POSITION_BITS) + 0.5)
        whole = fixed.astype(np.int64)
        return np.stack([whole >> POSITION_BITS, whole & ((1 << POSITION_BITS) - 1)], axis=-1)

    def quantizers(self, scale: float, zero_point: int) -> list[Quantizer] | None:
        """Return the factors of each channel; None if the model's scale is too small."""
        found = []
        for mean, factor in zip(self.means, self.scales, strict=True):
            made = Quantizer.of(factor, scale, zero_point)
            if made is None or abs(mean * factor / scale) >= 1 << 15:
                return None
            shifted = round((zero_point - mean * factor / scale) * 2.0**made.shift)
            offset = shifted + (1 << (made.shift - 1))
            found.append(Quantizer(made.multiplier, offset, made.shift))
        return found

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """Return the values of all channels: int64, ``(height, width, channels)``."""
        s = self.settings
        data = image.reshape(s.height, s.width, FORMATS[s.format]).astype(np.int64)
        if s.format.startswith("rgb565"):
            low, high = (1, 0) if s.format.endswith("be") else (0, 1)
            word = data[..., low] | data[..., high] << 8
            red, green, blue = word >> 11, (word >> 5) & 63, word & 31
            parts = [red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2]
            data = np.stack(parts, axis=-1)
        if s.channels < data.shape[-1]:
            return (data @ np.array(LUMA) + 128 >> 8)[..., None]
        return data

    def values(self, image: np.ndarray) -> np.ndarray:
        """Compute the values of the output: int64 with 16 fractional bits."""
        s, places = self.settings, self.places.astype(np.int64)
        pixels, one = self.pixels(image), 1 << POSITION_BITS
        (y, fy), (x, fx) = places[: s.out_height].T, places[s.out_height :].T
        below, right = y + (fy > 0), x + (fx > 0)
        wx, wy = fx[None, :, None], fy[:, None, None]

        def row(at: np.ndarray) -> np.ndarray:
            return pixels[at][:, x] * (one - wx) + pixels[at][:, right] * wx

        total = row(y) * (one - wy) + row(below) * wy
        spare = 2 * POSITION_BITS - LOG_BITS
        return (total + (1 << (spare - 1))) >> spare


def _numbers(text: str, channels: int) -> tuple[float, ...]:
    """Parse one number for all channels, or one for each.

    Raises
    ------
    ValueError
        If the text is something else.
    """
    values = tuple(float(part) for part in text.split(","))
    if len(values) not in (1, channels):
        raise ValueError(f"{len(values)} numbers for {channels} channels")
    return values * (channels if len(values) == 1 else 1)
