"""Generated C compiles without a warning, for the host and for each kind of core.

The code of every operator is compiled by both compilers where it is tested, see ``tests/ops``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from host_runner import WARNINGS, compiler_or_skip, run_command, write_files

import tvmtiny
from tvmtiny import models


@cache
def _compiled(name: str, target: str) -> tvmtiny.Artifact:
    return tvmtiny.compile(tvmtiny.load(models.path(name)), target)


def _assert_clean(name: str, cpu: str, command: list[str], folder: Path) -> None:
    sources = write_files(_compiled(name, cpu), folder)
    run_command([*command, *WARNINGS, "-fsyntax-only", f"{name}.c"], folder)
    run_command([*command, *WARNINGS, "-DTVMTINY_LAYERS", "-c", *sources], folder)


@pytest.mark.parametrize("name", models.names())
def test_gcc(name: str, tmp_path: Path) -> None:
    """With the optimizer, whose analysis finds more; see also the runs of each operator."""
    _assert_clean(name, "cortex-m4", [compiler_or_skip("gcc"), "-O2"], tmp_path)


@pytest.mark.parametrize("name", models.names())
def test_clang(name: str, tmp_path: Path) -> None:
    _assert_clean(name, "mps2-an386", [compiler_or_skip("clang"), "-O0"], tmp_path)


@pytest.mark.parametrize("name", models.names())
def test_clang_without_dsp(name: str, tmp_path: Path) -> None:
    _assert_clean(name, "mps2-an385", [compiler_or_skip("clang"), "-O0"], tmp_path)


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33"])
def test_core(cpu: str, name: str, tmp_path: Path) -> None:
    compiler = compiler_or_skip("arm-none-eabi-gcc")
    flags = tvmtiny.resolve(cpu).cpu.flags
    _assert_clean(name, cpu, [compiler, *flags, "-O2", "-ffreestanding"], tmp_path)


@pytest.mark.parametrize("name", models.names())
def test_header_in_cpp(name: str, tmp_path: Path) -> None:
    """The header is C++, too, and complete in itself."""
    compiler = compiler_or_skip("g++")
    write_files(_compiled(name, "cortex-m4"), tmp_path)
    (tmp_path / "main.cpp").write_text(
        f'#include "{name}.h"\n#include "{name}.h"\nint main() {{ return 0; }}\n'
    )
    run_command([compiler, "-std=c++11", "-Wall", "-Wextra", "-Werror", "main.cpp"], tmp_path)
