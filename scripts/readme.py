"""Fill the console blocks of README.md with what their commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
PROGRAM = Path(sys.executable).with_name("tvmtiny")

_BLOCK = re.compile(r"```console\n\$ tvmtiny (?P<words>[^\n]*)\n.*?```", re.DOTALL)


def filled(text: str) -> str:
    """`text` with every block run anew, all of them in one temporary folder."""
    with tempfile.TemporaryDirectory() as directory:

        def run(block: re.Match[str]) -> str:
            done = subprocess.run(
                [PROGRAM, *block["words"].split()],
                cwd=directory,
                env={**os.environ, "COLUMNS": "100"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            lines = [line.rstrip() for line in done.stdout.splitlines()]
            return "\n".join(["```console", f"$ tvmtiny {block['words']}", *lines, "```"])

        return _BLOCK.sub(run, text)


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
