"""Export as a CMSIS-Pack, for csolution projects, Keil and IAR."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping

from tvmtiny.errors import InputError
from tvmtiny.project.exports.library import Files, Format, Library, Package

# CsubType of the PACK schema.
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,31}")

# The earliest time that ZIP can represent, for reproducible archives.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def _write(package: Package) -> Files:
    for artifact in package.artifacts:
        if not _COMPONENT.fullmatch(artifact.name):
            raise InputError(
                f"{artifact.name} cannot be the name of a CMSIS component: at most 32 characters, "
                "the first a letter or a digit; give the model another name"
            )
    files = package.sources("models")
    description = f"{package.library.vendor}.{package.library.name}.pdsc"
    files[description] = package.render("pack.pdsc.j2")
    return files


def pack_name(library: Library) -> str:
    """Return the name of the pack file."""
    return f"{library.vendor}.{library.name}.{library.version}.pack"


def zipped(contents: Mapping[str, bytes]) -> bytes:
    """Zip files reproducibly: equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


CMSIS_PACK = Format("cmsis-pack", "as a CMSIS-Pack", _write)
