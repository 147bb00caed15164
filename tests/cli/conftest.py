"""Run the command line, in this process or as a separate program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("tvmtiny")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The only object that a successful command prints on stdout."""
        assert self.code == 0, self.err
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    def error(self, code: int) -> str:
        """The one-line message, last on stderr, of a command that failed with `code`.

        A list of operators may follow the message, indented.
        """
        assert self.code == code, (self.code, self.err)
        assert "Traceback" not in self.err
        assert self.out == ""
        lines = [line for line in self.err.splitlines() if not line.endswith(" ...")]
        assert lines and lines[0].startswith("tvmtiny: "), self.err
        assert all(line.startswith("  operator ") for line in lines[1:]), self.err
        return "\n".join(lines)


Command = Callable[..., Outcome]


#: Models by file and options of loading: what depends on their layers is computed once as well.
_loaded: dict[object, Any] = {}


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``tvmtiny`` in this process; equal files are loaded once for all tests."""
    from tvmtiny.cli.main import main
    from tvmtiny.importers import registry

    load = registry.load_tflite

    def load_once(source: Any, **options: Any) -> Any:
        if isinstance(source, bytes) or not Path(source).is_file():
            return load(source, **options)
        key = str(source), Path(source).read_bytes(), *sorted(options.items())
        if key not in _loaded:
            _loaded[key] = load(source, **options)
        return _loaded[key]

    monkeypatch.setattr(registry, "load_tflite", load_once)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        caught = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), caught.out, caught.err)

    return run


@pytest.fixture
def few_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``tvmtiny memory`` compile for two of the shipped boards instead of all."""
    from tvmtiny.report import memory
    from tvmtiny.targets import find_board

    few = {name: find_board(name) for name in ("microbit", "mps2-an386")}
    monkeypatch.setattr(memory, "boards", lambda: few)


def _runner(program: Path, folder: Path) -> Command:
    def run(*arguments: object, **environment: str) -> Outcome:
        done = subprocess.run(
            [program, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding=environment.get("PYTHONIOENCODING", "utf-8"),
            timeout=300,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def program(tmp_path: Path, warm_programs: Path) -> Command:
    """Run ``tvmtiny`` as a program that has TVM imported already."""
    return _runner(warm_programs / "tvmtiny", tmp_path)


@pytest.fixture
def installed_program(tmp_path: Path) -> Command:
    """Run the installed ``tvmtiny``."""
    return _runner(PROGRAM, tmp_path)
