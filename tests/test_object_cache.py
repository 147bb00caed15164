"""The cache of objects returns the compiler's own results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.object_cache import ObjectCache
from tests.tools import needs_programs
from tvmtiny.host.toolchain import find_tool, run_tool
from tvmtiny.host.tools import CLibrary
from tvmtiny.targets.architectures import find_architecture

pytestmark = needs_programs("arm-none-eabi-gcc")


class Counting:
    def __init__(self) -> None:
        self.runs = 0

    def run_tool(
        self, command: Sequence[str], directory: Path, log_path: Path, library: CLibrary | None
    ) -> str:
        self.runs += 1
        return run_tool(command, directory, log_path, library)


def project(path: Path, header: str, source: str = '#include "a.h"\nint x = A;\n') -> Path:
    (path / "inc").mkdir(parents=True)
    (path / "a.c").write_text(source)
    (path / "a.h").write_text("#include <b.h>\n#include <stdint.h>\n")
    (path / "inc" / "b.h").write_text(header)
    return path


def test_only_what_is_the_same_is_used_again(tmp_path: Path) -> None:
    counting = Counting()
    cache = ObjectCache(tmp_path / "objects", counting.run_tool)
    objects = []

    def compiled(name: str, header: str, *flags: str, **more: str) -> int:
        folder = project(tmp_path / name, header, **more)
        command = (
            find_tool(find_architecture("arm").compiler),
            *flags,
            "-Iinc",
            "-c",
            "a.c",
            "-o",
            "a.o",
        )
        assert cache.run(command, folder, folder / "log") == ""
        assert (folder / "log").read_text() == f"{' '.join(command)}\n"
        objects.append((folder / "a.o").read_bytes())
        return counting.runs

    assert compiled("one", "#define A 1\n") == 1
    assert compiled("same", "#define A 1\n") == 1
    assert objects[0] == objects[1]
    assert compiled("header", "#define A 2\n") == 2
    assert compiled("flag", "#define A 1\n", "-O2") == 3
    assert compiled("source", "#define A 1\n", source='#include "a.h"\nint y = A;\n') == 4
    macro = '#define H "a.h"\n#include H\nint x = A;\n'
    assert compiled("macro", "#define A 1\n", source=macro) == 5
    assert compiled("macro again", "#define A 1\n", source=macro) == 6


def test_what_fails_or_warns_runs_each_time(tmp_path: Path) -> None:
    counting = Counting()
    cache = ObjectCache(tmp_path / "objects", counting.run_tool)
    folder = project(tmp_path / "warns", "#warning loud\n#define A 1\n")
    command = (find_tool(find_architecture("arm").compiler), "-Iinc", "-c", "a.c", "-o", "a.o")
    printed = [cache.run(command, folder, folder / "log") for _ in range(2)]
    assert counting.runs == 2 and printed[0] == printed[1] and "loud" in printed[0]
    (folder / "a.c").write_text("int x = ;\n")
    for _ in range(2):
        with pytest.raises(Exception, match="expected expression"):
            cache.run(command, folder, folder / "log")
    assert counting.runs == 4


@pytest.mark.parametrize(
    ("words", "outputs"),
    [
        (("-c", "a.c", "b.c"), ("a.o", "b.o")),
        (("-fcallgraph-info=su", "-c", "a.c", "b.c"), ("a.o", "b.o", "a.ci", "b.ci")),
        (("-nostdlib", "-r", "-o", "program", "a.c", "b.c"), ("program",)),
    ],
)
def test_several_files_of_one_command(
    words: tuple[str, ...], outputs: tuple[str, ...], tmp_path: Path
) -> None:
    counting = Counting()
    cache = ObjectCache(tmp_path / "objects", counting.run_tool)
    command = (find_tool(find_architecture("arm").compiler), "-Iinc", *words)
    written = []
    for name, value in (("one", 1), ("same", 1), ("other", 2)):
        folder = project(tmp_path / name, "#define A 1\n")
        (folder / "b.c").write_text(f"int f(void) {{ return {value}; }}\n")
        assert cache.run(command, folder, folder / "log") == ""
        assert (folder / "log").read_text() == f"{' '.join(command)}\n"
        written.append([(folder / output).read_bytes() for output in outputs])
    assert counting.runs == 2
    assert written[0] == written[1] != written[2]
