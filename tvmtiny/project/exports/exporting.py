"""Export models as a folder for another build system or IDE; each format is a module here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.files import write_folder
from tvmtiny.project.exports.arduino import ARDUINO
from tvmtiny.project.exports.cmake import CMAKE
from tvmtiny.project.exports.cmsis_pack import CMSIS_PACK, pack_name, zipped
from tvmtiny.project.exports.edge_impulse import EDGE_IMPULSE
from tvmtiny.project.exports.esp_idf import ESP_IDF
from tvmtiny.project.exports.library import Format, Library, Package, check_names, named
from tvmtiny.project.exports.makefile import MAKEFILE
from tvmtiny.project.exports.platformio import PLATFORMIO
from tvmtiny.project.exports.zephyr import ZEPHYR
from tvmtiny.project.package import PackagedModel, package_files, render

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["FORMATS", "Export", "ExportedModel", "Library", "check_library", "export"]

_FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        CMAKE,
        MAKEFILE,
        ARDUINO,
        ZEPHYR,
        CMSIS_PACK,
        ESP_IDF,
        PLATFORMIO,
        EDGE_IMPULSE,
    )
}

#: Formats that :func:`export` supports.
FORMATS = tuple(_FORMATS)


@dataclass(frozen=True)
class ExportedModel:
    """An exported model and its memory demand in bytes."""

    name: str
    target: str
    arena_bytes: int
    state_bytes: int
    constants_bytes: int


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes
    ----------
    format
        One of :data:`FORMATS`.
    directory
        Folder that was written.
    library
        Metadata of the library, including its final name.
    models
        The exported models.
    files
        All files that were written.
    pack
        The pack file to install, for ``cmsis-pack``; also listed in `files`.
    """

    format: str
    directory: Path
    library: Library
    models: tuple[ExportedModel, ...]
    files: tuple[Path, ...]
    pack: Path | None


def export(
    models: Artifact | Sequence[Artifact],
    format: str,
    directory: str | os.PathLike[str],
    library: Library | None = None,
) -> Export:
    """Write generated models as a folder that can be dropped into a project.

    Every folder contains a README.md with instructions and the licence of tvmtiny's own code.

    Parameters
    ----------
    models
        One or more models with distinct names; exactly one for ``edge-impulse``.
    format
        ``cmake``, ``makefile``, ``arduino``, ``zephyr`` (a module), ``cmsis-pack``, ``esp-idf`` (a
        component), ``platformio`` or ``edge-impulse``.
    directory
        Folder to write. Existing files of the same names are overwritten, and others are kept; see
        `tvmtiny.host.files.write_folder`.
    library
        Name, version and vendor. For ``edge-impulse``, the name is the prefix of the functions that
        the SDK calls.

    Returns
    -------
    Export
        The files that were written.

    Raises
    ------
    InputError
        The format is unknown, two models have the same name, the library's name is invalid, or the
        format cannot hold a model.
    OutputPathError
        The directory cannot be written.
    """
    check_library(format, library or Library())
    artifacts = list(models) if isinstance(models, Sequence) else [models]
    files = package_files([PackagedModel(artifact) for artifact in artifacts])
    chosen = named(library or Library(), artifacts, _FORMATS[format])
    package = Package(artifacts, files, chosen)
    texts = _FORMATS[format].write(package)
    pack = pack_name(chosen)
    title = _FORMATS[format].title
    texts["README.md"] = package.render("README.md.j2", format=format, title=title, pack=pack)
    texts["LICENSE"] = render("export/LICENSE")
    contents = {name: text.encode("utf-8") for name, text in texts.items()}
    if format == CMSIS_PACK.name:
        contents[pack] = zipped(contents)
    folder = Path(directory)
    write_folder(folder, contents)
    return Export(
        format,
        folder,
        chosen,
        tuple(
            ExportedModel(
                each.name,
                each.target.name,
                each.arena_bytes,
                each.state_bytes,
                each.constants_bytes,
            )
            for each in artifacts
        ),
        tuple(folder / name for name in contents),
        folder / pack if pack in contents else None,
    )


def check_library(format: str, library: Library) -> None:
    """Raise if the format is unknown or the metadata of the library is invalid.

    Parameters
    ----------
    format
        Name of the format.
    library
        Metadata of the library.

    Raises
    ------
    InputError
        The message describes valid values.
    """
    if format not in FORMATS:
        raise InputError(f"there is no export format {quoted(format)}; known: {', '.join(FORMATS)}")
    check_names(library)
