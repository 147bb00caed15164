"""Saving of an artifact's files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.codegen.archive import archive_bytes
from tvmtiny.host.files import write_folder

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["save"]


def save(artifact: Artifact, directory: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write the C files of `artifact`, and its archive ``<name>.tar``, into `directory`.

    All files appear together or none does; see `tvmtiny.host.files.write_folder`. The archive is
    the last one.

    Parameters
    ----------
    artifact
        The generated code.
    directory
        The folder; it is created if it does not exist.

    Returns
    -------
    tuple of Path
        The files, in the order in which they were written.

    Raises
    ------
    OutputPathError
        If the directory cannot be created or written.
    """
    folder = Path(directory)
    contents = {name: text.encode() for name, text in artifact.files.items()}
    contents[f"{artifact.name}.tar"] = archive_bytes(artifact)
    write_folder(folder, contents)
    return tuple(folder / name for name in contents)
