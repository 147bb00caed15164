"""Compilers: a missing one is named with its package, a failure with its first error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tvmtiny.errors import BuildError, OutputPathError, ToolMissingError
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.host.toolchain import (
    CompileJob,
    compile_all,
    find_tool,
    first_error_line,
    run_tool,
)
from tvmtiny.host.tools import Tool
from tvmtiny.project.capacity import overflow_error
from tvmtiny.targets import find_board
from tvmtiny.targets.architectures import find_architecture

ARM = find_architecture("arm")


@pytest.mark.parametrize(
    ("tool", "package"),
    [(ARM.compiler, "gcc-arm-none-eabi"), (ARM.emulator, "qemu-system-arm")],
    ids=lambda value: getattr(value, "name", value),
)
def test_missing_tool_names_its_package(
    tool: Tool, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError) as raised:
        find_tool(tool)
    assert raised.value.package == package
    assert f"apt-get install {package}" in str(raised.value)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_output_is_kept_in_the_log(tmp_path: Path) -> None:
    assert run_tool(python("print('fine')"), tmp_path, tmp_path / "log") == "fine\n"
    assert (tmp_path / "log").read_text().endswith("\nfine\n")


def test_failure_names_the_first_error(tmp_path: Path) -> None:
    code = "print('a.c: In function f:\\na.c:3:1: error: bad\\na.c:4:1: error: x'); exit(1)"
    with pytest.raises(BuildError) as raised:
        run_tool(python(code), tmp_path, tmp_path / "log")
    assert raised.value.first_error_line == "a.c:3:1: error: bad"
    assert raised.value.log_path == tmp_path / "log"


@pytest.mark.parametrize(
    "line",
    [
        "arm-none-eabi-gcc: fatal error: cannot read spec file 'nano.specs': No such file",
        "a.c:1:10: fatal error: stdint.h: No such file or directory",
        "ld: cannot find -lm: No such file or directory",
    ],
)
def test_missing_c_library_names_its_package(line: str, tmp_path: Path) -> None:
    code = f"print({line!r}); exit(1)"
    with pytest.raises(ToolMissingError, match="libnewlib-arm-none-eabi"):
        run_tool(python(code), tmp_path, tmp_path / "log", ARM.library)


def test_first_failing_job_is_reported(tmp_path: Path) -> None:
    jobs = [
        CompileJob(python(f"print('error {name}'); exit({code})"), tmp_path / f"{name}.log")
        for name, code in (("one", 0), ("two", 1), ("three", 1))
    ]
    with pytest.raises(BuildError, match="error two"):
        compile_all(jobs, tmp_path)


def test_first_error_line_of_odd_logs() -> None:
    assert first_error_line("") == "no output"
    assert first_error_line("only\nthis\n") == "this"
    assert first_error_line("a.o: undefined reference to `f'\nld returned 1") == (
        "a.o: undefined reference to `f'"
    )


def test_linker_overflow_is_read_per_region() -> None:
    log = (
        "ld: firmware.elf section `.bss' will not fit in region `ram'\n"
        "ld: region `ram' overflowed by 100 bytes\n"
        "ld: region `flash' overflowed by 1 byte\n"
    )
    error = overflow_error(log, find_board("microbit"))
    assert error is not None
    assert {region.region: region.needed - region.available for region in error.regions} == {
        "ram": 100,
        "flash": 1,
    }
    assert overflow_error("ld: undefined reference to `f'", find_board("microbit")) is None


def test_files_are_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a.c", "text\n")
    assert (tmp_path / "a.c").read_text() == "text\n"

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputPathError, match="No space left"):
        write_text(tmp_path / "a.c", "other\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.c"]
    assert (tmp_path / "a.c").read_text() == "text\n"


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputPathError, match="file"):
        make_directory(tmp_path / "file" / "project")
