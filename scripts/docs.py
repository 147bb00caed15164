"""Fill the console blocks of README.md and docs/ with the output of their commands.

Each page is processed from top to bottom in one temporary folder. In a ``console`` block, each line
that begins with ``$`` is a command, and the lines up to the next command are its output on stdout.
A block that names a file (```` ```c main.c ````) is written to that file when its turn comes. The
table of options is inserted between ``<!-- options -->`` and ``<!-- end -->``. ``<!-- needs onnx
-->`` at the top of a page names modules that its commands import in addition to tvmtiny's own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tvmtiny.options import COMPILE_OPTIONS, FRONT_OPTIONS, LOAD_OPTIONS

ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(
    r"^```(?P<kind>\w+)(?: (?P<file>\S+))?\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)


_TABLE = re.compile(r"(?<=^<!-- options -->\n).*?(?=^<!-- end -->$)", re.DOTALL | re.MULTILINE)


def with_options(text: str) -> str:
    """Insert the current table of options from `tvmtiny.options` into `text`."""
    rows = ["| option | default | what it does |", "| --- | --- | --- |"]
    for option in (*LOAD_OPTIONS, *FRONT_OPTIONS, *COMPILE_OPTIONS):
        switch = f"{option.switches[0]} {option.metavar}".strip()
        default = "none" if option.default is None else option.default
        if option.type is bool:
            default = "on" if default else "off"
        rows.append(f"| `{switch}` | {default} | {option.help} |")
    return _TABLE.sub(lambda _: "\n".join((*rows, "")), text)


def missing(text: str) -> list[str]:
    """List the modules that the commands of a page need but that are not installed."""
    needed = re.match(r"<!-- needs ([\w ]+) -->", text)
    return [name for name in needed[1].split() if find_spec(name) is None] if needed else []


def pages() -> list[Path]:
    """List all pages with commands."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str, programs: Path = Path(sys.executable).parent) -> str:
    """Return `text` with every block executed again, all of them in one temporary folder.

    Parameters
    ----------
    programs
        Folder that is searched first for programs.

    Raises
    ------
    subprocess.CalledProcessError
        A command failed.
    """
    with tempfile.TemporaryDirectory() as directory:

        def run(block: re.Match[str]) -> str:
            if block["file"]:
                path = Path(directory, block["file"])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block["body"], encoding="utf-8")
            if block["kind"] != "console":
                return block[0]
            commands = [line for line in block["body"].splitlines() if line.startswith("$ ")]
            shown = "".join(
                f"{command}\n{_output(command[2:], directory, programs)}" for command in commands
            )
            return f"```console\n{shown}```"

        return _BLOCK.sub(run, text)


def _output(command: str, directory: str, programs: Path) -> str:
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={**os.environ, "COLUMNS": "120", "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


if __name__ == "__main__":
    # Process the pages named on the command line, or all pages.
    wanted = [Path(name).resolve() for name in sys.argv[1:]]
    for page in wanted or pages():
        text = with_options(page.read_text(encoding="utf-8"))
        if missing(text):
            print(f"{page.name} is left as it is: not installed: {', '.join(missing(text))}")
            continue
        page.write_text(filled(text), encoding="utf-8")
