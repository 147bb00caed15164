"""The runtime headers that generated code includes."""

from __future__ import annotations

from importlib import resources

__all__ = ["header_text"]


def header_text(name: str) -> str:
    """The text of the runtime header `name`, such as ``tvmtiny_math.h``.

    Headers lie in ``runtime/core`` or in the folder of a kernel family; in an artifact all lie in
    one folder.

    Raises
    ------
    FileNotFoundError
        If no folder has a header of that name.
    """
    runtime = resources.files("tvmtiny.runtime")
    for folder in (runtime / "core", *(runtime / "kernels").iterdir()):
        file = folder / name
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError(f"tvmtiny/runtime has no header {name}")
