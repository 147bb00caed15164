"""The operator IMAGE_INPUT as a front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import Any, ClassVar

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.ops import Node, Tensor, find_operator
from tvmtiny.ops.shared.signal.pixels import FORMATS, RESIZES, ImageInput, ImageSettings
from tvmtiny.preprocessing.front_end import FrontEnd, NewTensor, Parts
from tvmtiny.preprocessing.settings import set_fields

#: Most pixels along a side.
_MOST = 4096


@dataclass(frozen=True)
class ImageFrontEnd(FrontEnd):
    """Computes a model's input as described in `tvmtiny.ops.shared.signal.pixels`.

    Attributes
    ----------
    settings
        Settings of the input. The size of the output is that of the model.
    """

    name: ClassVar[str] = "image"
    steps: ClassVar[bool] = False
    settings: ImageSettings = field(default_factory=ImageSettings)

    @classmethod
    def of(
        cls, sample_rate: int | None, step_ms: float | None, settings: Mapping[str, Any]
    ) -> ImageFrontEnd:
        if sample_rate is not None or step_ms is not None:
            raise InputError("an image has no sample rate and no step; leave them out")
        hidden = ("out_height", "out_width", "channels")
        texts = {
            key: str(value) if key in ("mean", "scale") else value
            for key, value in settings.items()
        }
        made = cls(set_fields(cls.name, ImageSettings(), texts, hidden))
        made.check()
        return made

    def check(self) -> None:
        """Check the settings that do not depend on a model.

        Raises
        ------
        InputError
            If a setting cannot be used.
        """
        s = self.settings
        if s.format not in FORMATS:
            raise InputError(f"image has no format {quoted(s.format)}; known: {', '.join(FORMATS)}")
        if s.resize not in RESIZES:
            raise InputError(f"image has no resize {quoted(s.resize)}; known: {', '.join(RESIZES)}")
        if not 1 <= s.height <= _MOST or not 1 <= s.width <= _MOST:
            raise InputError(f"an image of {s.height} x {s.width}: give sides of 1 to {_MOST:,}")
        top, left, height, width = ImageInput(s).crop
        inside = top >= 0 and left >= 0 and height >= 1 and width >= 1
        if not inside or top + height > s.height or left + width > s.width:
            raise InputError(
                f"a crop of {height} x {width} at {top}, {left} is not within the image of "
                f"{s.height} x {s.width}"
            )

    def fitted(self, model: str, shape: tuple[int, ...]) -> ImageFrontEnd:
        s = self.settings
        sides = shape[1:] if len(shape) == 4 and shape[0] == 1 else ()
        allowed = (1,) if FORMATS[s.format] == 1 else (1, 3)
        if len(sides) != 3 or sides[2] not in allowed or max(sides) > _MOST:
            channels = " or ".join(str(count) for count in allowed)
            raise InputError(
                f"{model}'s input is {list(shape)}: no image of the front end image with the "
                f"format {s.format}, such as [1, 96, 96, {channels}]"
            )
        made = replace(s, out_height=sides[0], out_width=sides[1], channels=sides[2])
        image = ImageInput(made)
        try:
            numbers = (*image.means, *image.scales)
        except ValueError:
            numbers = ()
        if not numbers or not all(map(isfinite, numbers)) or min(image.scales) <= 0:
            raise InputError(
                f"a mean of {quoted(s.mean)} and a scale of {quoted(s.scale)} do not fit; give one "
                f"number, or {sides[2]} with commas, and scales above 0"
            )
        return replace(self, settings=made)

    @property
    def sample_rate(self) -> int:
        return 0

    @property
    def features(self) -> int:
        s = self.settings
        return s.out_height * s.out_width * s.channels

    @property
    def samples(self) -> int:
        s = self.settings
        return s.height * s.width * FORMATS[s.format]

    def parts(self, output: Tensor, rows: int, new: NewTensor) -> Parts:
        s = self.settings
        pixels = new("pixels", (1, s.height, s.width, FORMATS[s.format]), "uint8")
        node = Node(0, "IMAGE_INPUT", 1, (pixels,), (output,), asdict(s))
        operator = find_operator(node.operator)
        assert operator is not None
        for problem in operator.check(node):
            raise InputError(
                f"image makes no input of {problem.reason}; allowed: {problem.allowed}"
            )
        return Parts(pixels, (node,))
