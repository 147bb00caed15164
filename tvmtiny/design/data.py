"""Labelled samples for training and testing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tvmtiny.errors import InputDataError

__all__ = ["Dataset", "read_dataset"]

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples of a classification task.

    Attributes
    ----------
    x_train, x_test
        float32, ``(samples, *shape)``: images (height, width, channels) or vectors. The samples for
        testing are used neither for training nor for any choice.
    y_train, y_test
        Classes as integers, starting from 0.

    Raises
    ------
    InputDataError
        If an array does not fit the others or holds NaN or infinity, or there is only one class.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = _samples(f"x_{part}", getattr(self, f"x_{part}")), getattr(self, f"y_{part}")
            object.__setattr__(self, f"x_{part}", x)
            if y.dtype.kind not in "iu" or y.shape != (len(x),) or (y.size and y.min() < 0):
                got = f"{y.dtype} {list(y.shape)}"
                wanted = f"{len(x)} classes, integers from 0"
                raise InputDataError(f"y_{part}", "wrong dtype, shape or values", wanted, got)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            got = f"{list(self.x_train.shape[1:])} and {list(self.x_test.shape[1:])}"
            raise InputDataError(
                "x_test",
                "the shape differs from that of x_train",
                "samples shaped as those of x_train",
                got,
            )
        if len(np.unique(self.y_train)) < 2:
            raise InputDataError("y_train", "only one class", "at least two classes", "1")
        if self.y_test.max() >= self.classes:
            wanted = f"classes that x_train has, below {self.classes}"
            raise InputDataError("y_test", "unknown classes", wanted, str(int(self.y_test.max())))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample."""
        return tuple(int(d) for d in self.x_train.shape[1:])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y_train.max()) + 1


def _samples(name: str, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "fiu" or x.ndim not in (2, 4) or not len(x):
        got = f"{x.dtype} {list(x.shape)}"
        wanted = "numbers, (samples, height, width, channels) or (samples, features)"
        raise InputDataError(name, "wrong dtype or shape", wanted, got)
    # A number beyond the range of float32 becomes an infinity.
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x.reshape(len(x), -1))).any(axis=1).argmax())
        raise InputDataError(
            name, "NaN or infinity", "finite float32 numbers", f"sample {bad}, the first of them"
        )
    return x


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Read a ``.npz`` file with the arrays x_train, y_train, x_test and y_test.

    Raises
    ------
    InputDataError
        If the file has another format, or in the cases listed for `Dataset`.
    """
    file = Path(path)
    wanted = f"a .npz file with the arrays {', '.join(_ARRAYS)}"
    try:
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.ndarray):
            raise ValueError("one array instead of several")
        with content:
            missing = [name for name in _ARRAYS if name not in content.files]
            if missing:
                got = ", ".join(content.files) or "nothing"
                raise InputDataError(str(file), f"without {missing[0]}", wanted, got)
            return Dataset(*(content[name] for name in _ARRAYS))
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "not a .npz file"
        raise InputDataError(str(file), str(reason), wanted, str(file)) from error
