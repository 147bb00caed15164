"""Read data files that a Python package ships, without importing the package.

Data sets need only files of their package: `pip install --no-deps` is enough, and so are the copies
that ``scripts/setup.sh dev`` puts next to the packages of the environment.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

#: Folder in which ``scripts/setup.sh dev`` unpacks packages that are needed only for their data.
_COPIES = Path(sys.prefix) / "src" / "data"


def package_file(package: str, path: str) -> Path:
    """Find a file of a package.

    Raises
    ------
    ModuleNotFoundError
        If neither the package nor a copy of its files is installed.
    """
    spec = find_spec(package)
    installed = spec.submodule_search_locations if spec is not None else None
    for folder in (*(installed or ()), str(_COPIES / package)):
        if (file := Path(folder, path)).is_file():
            return file
    raise ModuleNotFoundError(
        f"{path} of the package {package} is missing: run scripts/setup.sh dev, or pip install "
        "--no-deps with the release that docs/examples.md names",
        name=package,
    )


def read_series(name: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a data set of the UCR and UEA archives as the package ``aeon`` ships it.

    Parameters
    ----------
    name, part
        Name of the data set, and ``TRAIN`` or ``TEST``.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Samples ``(samples, channels, steps)``, and their classes from 0 in the order of the names.
    """
    file = package_file("aeon", f"datasets/data/{name}/{name}_{part}.ts")
    lines = file.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.lower().startswith("@data"))
    rows = [line.strip().split(":") for line in lines[start + 1 :] if line.strip()]
    x = [[np.array(channel.split(","), float) for channel in row[:-1]] for row in rows]
    labels = [row[-1] for row in rows]
    return np.array(x), np.unique(labels, return_inverse=True)[1]
