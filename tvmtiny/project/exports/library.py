"""What an export is made of: models, what a library manager shows, the files of a format."""

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

# Those of the PACK schema's RestrictedString and of Arduino's library.properties.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# The schema's CvendorType.
_VENDOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,31}")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
# No control characters, which XML cannot hold, and no end of a string.
_URL = re.compile(r"[^\s\"\x00-\x1f\x7f-\x9f\ud800-\udfff]*")

#: Texts by the names of their files.
Files = dict[str, str]


@dataclass(frozen=True)
class Library:
    """What a library manager shows; for formats that are read by one.

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
class Package:
    """What a format writes.

    Attributes
    ----------
    artifacts
        The models.
    files
        Of `tvmtiny.project.package.package_files`.
    library
        With its name.
    """

    artifacts: Sequence[Artifact]
    files: Mapping[str, str]
    library: Library

    def sources(self, folder: str = "") -> Files:
        """Give the C files and headers of all models, side by side in `folder`."""
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
    """One kind of folder.

    Attributes
    ----------
    name
        How it is asked for.
    title
        Follows "written by tvmtiny".
    write
        Gives the files.
    library_name
        The library's name where none is given; None for one that is made of the models' names.
    """

    name: str
    title: str
    write: Callable[[Package], Files]
    library_name: str | None = None


def named(library: Library, artifacts: Sequence[Artifact], format: Format) -> Library:
    """Give a library without a name its name."""
    if library.name:
        return library
    name = format.library_name
    if name is None:
        name = f"tvmtiny_{artifacts[0].name}"[:63] if len(artifacts) == 1 else "tvmtiny_models"
    return replace(library, name=name)


def check_names(library: Library) -> None:
    """Refuse what a library cannot be called.

    Raises
    ------
    InputError
        The message says what is allowed.
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
