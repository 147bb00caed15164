"""Read samples of a model's inputs, and their labels, from arrays, numpy files or image folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tvmtiny.errors import InputDataError
from tvmtiny.host.imports import importing
from tvmtiny.inputs import TensorSpec, input_names

__all__ = ["DATA_KINDS", "Data", "Samples", "find_samples", "image_notes", "shaped"]

#: The data that a command accepts, for messages and help texts.
DATA_KINDS = "FILE.npz, FILE.npy or a folder of images"
#: Accepted names of the labels in a file, in order of preference.
_LABELS = ("y", "labels", "targets", "label")
#: Accepted names of the array for a model's only input, after the input's own names.
_INPUTS = ("x", "images", "inputs", "data")
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
#: Pillow's mode by number of channels.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
#: Default range to which the bytes of images are mapped.
IMAGE_RANGE = (0.0, 1.0)

#: Sources of samples: arrays by name, arrays in the order of the inputs, one array for the only
#: input, or the path of a file or folder.
Data = Mapping[str, np.ndarray] | Sequence[np.ndarray] | np.ndarray | str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a model's inputs.

    Attributes
    ----------
    inputs
        One array for each input, as given; the first dimension counts samples.
    labels
        Expected result for each sample, or None if the data has no labels.
    notes
        Remarks for the user, one sentence each.
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
        One of: arrays by name, either as in `tvmtiny.inputs.input_names` or, for the only input,
        ``x``, ``images``, ``inputs`` or ``data``, with labels as ``y``, ``labels`` or ``targets``;
        arrays in the order of the inputs, optionally followed by the labels; one array; a ``.npz``
        file of either; a ``.npy`` file; or a folder of images, whose subfolders are the classes.
    tensors
        The inputs of the model.
    image_range
        Values to which the bytes 0 and 255 of images are mapped.

    Returns
    -------
    Samples
        Inputs and labels with the sample dimension first.

    Raises
    ------
    InputDataError
        If the data is of another kind, is empty, or has a different number of samples per input.
    ToolMissingError
        Pillow, which reads images, is not installed.
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
    """Return the name of the array for each input."""
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
        raise InputDataError(name, "values are infinite or NaN", "finite samples", "NaN or inf")


def shaped(tensor: TensorSpec, array: np.ndarray) -> np.ndarray:
    """Reshape samples to ``(samples, *tensor.shape)``; dimensions of 1 may be missing.

    Parameters
    ----------
    tensor
        Input of the model.
    array
        Samples; the first dimension counts them.

    Returns
    -------
    numpy.ndarray
        The samples in that shape, with the dtype of `array`.

    Raises
    ------
    InputDataError
        If the samples have another shape.
    """
    shape = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
    inner, given = [d for d in shape if d != 1], [d for d in array.shape[1:] if d != 1]
    if array.ndim == 0 or given != inner:
        # The sample dimension is missing, or the channels do not come last.
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
    """Read every image in a folder; its label is the index of the subfolder that holds it."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _IMAGES and p.is_file())
    if not files:
        kinds = ", ".join(_IMAGES)
        raise InputDataError(str(folder), "the folder has no images", f"files of {kinds}", "none")
    size = _picture_size(tensors)
    if size is None:
        shapes = ", ".join(str(list(t.shape)) for t in tensors)
        raise InputDataError(
            str(folder),
            "the inputs are not images",
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
            raise InputDataError(
                str(file), "the file is not a readable image", "an image", ""
            ) from error
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
    """Describe how images were converted."""
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
