"""Deltas between images, made with the package ``detools``."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from tvmtiny.errors import ImageError
from tvmtiny.errors.base import one_line
from tvmtiny.host.imports import importing
from tvmtiny.images.image_format import Image, parse_image

__all__ = ["apply_delta", "make_delta"]


def make_delta(old: Image, new: Image) -> bytes:
    """Make a delta from an old image to a new one: a sequential detools patch with heatshrink.

    Raises
    ------
    ToolMissingError
        The package ``detools`` is not installed.
    """
    with _detools():
        import detools
    patch = BytesIO()
    detools.create_patch(BytesIO(old.pack()), BytesIO(new.pack()), patch, compression="heatshrink")
    return patch.getvalue()


def apply_delta(old: Image, delta: bytes, file: str) -> Image:
    """Make the new image from the old one and a delta, and verify its hash.

    Parameters
    ----------
    file
        Name of the delta in error messages.

    Raises
    ------
    ImageError
        The file is not a delta, or is for another image.
    ToolMissingError
        The package ``detools`` is not installed.
    """
    with _detools():
        import detools
    new = BytesIO()
    try:
        detools.apply_patch(BytesIO(old.pack()), BytesIO(delta), new)
    except Exception as error:
        # For a damaged patch, detools and its decoders let any exception through.
        raise _no_delta(file, one_line(error) or type(error).__name__) from error
    try:
        return parse_image(new.getvalue(), file)
    except ImageError as error:
        raise _no_delta(file, f"its result is not an image: {error.reason}") from error


def _no_delta(file: str, reason: str) -> ImageError:
    return ImageError(
        file,
        f"it is not a delta of this old image ({reason[:100]})",
        "give the old image from which the delta was made (tvmtiny image delta OLD NEW)",
    )


def _detools() -> Any:
    return importing("detools", "tvmtiny[images]", "to make and apply deltas between images")
