"""Signals before every line of the functions that write files, each in a process of its own.

``python every_line.py FOLDER`` prints the files that were left each time, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tvmtiny.host import files, interrupts, unfinished

NEW = {"a.c": b"new a", "sub/b.c": b"new b", "c.tar": b"new c"}
OLD = {"a.c": b"old a", "sub/b.c": b"old b", "kept": b"kept"}
#: A number above the line count of every action.
MOST = 1000


def write_new(place: Path) -> None:
    files.write_folder(place / "deep" / "er" / "out", NEW)


def write_over(place: Path) -> None:
    files.write_folder(place, NEW)


def write_one(place: Path) -> None:
    files.write_bytes(place / "a.c", NEW["a.c"])


def work(place: Path) -> None:
    with unfinished.work_folder("test") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_bytes(b"x")


def fail(place: Path) -> None:
    (place / "c.tar").mkdir()
    try:
        files.write_folder(place, NEW)
    except files.OutputPathError:
        (place / "c.tar").rmdir()


def signal_at(wanted: int) -> Callable[..., Any]:
    """A trace function that raises SIGINT before a line of tvmtiny."""
    seen = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if "tvmtiny" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == wanted:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    return trace


def run(action: Callable[[Path], None], place: Path, wanted: int, program: bool) -> int:
    """The exit code: 0 if there was no such line, 3 after a KeyboardInterrupt."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if program:
        interrupts.install()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.settrace(signal_at(wanted))
    code = 0
    try:
        action(place)
    except KeyboardInterrupt:
        code = 3
    except BaseException:
        code = 4
    sys.settrace(None)
    if not program:
        # Clean up as at the end of any process.
        unfinished.remove_all()
    os._exit(code)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def main() -> None:
    root = Path(sys.argv[1])
    found = []
    for action in (write_new, write_over, write_one, work, fail):
        for program in (True, False):
            for wanted in range(1, MOST, 1 if program else 5):
                place = root / f"{action.__name__}-{program}-{wanted}"
                place.mkdir()
                if action in (write_over, write_one, fail):
                    (place / "sub").mkdir()
                    for name, text in OLD.items():
                        (place / name).write_bytes(text)
                code = run(action, place, wanted, program)
                found.append([action.__name__, program, wanted, code, contents(place)])
                if code == 0:
                    break
    print(json.dumps(found))


if __name__ == "__main__":
    main()
