"""IMAGE_INPUT: pixels of a camera as a model's input, an operator of a front end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Oracle, Problem, Result, register
from tvmtiny.ops.shared.runtime_call import RuntimeCall
from tvmtiny.ops.shared.signal.pixels import FORMATS, ImageInput, ImageSettings
from tvmtiny.ops.shared.signal.settings import read_settings
from tvmtiny.ops.shared.signal.spectrum import Quantizer

_HEADERS = ("tvmtiny_signal.h", "tvmtiny_spectrum.h", "tvmtiny_camera.h")


@register
class ImageInputOperator(Operator):
    """An image, cropped, resized and quantized by `tvmtiny.ops.shared.signal.pixels`.

    The input is the bytes of the image in any shape.
    """

    name = "IMAGE_INPUT"
    input_count = 1
    dtypes = ("uint8",)
    result = "int8"
    in_litert = False
    needs_scale = False
    exactness = "fixed point, pixels within 0.13 of 255 of the definition in real numbers"

    def check_node(self, node: Node) -> Iterator[Problem]:
        s = settings_of(node)
        count = s.height * s.width * FORMATS[s.format]
        if node.input(0).elements != count:
            yield Problem(f"{node.input(0).elements} bytes", f"{count} bytes")
        if node.output.elements != s.out_height * s.out_width * s.channels:
            yield Problem(
                f"an output of {list(node.output.shape)}",
                f"{s.out_height} x {s.out_width} x {s.channels}",
            )
        problems = [*check_scale(node.output)]
        yield from problems
        if not problems and _quantizers(node) is None:
            yield Problem(
                f"a scale of {node.output.scale:g}", "one that suits the mean and scale of pixels"
            )

    def compute(self, node: Node, oracle: Oracle) -> Result:
        found, quantizers = ImageInput(settings_of(node)), _quantizers(node)
        assert quantizers is not None
        s = found.settings
        factors = [number for quantizer in quantizers for number in quantizer.sizes()]
        arguments = (
            node.input(0),
            found.places.reshape(-1),
            np.array(factors, np.int64).astype(np.int32),
            np.array([s.width, s.out_height, s.out_width], np.int32),
        )
        name = f"tvmtiny_camera_{s.format}_{s.channels}"
        return RuntimeCall(name, arguments, (), _HEADERS)

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        quantizers = _quantizers(node)
        assert quantizers is not None
        values = ImageInput(settings_of(node)).values(inputs[0])
        parts = [q.apply(values[..., channel]) for channel, q in enumerate(quantizers)]
        return [np.stack(parts, axis=-1).reshape(node.output.shape)]

    def macs(self, node: Node) -> int:
        return 0


def settings_of(node: Node) -> ImageSettings:
    """Return the settings among a node's options."""
    return read_settings(ImageSettings, node.options)


def _quantizers(node: Node) -> list[Quantizer] | None:
    found = ImageInput(settings_of(node))
    return found.quantizers(node.output.scale, node.output.zero_point)
