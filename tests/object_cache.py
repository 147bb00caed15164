"""Compile the same C with the same flags once for all tests of a session.

Each firmware contains the same start-up code, harness or RPC server, and many tests build the same
models, so the compiler takes most of their time. An object is reused only if the compiler, its
whole command, the source and every header that it may include are the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tvmtiny.host.tools import CLibrary

#: See `tvmtiny.host.toolchain.run_tool`.
RunTool = Callable[[Sequence[str], Path, Path, CLibrary | None], str]

_INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include\b(.*)$", re.MULTILINE)
_NAME = re.compile(rb'\s*(?:"([^"]+)"|<([^>]+)>)\s*')


class ObjectCache:
    """Runs compilers and keeps their results.

    Parameters
    ----------
    folder
        Folder for objects; processes may share it.
    run_tool
        Runs commands whose result is not known yet.
    """

    def __init__(self, folder: Path, run_tool: RunTool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._run_tool = run_tool

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        log_path: Path,
        library: CLibrary | None = None,
    ) -> str:
        """Run a command like `tvmtiny.host.toolchain.run_tool`."""
        key = _key(command, directory)
        if key is None:
            return self._run_tool(command, directory, log_path, library)
        known = self._folder / key
        target = directory / command[-1]
        if known.exists():
            shutil.copyfile(known, target)
            log_path.write_text(f"{' '.join(command)}\n", encoding="utf-8")
            return ""
        printed = self._run_tool(command, directory, log_path, library)
        if not printed:
            part = known.with_name(f"{key}.{os.getpid()}")
            shutil.copyfile(target, part)
            part.replace(known)
        return printed


def _key(command: Sequence[str], directory: Path) -> str | None:
    """A hash of everything that an object depends on; None if that is unknown."""
    if len(command) < 5 or not command[0].endswith("gcc") or command[-4::2] != ("-c", "-o"):
        return None
    program, source = Path(command[0]).resolve(), directory / command[-3]
    found = hashlib.sha256(repr((program, program.stat().st_mtime_ns, *command)).encode())
    folders = [directory / word[2:] for word in command if word.startswith("-I")]
    texts = _texts(source, folders, set())
    if texts is None:
        return None
    for text in texts:
        # The length separates the end of one file from the start of the next.
        found.update(f"{len(text)} ".encode() + text)
    return found.hexdigest()


def _texts(path: Path, folders: Sequence[Path], seen: set[Path]) -> list[bytes] | None:
    """A file and its includes without the compiler's headers; None if they cannot be determined."""
    seen.add(path)
    text = path.read_bytes()
    if b"__has_include" in text:
        return None
    texts = [text]
    for include in _INCLUDE.finditer(text):
        name = _NAME.fullmatch(include[1])
        if name is None:
            return None
        quoted = [path.parent] if name[1] else []
        headers = (folder / (name[1] or name[2]).decode() for folder in (*quoted, *folders))
        header = next((header for header in headers if header.is_file()), None)
        if header is not None and header not in seen:
            inner = _texts(header, folders, seen)
            if inner is None:
                return None
            texts += inner
    return texts
