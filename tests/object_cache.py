"""Compile the same C with the same flags once for all tests of a session.

Each firmware contains the same start-up code, harness or RPC server, and many tests build the same
models, so the compiler takes most of their time. A result is reused only if the compiler, its
whole command, the sources and every header that they may include are the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tvmtiny.host import toolchain
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
        sources, outputs = _files(command)
        key = _key(command, sources, directory) if outputs else None
        if key is None:
            return self._run_tool(command, directory, log_path, library)
        # The file of the last output is the last one that is written.
        known = [self._folder / f"{key}.{number}" for number in range(len(outputs))]
        targets = [directory / output for output in outputs]
        if known[-1].exists():
            for file, target in zip(known, targets, strict=True):
                shutil.copy(file, target)
            log_path.write_text(f"{' '.join(command)}\n", encoding="utf-8")
            return ""
        printed = self._run_tool(command, directory, log_path, library)
        if not printed and all(target.exists() for target in targets):
            for file, target in zip(known, targets, strict=True):
                part = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}")
                shutil.copy(target, part)
                part.replace(file)
        return printed

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        """Run commands in place of `tvmtiny.host.toolchain.run_tool`, whoever has imported it."""
        original = toolchain.run_tool
        for name, module in [*sys.modules.items()]:
            if name.startswith("tvmtiny.") and getattr(module, "run_tool", None) is original:
                patch.setattr(module, "run_tool", self.run)


def _files(command: Sequence[str]) -> tuple[list[str], list[str]]:
    """The sources and the outputs of a compiler's command; no outputs if they are unknown."""
    words = list(command)
    if not words[0].endswith(("gcc", "/cc")):
        return [], []
    if words[-4::2] == ["-c", "-o"]:
        return [words[-3]], [words[-1]]
    count = next((n for n, word in enumerate(reversed(words)) if not word.endswith(".c")), 0)
    head, sources = words[: len(words) - count], words[len(words) - count :]
    if (
        not sources
        or len(head) < 3
        or len({Path(source).name for source in sources}) < len(sources)
    ):
        return [], []
    if head[-2] == "-o" and "-c" not in head:
        return sources, [head[-1]]
    if head[-1] != "-c" or "-o" in head:
        return [], []
    ends = (".ci", ".o") if "-fcallgraph-info=su" in head else (".o",)
    return sources, [f"{Path(source).stem}{end}" for end in ends for source in sources]


def _key(command: Sequence[str], sources: Sequence[str], directory: Path) -> str | None:
    """A hash of everything that the outputs depend on; None if that is unknown."""
    program = Path(command[0]).resolve()
    found = hashlib.sha256(repr((program, program.stat().st_mtime_ns, *command)).encode())
    folders = [directory / word[2:] for word in command if word.startswith("-I")]
    texts: list[bytes] = []
    for source in sources:
        read = _texts(directory / source, folders, set())
        if read is None:
            return None
        texts += read
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
