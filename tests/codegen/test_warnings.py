"""Generated C compiles without a warning, for the host and for each kind of core.

The code of every operator is compiled by both compilers where it is tested, see ``tests/ops``.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest
from host_runner import (
    STRICT,
    TOGETHER,
    WARNINGS,
    compiler_or_skip,
    run_command,
    together,
    write_files,
)

import tvmtiny
from tvmtiny import models
from tvmtiny.resources import shipped
from tvmtiny.targets.architectures import find_architecture


@cache
def _compiled(name: str, target: str) -> tvmtiny.Artifact:
    return tvmtiny.compile(tvmtiny.load(models.path(name)), target)


def _assert_clean(name: str, cpu: str, command: list[str], folder: Path) -> None:
    sources = write_files(_compiled(name, cpu), folder)
    run_command([*command, *WARNINGS, "-fsyntax-only", f"{name}.c"], folder)
    run_command([*command, *WARNINGS, "-DTVMTINY_LAYERS", "-c", *sources], folder)


@pytest.mark.parametrize("name", models.names())
def test_gcc(name: str, tmp_path: Path) -> None:
    """Compile with the optimizer, whose analysis finds more than plain compiling."""
    _assert_clean(name, "cortex-m4", [compiler_or_skip("gcc"), "-O2"], tmp_path)


@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an385"])
def test_clang(board: str, tmp_path: Path) -> None:
    """Compile all models at once, with and without the DSP extension: Clang starts slowly."""
    command = [compiler_or_skip("clang"), *WARNINGS, "-O0"]
    sources = [s for name in models.names() for s in write_files(_compiled(name, board), tmp_path)]
    callers = [f"{name}.c" for name in models.names()]
    for flags, read in (["-fsyntax-only"], callers), (["-DTVMTINY_LAYERS", "-c"], sources):
        (tmp_path / TOGETHER).write_text(together(read, tmp_path))
        run_command([*command, *flags, TOGETHER], tmp_path)


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33"])
def test_core(cpu: str, name: str, tmp_path: Path) -> None:
    compiler = compiler_or_skip("arm-none-eabi-gcc")
    flags = tvmtiny.resolve(cpu).cpu.flags
    _assert_clean(name, cpu, [compiler, *flags, "-O2", "-ffreestanding"], tmp_path)


@pytest.mark.parametrize("standard", ["c++11", "c++14", "c++17", "c++20"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_headers_in_cpp(compiler: str, standard: str, tmp_path: Path) -> None:
    """The headers are valid C++ and complete in themselves."""
    command = [compiler_or_skip(compiler), f"-std={standard}", *STRICT, "-fsyntax-only"]
    for name in models.names():
        write_files(_compiled(name, "cortex-m4"), tmp_path)
    includes = [f'#include "{name}.h"\n' for name in models.names()]
    (tmp_path / "main.cpp").write_text(f"{''.join(2 * includes)}int main() {{ return 0; }}\n")
    run_command([*command, "main.cpp"], tmp_path)


@pytest.mark.parametrize(
    ("family", "cpu", "other"),
    [
        ("mve", "cortex-m55", "cortex-m4"),
        ("dsp", "cortex-m4", "cortex-m3"),
        ("rvv", "rv32imcv", "rv32imc"),
    ],
)
def test_a_compiler_without_the_instructions_is_named(
    family: str, cpu: str, other: str, tmp_path: Path
) -> None:
    """Portable code is right but slow, so the person who sets the flags is told."""
    architecture = find_architecture(tvmtiny.resolve(cpu).cpu.architecture)
    compiler = compiler_or_skip(architecture.compiler.name)
    (tmp_path / "m.c").write_text(f'#include "tvmtiny_{family}.h"\n')
    folders = [f"-I{shipped('runtime') / folder}" for folder in ("core", f"kernels/{family}")]

    def message(cpu: str, *more: str) -> str:
        flags = tvmtiny.resolve(cpu).cpu.flags
        library = [f"--specs={name}" for name in architecture.library.specs[:1]]
        command = [compiler, *library, *flags, *WARNINGS, *more, *folders, "-fsyntax-only", "m.c"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return ran.stderr

    assert "slow portable code runs" in message(other)
    assert not message(other, "-DTVMTINY_PORTABLE")
    assert not message(cpu)


def test_an_assertion_of_c99_fails(tmp_path: Path) -> None:
    """Compile a macro that needs neither C11 nor glibc's substitute."""
    header = _compiled("digits", "cortex-m4").files["tvmtiny.h"]
    (tmp_path / "tvmtiny.h").write_text(header)
    command = [compiler_or_skip("gcc"), *WARNINGS, "-ffreestanding", "-fsyntax-only", "main.c"]
    text = '#include "tvmtiny.h"\nTVMTINY_STATIC_ASSERT(sizeof(int8_t) == {}u, "size");\n'
    (tmp_path / "main.c").write_text(text.format(1))
    run_command(command, tmp_path)
    (tmp_path / "main.c").write_text(text.format(2))
    failed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "static_assert" in failed.stderr
