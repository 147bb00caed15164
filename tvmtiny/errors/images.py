"""What is wrong with images of models."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny.errors.base import InputError, one_line


@dataclass(eq=False)
class ImageError(InputError):
    """An image of a model cannot be made, or is not in order.

    Attributes
    ----------
    image
        File or model.
    reason
        What is wrong.
    advice
        What to do about it.
    """

    image: str
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"image {one_line(self.image)}: {one_line(self.reason)}; {self.advice}"
