"""Generated models as a folder for another build system or IDE: CMake, make, Arduino and others."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmtiny.errors import InputError
from tvmtiny.host.files import write_folder
from tvmtiny.project.package import PackagedModel, package_files, render
from tvmtiny.project.zephyr.application import application_files

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["FORMATS", "Export", "ExportedModel", "Library", "check_library", "export"]

# Those of the PACK schema's RestrictedString and of Arduino's library.properties.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# The schema's CvendorType.
_VENDOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,31}")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
# No control characters, which XML cannot hold.
_URL = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]*")

# The schema's CsubType.
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,31}")

# Parts of Zephyr's application that belong to the module, rather than to the application.
_MODULE = re.compile(r"zephyr/|include/|src/(sample|inference|shell)\.c$")

# The earliest time that ZIP knows: the same models give the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Library:
    """What a library manager shows; for the formats ``arduino`` and ``cmsis-pack``.

    Attributes
    ----------
    name
        By default that of the model, or ``tvmtiny_models`` where there are several.
    version
        Of the library, as ``MAJOR.MINOR.PATCH``.
    vendor
        Who publishes it.
    url
        Where it is published; may be empty.
    """

    name: str = ""
    version: str = "1.0.0"
    vendor: str = "tvmtiny"
    url: str = ""


@dataclass(frozen=True)
class ExportedModel:
    """A model of an export, and the bytes that it takes."""

    name: str
    target: str
    arena_bytes: int
    state_bytes: int
    constants_bytes: int


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes
    ----------
    format
        One of :data:`FORMATS`.
    directory
        The folder.
    library
        With the name that it got.
    models
        What it holds.
    files
        All that were written.
    pack
        The file to install, for ``cmsis-pack``; it is one of `files`.
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

    Parameters
    ----------
    models
        One or more, of different names.
    format
        ``cmake``, ``makefile``, ``arduino``, ``zephyr`` (a module) or ``cmsis-pack``.
    directory
        Where to. Files that are there are overwritten, and others stay; see
        `tvmtiny.host.files.write_folder`.
    library
        Name, version and vendor.

    Raises
    ------
    InputError
        There is no such format, two models have the same name, or the library cannot be called so.
    OutputPathError
        The directory cannot be written to.
    """
    check_library(format, library or Library())
    artifacts = list(models) if isinstance(models, Sequence) else [models]
    package = package_files([PackagedModel(artifact) for artifact in artifacts])
    chosen = _named(library or Library(), artifacts)
    title, write = _FORMATS[format]
    context = {"models": artifacts, "library": chosen, "format": format, "title": title}
    texts = write(artifacts, package, context)
    pack = f"{chosen.vendor}.{chosen.name}.{chosen.version}.pack"
    texts["README.md"] = render("export/README.md.j2", **context, pack=pack)
    contents = {name: text.encode("utf-8") for name, text in texts.items()}
    if format == "cmsis-pack":
        contents[pack] = _zip(contents)
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
    """Refuse a format that does not exist, and what a library cannot be called.

    Raises
    ------
    InputError
        The message says what is allowed.
    """
    if format not in FORMATS:
        raise InputError(f"there is no export format {format!r}; known: {', '.join(FORMATS)}")
    rules = (
        ("name", library.name or "default", _NAME, "letters, digits, _ and -, at most 63"),
        ("version", library.version, _VERSION, "three numbers, such as 1.0.0"),
        ("vendor", library.vendor, _VENDOR, "2 to 32 letters, digits and -"),
        ("url", library.url, _URL, "a URL without spaces"),
    )
    for what, value, pattern, allowed in rules:
        if not pattern.fullmatch(value):
            raise InputError(f"the library's {what} cannot be {value!r}; allowed: {allowed}")


def _named(library: Library, artifacts: Sequence[Artifact]) -> Library:
    if library.name:
        return library
    name = f"tvmtiny_{artifacts[0].name}"[:63] if len(artifacts) == 1 else "tvmtiny_models"
    return replace(library, name=name)


_Files = dict[str, str]


def _cmake(
    artifacts: Sequence[Artifact], package: Mapping[str, str], context: Mapping[str, Any]
) -> _Files:
    files = {name: text for name, text in package.items() if not name.endswith(".mk")}
    files["example/CMakeLists.txt"] = render("export/example.cmake.j2")
    files["example/main.c"] = render("export/main.c.j2", **context)
    return files


def _makefile(
    artifacts: Sequence[Artifact], package: Mapping[str, str], context: Mapping[str, Any]
) -> _Files:
    files = _sources(package)
    files["tvmtiny_models.mk"] = package["tvmtiny_models.mk"]
    files["example/Makefile"] = render("export/Makefile.j2")
    files["example/main.c"] = render("export/main.c.j2", **context)
    return files


def _arduino(
    artifacts: Sequence[Artifact], package: Mapping[str, str], context: Mapping[str, Any]
) -> _Files:
    name = context["library"].name
    files = {f"src/{source}": text for source, text in _sources(package).items()}
    files["library.properties"] = render("export/library.properties.j2", **context)
    files[f"examples/{name}/{name}.ino"] = render("export/sketch.ino.j2", **context)
    return files


def _zephyr(
    artifacts: Sequence[Artifact], package: Mapping[str, str], context: Mapping[str, Any]
) -> _Files:
    models, table = [PackagedModel(artifact) for artifact in artifacts], "tvmtiny_models.c"
    files = {
        name: text for name, text in application_files().items() if _MODULE.match(name) is not None
    }
    files |= {f"models/{source}": text for source, text in _sources(package).items()}
    files["models/sources.cmake"] = package_files(models, table)["sources.cmake"]
    files[f"models/{table}"] = render("models.c.j2", models=models)
    return files


def _cmsis_pack(
    artifacts: Sequence[Artifact], package: Mapping[str, str], context: Mapping[str, Any]
) -> _Files:
    for artifact in artifacts:
        if not _COMPONENT.fullmatch(artifact.name):
            raise InputError(
                f"{artifact.name} cannot be the name of a CMSIS component: at most 32 characters, "
                "the first a letter or a digit; give the model another name"
            )
    library = context["library"]
    files = {f"models/{source}": text for source, text in _sources(package).items()}
    files[f"{library.vendor}.{library.name}.pdsc"] = render("export/pack.pdsc.j2", **context)
    return files


def _sources(package: Mapping[str, str]) -> _Files:
    return {name: text for name, text in package.items() if name.endswith((".c", ".h"))}


def _zip(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


_Writer = Callable[[Sequence["Artifact"], Mapping[str, str], Mapping[str, Any]], _Files]
_FORMATS: Mapping[str, tuple[str, _Writer]] = {
    "cmake": ("as a CMake package", _cmake),
    "makefile": ("as a fragment for Makefiles", _makefile),
    "arduino": ("as a library for the Arduino IDE", _arduino),
    "zephyr": ("as a Zephyr module", _zephyr),
    "cmsis-pack": ("as a CMSIS-Pack", _cmsis_pack),
}

#: What :func:`export` can write.
FORMATS = tuple(_FORMATS)
