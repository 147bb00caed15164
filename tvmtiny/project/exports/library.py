"""The parts of an export: models, metadata for library managers, the files of a format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.project.package import render

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["Files", "Format", "Library", "Package", "check_names", "named"]

# Permitted by both the PACK schema's RestrictedString and Arduino's library.properties.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# CvendorType of the PACK schema.
_VENDOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,31}")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
# Excludes quotes, and control characters and surrogates, which XML cannot represent.
_URL = re.compile(r"[^\s\"\x00-\x1f\x7f-\x9f\ud800-\udfff]*")

#: Text of files by name.
Files = dict[str, str]


@dataclass(frozen=True)
class Library:
    """Metadata shown by library managers, for formats that have one.

    Attributes
    ----------
    name
        Name; by default that of the model, or ``tvmtiny_models`` for several models.
    version
        Version of the library, as ``MAJOR.MINOR.PATCH``.
    vendor
        Publisher of the library.
    url
        Address at which the library is published; may be empty.
    """

    name: str = ""
    version: str = "1.0.0"
    vendor: str = "tvmtiny"
    url: str = ""


@dataclass(frozen=True)
class Package:
    """The input of a format's writer.

    Attributes
    ----------
    artifacts
        The models to export.
    files
        Files from `tvmtiny.project.package.package_files`.
    library
        Metadata of the library, including its name.
    """

    artifacts: Sequence[Artifact]
    files: Mapping[str, str]
    library: Library

    def sources(self, folder: str = "") -> Files:
        """Return the C files and headers of all models, side by side in `folder`."""
        prefix = f"{folder}/" if folder else ""
        return {
            f"{prefix}{name}": text
            for name, text in self.files.items()
            if name.endswith((".c", ".h"))
        }

    def render(self, template: str, **values: Any) -> str:
        """Fill a template of exports with the models, the library and `values`."""
        return render(f"export/{template}", models=self.artifacts, library=self.library, **values)


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes
    ----------
    name
        Name of the format for users.
    title
        Phrase that completes "written by tvmtiny".
    write
        Function that returns the files.
    library_name
        Default name of the library; None to derive it from the models' names.
    """

    name: str
    title: str
    write: Callable[[Package], Files]
    library_name: str | None = None


def named(library: Library, artifacts: Sequence[Artifact], format: Format) -> Library:
    """Return the library with a default name if it has none."""
    if library.name:
        return library
    name = format.library_name
    if name is None:
        name = f"tvmtiny_{artifacts[0].name}"[:63] if len(artifacts) == 1 else "tvmtiny_models"
    return replace(library, name=name)


def check_names(library: Library) -> None:
    """Raise if the metadata of a library is invalid.

    Raises
    ------
    InputError
        The message describes valid values.
    """
    rules = (
        ("name", library.name or "default", _NAME, "letters, digits, _ and -, at most 63"),
        ("version", library.version, _VERSION, "three numbers, such as 1.0.0"),
        ("vendor", library.vendor, _VENDOR, "2 to 32 letters, digits and -"),
        ("url", library.url, _URL, "a URL without spaces and quotes"),
    )
    for what, value, pattern, allowed in rules:
        if not pattern.fullmatch(value):
            raise InputError(f"the library's {what} cannot be {quoted(value)}; allowed: {allowed}")
