"""Samples of a model's inputs, and their labels: arrays, numpy's files, folders of images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tvmtiny.errors import InputDataError
from tvmtiny.host.packages import importing
from tvmtiny.inputs import TensorSpec, input_names

__all__ = ["DATA_KINDS", "Data", "Samples", "find_samples", "image_notes", "shaped"]

#: What a command takes, for messages and help texts.
DATA_KINDS = "FILE.npz, FILE.npy or a folder of images"
#: What the labels may be called in a file, the best name first.
_LABELS = ("y", "labels", "targets", "label")
#: What a model's only input may be called, behind its own names.
_INPUTS = ("x", "images", "inputs", "data")
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
#: What Pillow calls pictures with so many channels.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
#: What bytes of images may be in a model.
IMAGE_RANGE = (0.0, 1.0)

#: What samples are read from: arrays by name, arrays in the order of the inputs, one array for the
#: only input, or a file or folder.
Data = Mapping[str, np.ndarray] | Sequence[np.ndarray] | np.ndarray | str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs of a model.

    Attributes
    ----------
    inputs
        One array for each input, the first dimension counting samples, as they were given.
    labels
        What there is to be of each sample; None where that is not said.
    notes
        What a user should know, one sentence each.
    """

    inputs: tuple[np.ndarray, ...]
    labels: np.ndarray | None
    notes: tuple[str, ...] = ()


def find_samples(
    data: Data,
    tensors: Sequence[TensorSpec],
    *,
    image_range: tuple[float, float] = IMAGE_RANGE,
) -> Samples:
    """Find the samples of each input.

    Parameters
    ----------
    data
        Arrays by name, as `tvmtiny.inputs.input_names` says, or ``x``, ``images``, ``inputs`` or
        ``data`` for the only input, with labels as ``y``, ``labels`` or ``targets``; arrays in the
        order of the inputs, and perhaps the labels behind them; one array; a ``.npz`` file of
        either; a ``.npy`` file; or a folder of images, whose folders inside are classes.
    tensors
        The inputs of the model.
    image_range
        What the bytes 0 and 255 of images become.

    Raises
    ------
    InputDataError
        If there is something else, or nothing, or another number of samples for each input.
    ToolMissingError
        Pillow is not installed, which reads images.
    """
    place = "the data"
    if isinstance(data, str | os.PathLike):
        place = str(data)
        if Path(data).is_dir():
            return _from_images(Path(data), tensors, image_range)
        data = _read(Path(data))
    if isinstance(data, np.ndarray):
        data = [data]
    if not isinstance(data, Mapping):
        data = {f"arr_{i}": np.asarray(array) for i, array in enumerate(data)}
    names = _names(data, tensors, place)
    inputs = [np.asarray(data[name]) for name in names]
    of_labels = [*_LABELS, *([f"arr_{len(names)}"] if names[-1].startswith("arr_") else ())]
    labels = next((data[n] for n in of_labels if n in data and n not in names), None)
    for array, tensor in zip(inputs, tensors, strict=True):
        _check_numbers(array, tensor.name, place)
    if labels is not None:
        _check_numbers(labels, "labels", place)
    counts = {len(array) if array.ndim else 0 for array in inputs}
    if len(counts) > 1 or 0 in counts:
        every = ", ".join(t.name for t in tensors)
        wanted = "as many samples for each input, at least one"
        raise InputDataError(every, "different numbers of samples", wanted, str(sorted(counts)))
    return Samples(tuple(inputs), labels)


def _read(path: Path) -> Mapping[str, np.ndarray] | np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, BadZipFile, TypeError) as error:
        reason = getattr(error, "strerror", None) or "not a numpy file of numbers"
        raise InputDataError(str(path), str(reason), DATA_KINDS, str(path)) from error


def _names(data: Mapping[str, np.ndarray], tensors: Sequence[TensorSpec], place: str) -> list[str]:
    """What the array of each input is called."""
    found = []
    for position, (tensor, names) in enumerate(zip(tensors, input_names(tensors), strict=True)):
        more = _INPUTS if len(tensors) == 1 else ()
        known = [*dict.fromkeys((*names, *more)), f"arr_{position}"]
        name = next((name for name in known if name in data), None)
        if name is None:
            given = ", ".join(data) or "nothing"
            wanted = f"an array named {' or '.join(known[:-1])}, or arrays without names in order"
            raise InputDataError(tensor.name, f"missing in {place}", wanted, given)
        found.append(name)
    return found


def _check_numbers(array: np.ndarray, name: str, place: str) -> None:
    if array.dtype.kind not in "biuf":
        raise InputDataError(name, "wrong dtype", "numbers", f"{array.dtype} in {place}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputDataError(name, "infinite or no numbers", "finite samples", "NaN or inf")


def shaped(tensor: TensorSpec, array: np.ndarray) -> np.ndarray:
    """Samples in the shape ``(samples, *tensor.shape)``; dimensions of 1 may be left out.

    Raises
    ------
    InputDataError
        If they have another shape.
    """
    shape = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
    inner, given = [d for d in shape if d != 1], [d for d in array.shape[1:] if d != 1]
    if array.ndim == 0 or given != inner:
        # One sample without the dimension that counts them, or channels in another place.
        advice = ""
        if [d for d in array.shape if d != 1] == inner:
            advice = ": the first dimension counts samples, as in array[None]"
        elif len(given) == len(shape) == 3 and given == [shape[2], *shape[:2]]:
            advice = ": channels come last here, as in array.transpose(0, 2, 3, 1)"
        raise InputDataError(
            tensor.name,
            f"wrong shape of the samples{advice}",
            f"[samples, {', '.join(map(str, shape))}]",
            f"{list(array.shape)}",
        )
    return array.reshape(len(array), *tensor.shape)


def _from_images(
    folder: Path, tensors: Sequence[TensorSpec], image_range: tuple[float, float]
) -> Samples:
    """Every image in a folder, and the number of the folder inside that it lies in as its label."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _IMAGES and p.is_file())
    if not files:
        kinds = ", ".join(_IMAGES)
        raise InputDataError(str(folder), "no images in the folder", f"files of {kinds}", "none")
    size = _picture_size(tensors)
    if size is None:
        shapes = ", ".join(str(list(t.shape)) for t in tensors)
        raise InputDataError(
            str(folder),
            "images for inputs that are none",
            "one input [1, height, width, 1 or 3]",
            shapes,
        )
    height, width, channels = size
    with importing("pillow", "'tvmtiny[pictures]'", "to read images", "PIL"):
        from PIL import Image, UnidentifiedImageError
    pictures, sizes = [], set()
    for file in files:
        try:
            with Image.open(file) as picture:
                sizes.add(picture.size)
                picture = picture.convert(_MODES[channels])
                if picture.size != (width, height):
                    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
                pictures.append(np.asarray(picture, np.uint8).reshape(height, width, channels))
        except (OSError, UnidentifiedImageError) as error:
            raise InputDataError(str(file), "no image that can be read", "an image", "") from error
    low, high = image_range
    array = (np.stack(pictures).astype(np.float32) / 255 * (high - low) + low).astype(np.float32)
    classes = sorted({p.relative_to(folder).parts[0] for p in files if p.parent != folder})
    labels = None
    if classes and all(p.parent != folder for p in files):
        labels = np.array([classes.index(p.relative_to(folder).parts[0]) for p in files])
    return Samples(
        (array,), labels, tuple(image_notes(sizes, (width, height), image_range, classes))
    )


def _picture_size(tensors: Sequence[TensorSpec]) -> tuple[int, int, int] | None:
    if len(tensors) != 1:
        return None
    shape = tensors[0].shape
    if len(shape) == 4 and shape[0] == 1 and shape[3] in _MODES:
        return shape[1], shape[2], shape[3]
    if len(shape) in (2, 3) and prod(shape[:-2]) == 1:
        return shape[-2], shape[-1], 1
    return None


def image_notes(
    sizes: set[tuple[int, int]],
    wanted: tuple[int, int],
    image_range: tuple[float, float],
    classes: Sequence[str],
) -> list[str]:
    """What was done to images."""
    low, high = image_range
    notes = [
        f"bytes of images became numbers from {low:g} to {high:g}; give another --image-range if "
        "the model was trained on others"
    ]
    if sizes != {wanted}:
        notes.append(
            f"images were resized to {wanted[0]}x{wanted[1]} (width by height), whatever their "
            "proportions"
        )
    if classes:
        named = ", ".join(f"{i} {name}" for i, name in enumerate(classes))
        notes.append(f"folders are classes: {named}")
    return notes
