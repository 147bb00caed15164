"""Camera images: fixed point against real numbers, and C against fixed point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tests.preprocessing.features import in_turn
from tests.tools import on_qemu
from tvmtiny.errors import InputError
from tvmtiny.ops.shared.signal.pixels import FORMATS, ImageInput, ImageSettings

_SMALL = {"height": 12, "width": 17}


def _picture(format: str, height: int = 12, width: int = 17) -> np.ndarray:
    shape = (1, height, width, FORMATS[format])
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)


def _model(shape: tuple[int, int, int], scale: float = 0.02, name: str = "seen") -> tvmtiny.Model:
    """A model that returns its input."""
    count = int(np.prod(shape))
    b = ModelBuilder()
    x = b.input("x", (1, *shape), "int8", scale=scale, zero_point=-5)
    to = b.constant("shape", np.array([1, count], np.int32))
    y = b.tensor("y", (1, count), "int8", scale=scale, zero_point=-5)
    b.op("RESHAPE", [x, to], [y], {"new_shape": [1, count]})
    return tvmtiny.load(b.build([y]), name=name)


def _real_values(front: ImageInput, image: np.ndarray) -> np.ndarray:
    """The input of the model in real numbers: float64, ``(out_height, out_width, channels)``."""
    s, (top, left, height, width) = front.settings, front.crop
    part = front.pixels(image)[top : top + height, left : left + width].astype(float)
    for axis, (count, size) in enumerate([(s.out_height, height), (s.out_width, width)]):
        centres = (np.arange(count) + 0.5) * size / count
        if s.resize == "nearest":
            part = np.take(part, np.floor(centres).astype(int), axis)
            continue
        at = np.clip(centres - 0.5, 0, size - 1)
        first = np.floor(at).astype(int)
        share = (at - first).reshape([-1, *[1] * (2 - axis)])
        after = np.minimum(first + 1, size - 1)
        part = np.take(part, first, axis) * (1 - share) + np.take(part, after, axis) * share
    return (part - np.array(front.means)) * np.array(front.scales)


@pytest.mark.parametrize("resize", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(7, 9), (12, 17), (24, 30), (1, 1)])
def test_bounds(resize: str, size: tuple[int, int]) -> None:
    settings = ImageSettings(**_SMALL, format="rgb888", resize=resize)
    sized = {"out_height": size[0], "out_width": size[1], "channels": 3}
    image = ImageInput(ImageSettings(**{**vars(settings), **sized}))
    picture = _picture("rgb888")
    error = np.abs(image.values(picture) / 65536 - _real_values(image, picture))
    assert error.max() <= (0.13 if resize == "bilinear" else 0)


def test_resizing_is_tensorflows() -> None:
    """Halving an image averages four pixels, and the original size changes nothing."""
    settings = ImageSettings(4, 6, "grey", out_height=2, out_width=3, channels=1)
    picture = np.arange(24, dtype=np.uint8) * 3
    halves = ImageInput(settings).values(picture)[..., 0] / 65536
    blocks = picture.reshape(2, 2, 3, 2).astype(float).mean(axis=(1, 3))
    np.testing.assert_array_equal(halves, blocks)


def test_colours() -> None:
    """The largest RGB565 value is white, and green is the middle of the word."""
    settings = ImageSettings(1, 3, "rgb565", out_height=1, out_width=3, channels=3)
    words = np.array([0xFFFF, 0x07E0, 0x8410], "<u2").view(np.uint8)
    pixels = ImageInput(settings).pixels(words)[0]
    np.testing.assert_array_equal(pixels, [[255, 255, 255], [0, 255, 0], [132, 130, 132]])


#: Shapes of the model's input, and settings, by format.
_CASES: dict[str, tuple[tuple[int, int, int], dict[str, object]]] = {
    "rgb565": ((6, 8, 3), {"mean": "123.7,116.3,103.5", "scale": "0.017,0.0175,0.0174"}),
    "rgb565be": ((5, 7, 1), {"crop_top": 2, "crop_left": 3, "crop_width": 9}),
    "rgb888": ((12, 17, 3), {"resize": "nearest", "mean": 127.5, "scale": 0.0078}),
    "grey": ((20, 3, 1), {"scale": 0.003}),
}


def test_c_on_host(tmp_path: Path) -> None:
    models, runs = {}, {}
    for format, (shape, settings) in _CASES.items():
        front_end = tvmtiny.front_end("image", settings={**_SMALL, "format": format, **settings})
        models[format] = tvmtiny.with_front_end(_model(shape, name=format), front_end)
        sets = [[_picture(format)], [np.full_like(_picture(format), 255)]]
        runs[format] = HostRun(tvmtiny.compile(models[format], "mps2-an386"), sets)
    for format, results in run_each_on_host(runs, tmp_path).items():
        in_numpy = in_turn(models[format], runs[format].input_sets)
        for expected, result in zip(in_numpy, results, strict=True):
            np.testing.assert_array_equal(result.outputs[0].data, expected, format)


@on_qemu
def test_on_a_board() -> None:
    front_end = tvmtiny.front_end("image", settings={"mean": 127.5, "scale": "0.0078"})
    model = tvmtiny.with_front_end(_model((32, 32, 3)), front_end)
    artifact = tvmtiny.compile(model, "mps2-an386")
    assert [tensor.name for tensor in artifact.inputs] == ["pixels"]
    inputs = [_picture("rgb565", 120, 160)]
    with tvmtiny.Session(artifact, timeout=60) as session:
        result = session.measure(*inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    assert result.instructions < 500_000


@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"format": "yuv"}, "no format 'yuv'"),
        ({"resize": "cubic"}, "no resize 'cubic'"),
        ({"height": 0}, "sides of 1 to 4,096"),
        ({"crop_top": 100, "crop_height": 50}, "not within the image"),
        ({"channels": 3}, "no setting 'channels'"),
        ({"mean": "1,2"}, "3 with commas"),
        ({"scale": 0}, "scales above 0"),
        ({"mean": 1e9}, "image makes no input of a scale"),
        ({"format": "grey"}, "no image of the front end image"),
    ),
)
def test_settings_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tvmtiny.with_front_end(_model((6, 8, 3)), tvmtiny.front_end("image", settings=settings))


def test_an_image_has_no_rate() -> None:
    with pytest.raises(InputError, match="no sample rate and no step"):
        tvmtiny.front_end("image", sample_rate=16000)
