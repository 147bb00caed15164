"""Write files and folders atomically, so that an interrupted run leaves no partial output."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tvmtiny.errors import OutputPathError
from tvmtiny.host import interrupts, unfinished

__all__ = [
    "check_path",
    "make_directory",
    "write_bytes",
    "write_folder",
    "write_text",
    "writing",
]

_MODE = 0o644
#: Characters of a name that its temporary name keeps; each may take 4 of the 255 bytes allowed.
_SHOWN = 50


def check_path(path: Path, folder: bool = False) -> None:
    """Check that a file could be written, before the work that makes its content.

    Parameters
    ----------
    path
        The file.
    folder
        Whether the path is a folder, which may be new together with its parents.

    Raises
    ------
    OutputPathError
        The file or the folder cannot be written.
    """
    if folder:
        path = next(p for p in (path, *path.absolute().parents) if p.exists())
        reason = 0 if path.is_dir() else errno.ENOTDIR
    else:
        reason = errno.EISDIR if path.is_dir() else 0 if path.parent.is_dir() else errno.ENOENT
    place = path if path.exists() else path.parent
    reason = reason or (0 if os.access(place, os.W_OK) else errno.EACCES)
    if reason:
        raise OutputPathError(path=path, reason=os.strerror(reason))


def make_directory(directory: Path) -> None:
    """Create a directory and its parents if they do not exist.

    Raises
    ------
    OutputPathError
        The directory cannot be created, or the path is a file.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(directory, error) from error


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 atomically; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it.

    If the path is a symbolic link, the link is kept and its target is replaced. A device or a pipe,
    such as ``/dev/stdout``, is written to directly.

    Raises
    ------
    OutputPathError
        The file cannot be written.
    """
    if path.is_dir():
        raise OutputPathError(path=path, reason=os.strerror(errno.EISDIR))
    if path.exists() and not path.is_file():
        _write_into(path, content)
        return
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    temporary = unfinished.begin(path.parent, f".{path.name[:_SHOWN]}.")
    try:
        _write(temporary, content)
        temporary.replace(path)
    except OSError as error:
        raise _cannot(path, error) from error
    finally:
        unfinished.remove(temporary)


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, all of them or none.

    A new folder gets its name only once it is complete. In an existing folder, files of the same
    names are replaced and other files are kept; everything is first written into a hidden subfolder
    and then renamed. Signals are deferred during the renaming, so a mixture of old and new files
    can remain only if the process is killed at that moment, and each file is complete even then.

    Parameters
    ----------
    contents
        Content of each file by its path below the folder, with ``/``. Files are renamed in this
        order.

    Raises
    ------
    OutputPathError
        The folder or a file cannot be written.
    """
    exists = folder.is_dir()
    parents = () if exists else unfinished.begin_parents(folder)
    temporary: Path | None = None
    try:
        place = folder if exists else folder.parent
        place.mkdir(parents=True, exist_ok=True)
        temporary = unfinished.begin(place, f".{folder.name[:_SHOWN]}.")
        temporary.mkdir()
        for name, content in contents.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content)
        with interrupts.deferred():
            if not exists:
                try:
                    temporary.rename(folder)
                except OSError:
                    # Another process has created the folder meanwhile, or the path cannot be a
                    # folder.
                    if not folder.is_dir():
                        raise
                    exists = True
            if exists:
                _move(temporary, folder, contents)
    except OSError as error:
        raise _cannot(folder, error) from error
    finally:
        if temporary is not None:
            unfinished.remove(temporary)
        unfinished.remove_parents(parents)


def _move(source: Path, folder: Path, names: Iterable[str]) -> None:
    """Rename files into a folder, or none if one of the targets is a folder."""
    targets = [folder / name for name in names]
    for target in targets:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{target.name} is a folder there")
        target.parent.mkdir(parents=True, exist_ok=True)
    for name, target in zip(names, targets, strict=True):
        (source / name).replace(target)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
    path.chmod(_MODE)


def _write_into(path: Path, content: bytes) -> None:
    """Write to a device or a pipe directly."""
    try:
        # With O_NONBLOCK, opening a pipe that has no reader fails instead of blocking.
        number = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        with os.fdopen(number, "wb") as file:
            os.set_blocking(number, True)
            file.write(content)
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> OutputPathError:
    return OutputPathError(path=path, reason=error.strerror or str(error))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise errors of the context with the name of the file being written.

    The system's error for a failed write does not name the file.

    Raises
    ------
    OutputPathError
        The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise _cannot(path, error) from error
