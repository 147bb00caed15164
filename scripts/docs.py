"""Fill the console blocks of README.md and docs/ with what their commands print.

A page is run from top to bottom in one temporary folder. In a ``console`` block each line that
begins with ``$`` is a command, and what follows up to the next one is what it prints on stdout. A
block that names a file (```` ```c main.c ````) is written to that file when its turn comes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(
    r"^```(?P<kind>\w+)(?: (?P<file>\S+))?\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)


def pages() -> list[Path]:
    """All pages with commands."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """`text` with every block run anew, all of them in one temporary folder.

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
            shown = "".join(f"{command}\n{_output(command[2:], directory)}" for command in commands)
            return f"```console\n{shown}```"

        return _BLOCK.sub(run, text)


def _output(command: str, directory: str) -> str:
    folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={**os.environ, "COLUMNS": "100", "PATH": f"{folder}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
