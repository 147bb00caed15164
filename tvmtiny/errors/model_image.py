"""Errors in model images."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.errors.base import InputError, one_line


@dataclass(eq=False)
class ImageError(InputError):
    """An image of a model cannot be made, or is not in order.

    Attributes
    ----------
    image
        Name of the file or the model.
    reason
        Description of the problem.
    advice
        Advice for the user.
    """

    image: str
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"image {one_line(self.image)}: {one_line(self.reason)}; {self.advice}"
