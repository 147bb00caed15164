"""Compile an artifact's C for the host, with sanitizers, and run it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import pytest
from host_main import HostRun, main_program

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.tensors import pack_inputs, split_layers, split_tensors
from tvmtiny.results import OutputTensor

#: The warnings that every test of C and C++ turns on.
STRICT = ("-pedantic-errors", "-Wall", "-Wextra", "-Wconversion", "-Wcast-qual", "-Werror")
WARNINGS = ("-std=c99", *STRICT)
#: The optimizer is off, since it might drop undefined behaviour before it is seen; debug
#: information is off, since compiling takes most of the time of these tests.
SANITIZERS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Trap on undefined behaviour without a message, which halves the time of compiling. GCC's programs
#: would otherwise go on after a message.
GCC_TRAP = "-fsanitize-undefined-trap-on-error"
_TRAPS = {"gcc": GCC_TRAP, "clang": "-fsanitize-trap=undefined"}
#: Use this linker if it is installed: with a sanitizer it takes a third of the time of GNU's.
LINKER = ("-fuse-ld=gold",) if shutil.which("ld.gold") else ()
_TIMEOUT = 300.0
# No model name ends in an underscore.
_MAIN_FILE, TOGETHER = "main_.c", "together_.c"
_LAYERS = "-DTVMTINY_LAYERS"

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class HostResult:
    """The results of one run, with the attributes of `tvmtiny.RunResult` that `check` needs.

    Attributes
    ----------
    layers
        The output of each layer.
    outputs
        The outputs of a second inference.
    """

    layers: tuple[np.ndarray, ...]
    outputs: tuple[OutputTensor, ...]


def compiler_or_skip(name: str) -> str:
    """The path of a compiler; skip the test if it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run_command(
    command: Sequence[str], directory: Path, environment: Mapping[str, str] = {}
) -> str:
    """Run a command that must succeed, and return its output."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    if done.returncode:
        output = (done.stdout + done.stderr)[:6000]
        pytest.fail(f"{' '.join(command)} gave {done.returncode}:\n{output}", pytrace=False)
    return done.stdout


def write_files(artifact: Artifact, directory: Path) -> list[str]:
    """Write the generated files, and return the names of those to compile."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in artifact.files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [name for name in artifact.files if name.endswith(".c")]


def build_program(
    main: str,
    artifacts: Sequence[Artifact],
    directory: Path,
    compiler: str = "gcc",
    flags: Sequence[str] = SANITIZERS,
) -> Path:
    """Compile `main` with the C of `artifacts`, without warnings."""
    path = compiler_or_skip(compiler)
    sources = _write_sources(main, artifacts, directory)
    command = [path, *WARNINGS, *flags, _LAYERS, *sources, *LINKER]
    run_command([*command, "-o", "program"], directory)
    return directory / "program"


def run_program(program: Path, names: bool = True) -> str:
    """Run a program in its directory, and return its output.

    Parameters
    ----------
    names
        Whether the report of a fault names functions, which it takes long to look up.
    """
    options = f"detect_leaks=0:symbolize={int(names)}"
    return run_command([str(program)], program.parent, {"ASAN_OPTIONS": options})


def run_main(
    main: str,
    artifacts: Sequence[Artifact],
    directory: Path,
    compiler: str = "gcc",
    flags: Sequence[str] = SANITIZERS,
) -> str:
    """Compile `main` with the C of `artifacts`, run it, and return its output."""
    if flags != SANITIZERS:
        return run_program(build_program(main, artifacts, directory, compiler, flags))
    sources = _write_sources(main, artifacts, directory)
    return _run_sanitized(sources, directory, [_LAYERS, *sources], ())


def _write_sources(main: str, artifacts: Sequence[Artifact], directory: Path) -> list[str]:
    """Write a program, and return the names of the files to compile, the file of ``main`` first."""
    sources = [source for a in artifacts for source in write_files(a, directory)]
    (directory / _MAIN_FILE).write_text(main, encoding="utf-8")
    return [_MAIN_FILE, *sources]


def together(sources: Sequence[str], directory: Path) -> str:
    """Return the text of several files as one, so that a compiler reads headers once.

    No two static functions of models may have the same name, so no model is named after a kernel
    family. Equal micro-kernels have equal names and are emitted once.

    Parameters
    ----------
    sources
        Files in the order of `write_files`, callers before the functions they call.
    """
    lines: list[str] = []
    made: set[str] = set()
    for source in reversed(sources):
        lines.append(f'#line 1 "{source}"')
        for line in (directory / source).read_text(encoding="utf-8").splitlines():
            micro_kernel = line.startswith("TVMTINY_") and line.endswith(")")
            lines.append("" if line in made else line)
            made |= {line} if micro_kernel else set()
    return "\n".join([*lines, ""])


def _run_sanitized(
    sources: Sequence[str], directory: Path, read: Sequence[str], runs: Sequence[HostRun]
) -> str:
    try:
        return run_program(_build_sanitized(sources, directory, read, runs, words=False), False)
    except pytest.fail.Exception:
        # Build again with messages about undefined behaviour.
        run_program(_build_sanitized(sources, directory, read, runs, words=True))
        raise


#: An index cannot move an address past its end where addresses have 64 bits, but Clang spends much
#: time on that check.
_QUICK = ("-fno-sanitize=pointer-overflow",)
#: Calls compile faster than inline checks of each address, and run slower.
_CALLS = ("-mllvm", "-asan-instrumentation-with-call-threshold=0")
#: Multiplications of a program that runs longer than it takes to compile.
_MANY = 5_000_000


def _build_sanitized(
    sources: Sequence[str],
    directory: Path,
    read: Sequence[str],
    runs: Sequence[HostRun],
    words: bool,
) -> Path:
    """Compile with sanitizers by Clang, and let GCC parse the code for its warnings.

    With sanitizers, GCC takes much longer and finds less: it misses numbers that do not fit the
    integer type they are cast to. Warnings that GCC gives after parsing appear when it builds
    firmware from the same code. GCC's library of sanitizers serves both compilers. Without Clang,
    GCC does everything.

    Parameters
    ----------
    read
        The input of GCC: files and definitions.
    runs
        What the program runs, as far as it is known.
    words
        Whether the program describes undefined behaviour when it stops there. GCC has parsed the
        code before that is wanted.
    """
    gcc, clang = compiler_or_skip("gcc"), shutil.which("clang")
    if clang is None:
        flags = [*WARNINGS, *SANITIZERS, *([] if words else [_TRAPS["gcc"]]), _LAYERS]
        run_command([gcc, *flags, *sources, *LINKER, "-o", "program"], directory)
        return directory / "program"
    (directory / TOGETHER).write_text(together(sources, directory), encoding="utf-8")
    if not words:
        run_command([gcc, *WARNINGS, "-fsyntax-only", *read], directory)
    work = sum(len(run.input_sets) * run.artifact.macs for run in runs)
    quick = [*_QUICK, *([] if work > _MANY else _CALLS)]
    flags = [*WARNINGS, *SANITIZERS, *quick, *([] if words else [_TRAPS["clang"]]), _LAYERS]
    run_command([clang, *flags, "-c", TOGETHER, "-o", "program.o"], directory)
    libraries = SANITIZERS[1] if words else "-fsanitize=address"
    run_command([gcc, libraries, "program.o", *LINKER, "-o", "program"], directory)
    return directory / "program"


def compile_sanitized(
    sources: Sequence[Path | str],
    directory: Path,
    options: Sequence[str] = (),
    program: str = "program",
    quiet: Sequence[Path | str] = (),
    objects: Sequence[str] = (),
) -> Path:
    """Compile files with different names without warnings, and link them with sanitizers.

    With sanitizers, Clang takes a fifth of the time of GCC, which only looks for warnings here.

    Parameters
    ----------
    sources
        Files, by paths that `directory` may be a part of.
    options
        Definitions, folders of headers and libraries.
    quiet
        Files of others, whose warnings do not matter.
    objects
        Further objects in `directory`.

    Returns
    -------
    Path
        The program in `directory`.
    """
    gcc, clang = compiler_or_skip("gcc"), shutil.which("clang")
    own, others = ([*map(str, files)] for files in (sources, quiet))
    libraries = [word for word in options if word.startswith("-l")]
    options = [word for word in options if word not in libraries]
    # These programs run longer than it takes to compile them, so addresses are checked inline.
    compiler = [clang or gcc, *SANITIZERS]
    if own and clang is not None:
        run_command([gcc, *WARNINGS, *options, "-fsyntax-only", *own], directory)
    if own:
        run_command([*compiler, *WARNINGS, *options, "-c", *own], directory)
    if others:
        run_command([*compiler, "-std=c99", "-w", *options, "-c", *others], directory)
    linked = [*(f"{Path(file).stem}.o" for file in (*own, *others)), *objects]
    run_command([gcc, SANITIZERS[1], *linked, *libraries, *LINKER, "-o", program], directory)
    return directory / program


def run_on_host(
    artifact: Artifact,
    input_sets: Sequence[Sequence[np.ndarray]],
    directory: Path,
    compiler: str = "gcc",
    flags: Sequence[str] = SANITIZERS,
    successive: bool = False,
) -> list[HostResult]:
    """Compile an artifact under sanitizers and run it on each set of inputs.

    While a layer runs, all of the arena except its inputs, outputs and workspaces is poisoned, so
    that a kernel that writes into a neighbour's memory is caught. External inputs and outputs are
    static arrays, whose surroundings are poisoned as well.

    Parameters
    ----------
    artifact
        An artifact with at least one input.
    directory
        Working directory.
    successive
        Whether state is carried from each set of inputs to the next.
    """
    run = HostRun(artifact, input_sets, successive)
    (results,) = run_all_on_host([run], directory, compiler, flags)
    return results


def run_all_on_host(
    runs: Sequence[HostRun],
    directory: Path,
    compiler: str = "gcc",
    flags: Sequence[str] = SANITIZERS,
    separately: bool = False,
) -> list[list[HostResult]]:
    """Run artifacts with different names in one program.

    One program takes a fraction of the time, since a small model's program spends nearly all of its
    time on starting compilers and reading headers.

    Parameters
    ----------
    separately
        Whether GCC reads each file of several artifacts by itself; it always does so for one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "input.bin").write_bytes(
        b"".join(pack_inputs(r.artifact.inputs, inputs) for r in runs for inputs in r.input_sets)
    )
    main, artifacts = main_program(runs), [run.artifact for run in runs]
    if flags == SANITIZERS:
        sources = _write_sources(main, artifacts, directory)
        # One artifact is compiled as users build it, layer by layer, by Clang and the firmware's
        # GCC.
        read = sources[1:] if separately or len(runs) == 1 else [_LAYERS, TOGETHER]
        _run_sanitized(sources, directory, read, runs)
    else:
        run_main(main, artifacts, directory, compiler, flags)
    files = [(directory / f"{name}.bin").open("rb") for name in ("layers", "output", "stepped")]
    with files[0] as layers, files[1] as outputs, files[2] as stepped:
        results = [_results(run, layers, outputs, stepped) for run in runs]
        assert not any(file.read() for file in files)
    return results


def run_each_on_host(runs: Mapping[Key, HostRun], directory: Path) -> dict[Key, list[HostResult]]:
    """Run artifacts in one program, and return their results by the keys of `runs`.

    GCC reads each file by itself, as it does for a single artifact.
    """
    results = run_all_on_host([*runs.values()], directory, separately=True)
    return dict(zip(runs, results, strict=True))


def _results(
    run: HostRun, layers: IO[bytes], outputs: IO[bytes], stepped: IO[bytes]
) -> list[HostResult]:
    artifact, found = run.artifact, []
    layer_bytes = sum(size for _, size in artifact.pieces)
    output_bytes = sum(tensor.bytes for tensor in artifact.outputs)
    for _ in run.input_sets:
        written = outputs.read(output_bytes)
        assert not run.in_steps or stepped.read(output_bytes) == written
        tensors = split_tensors(written, artifact.outputs, "outputs")
        named = zip(artifact.outputs, tensors, strict=True)
        found.append(
            HostResult(
                split_layers(layers.read(layer_bytes), artifact),
                tuple(OutputTensor(t.name, t.dtype, t.shape, data) for t, data in named),
            )
        )
    return found
