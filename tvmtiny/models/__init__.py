"""The models that ship with tvmtiny.

Each is a few kilobytes of int8 TFLite, described in ``models.toml`` next to it. All files of this
folder but this one are written by ``scripts/train_models.py``.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmtiny.errors.base import quoted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    # Commands that only look up a model by its name start without numpy.
    import numpy as np

__all__ = ["digits_test", "names", "path"]

_FOLDER = Path(__file__).resolve().parent


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    with (_FOLDER / "models.toml").open("rb") as handle:
        table: dict[str, Any] = tomllib.load(handle)
    return table


def names() -> tuple[str, ...]:
    """Return the names of the shipped models, smallest model first."""
    return tuple(_table())


def path(name: str) -> Path:
    """Return where the ``.tflite`` file of a shipped model lies.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    pathlib.Path
        The absolute path of the file.

    Raises
    ------
    ValueError
        If no model of that name ships.
    """
    if name not in names():
        raise ValueError(
            f"no shipped model is named {quoted(name)}; the shipped models are "
            f"{', '.join(names())}; "
            "give the path of a .tflite file for any other model"
        )
    return _FOLDER / str(_table()[name]["file"])


def digits_test() -> tuple[np.ndarray, np.ndarray]:
    """Return the images that ``digits`` was not trained on.

    ``digits_test.npz`` stores raw pixels, 0 (paper) to 16 (ink). They are quantized here as TFLite
    defines it, ``round(real / scale) + zero_point`` clamped to [-128, 127], with the scale and the
    zero point of the model's input.

    Returns
    -------
    images : numpy.ndarray
        int8, shape (N, 8, 8, 1): slice ``images[i : i + 1]`` is one input of the model.
    labels : numpy.ndarray
        int64, shape (N,): the digit of each image, 0 to 9.
    """
    # Commands that only look up a model by its name start without numpy.
    import numpy as np

    table = _table()["digits"]
    with np.load(_FOLDER / table["test_file"]) as arrays:
        raw, labels = arrays["images"], arrays["labels"]
    levels = np.round(raw.astype(np.float64) / table["input"]["scale"])
    levels = np.clip(levels + table["input"]["zero_point"], -128, 127)
    return levels.astype(np.int8)[..., None], labels
