"""Exported folders: built with the tools they are made for, run, and compared with the oracle."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fake_zephyr import make_tree
from host_runner import GCC_TRAP
from small_networks import Network
from tools import MLPERF_TINY, needs_mlperf_tiny, needs_programs, on_qemu

import tvmtiny
from tests.ops.case_groups import family_cases
from tests.project.export_builds import ARDUINO_H, ARDUINO_MAIN, WARNINGS, pack_parts
from tests.project.newlib_program import BOARD, FLAGS, linker_flags, run, run_on_board
from tests.project.pack_rules import pack_problems
from tvmtiny import Artifact, Library, Model, models
from tvmtiny.errors import InputError, OutputPathError
from tvmtiny.oracle import oracle_tensors
from tvmtiny.project.exports.exporting import FORMATS

MODELS = pytest.mark.parametrize(
    "name", ["digits", pytest.param("kws_int8", marks=needs_mlperf_tiny)]
)


@cache
def loaded(name: str) -> Model:
    shipped = name in models.names()
    return tvmtiny.load(models.path(name) if shipped else MLPERF_TINY / f"{name}.tflite")


@cache
def compiled(name: str, io: str = "arena") -> Artifact:
    return tvmtiny.compile(loaded(name), BOARD, io=io)


@cache
def expected(name: str) -> str:
    """The lines that the examples print."""
    return printed_by(loaded(name))


def printed_by(model: Model) -> str:
    """The lines that the example for a model prints."""
    _, tensors = oracle_tensors(model, tvmtiny.make_inputs("ramp", model.graph.inputs))
    return "".join(
        f"{tensor.name}: {' '.join(map(str, tensors[tensor.index].ravel()))}\n"
        for tensor in model.graph.outputs
    )


def both() -> list[Artifact]:
    return [compiled("digits"), compiled("sine", "external")]


@needs_programs("cmake", "gcc")
def test_cmake_on_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use CMake's own choice of a build program, and its own checks of the compiler."""
    monkeypatch.delenv("CMAKE_GENERATOR", raising=False)
    monkeypatch.delenv("CMAKE_TOOLCHAIN_FILE")
    tvmtiny.export(both(), "cmake", tmp_path / "models")
    flags = f"-DCMAKE_C_FLAGS={WARNINGS} -fsanitize=address,undefined {GCC_TRAP}"
    run("cmake", "-S", "models/example", "-B", "out", flags, directory=tmp_path)
    run("cmake", "--build", "out", directory=tmp_path)
    printed = run(tmp_path / "out" / "example", directory=tmp_path)
    assert printed == expected("digits") + expected("sine")


def _sliding() -> Model:
    network = Network(4)
    x = network.depthwise(network.input(1, 8, 1, 8), (3, 1), padding="VALID")
    x = network.conv(x, 8, (x.shape[1], 1), padding="VALID")
    return tvmtiny.load(network.build(network.dense(x, 5)), name="sliding")


@needs_programs("cmake", "gcc")
def test_cmake_on_host_row_by_row_and_in_steps(tmp_path: Path) -> None:
    options = {
        "inside": {"stream": "inside"},
        "rows": {"stream": "rows"},
        "steps": {"longest_slice": 20_000},
        "sliding": {"stream": "time", "longest_slice": 20_000},
    }
    loaded_models = [
        _sliding() if name == "sliding" else tvmtiny.load(models.path("digits"), name=name)
        for name in options
    ]
    artifacts = [
        tvmtiny.compile(model, BOARD, **options[model.name])  # type: ignore[arg-type]
        for model in loaded_models
    ]
    assert all(artifact.stream is not None for artifact in artifacts)
    tvmtiny.export(artifacts, "cmake", tmp_path / "models")
    flags = f"-DCMAKE_C_FLAGS={WARNINGS} -fsanitize=address,undefined {GCC_TRAP}"
    run("cmake", "-S", "models/example", "-B", "out", flags, directory=tmp_path)
    run("cmake", "--build", "out", directory=tmp_path)
    printed = run(tmp_path / "out" / "example", directory=tmp_path)
    assert printed == "".join(map(printed_by, loaded_models))


@on_qemu
@needs_programs("cmake")
@MODELS
def test_cmake_on_board(name: str, tmp_path: Path) -> None:
    tvmtiny.export(compiled(name), "cmake", tmp_path / "models")
    toolchain = (
        "-DCMAKE_SYSTEM_NAME=Generic",
        "-DCMAKE_C_COMPILER=arm-none-eabi-gcc",
        "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
        f"-DCMAKE_C_FLAGS={' '.join(FLAGS)} {WARNINGS}",
        f"-DCMAKE_EXE_LINKER_FLAGS={' '.join(linker_flags(tmp_path))}",
    )
    run("cmake", "-S", "models/example", "-B", "out", *toolchain, directory=tmp_path)
    run("cmake", "--build", "out", directory=tmp_path)
    assert run_on_board(tmp_path / "out" / "example") == expected(name)


@on_qemu
@needs_programs("make")
@MODELS
def test_makefile_on_board(name: str, tmp_path: Path) -> None:
    tvmtiny.export(compiled(name), "makefile", tmp_path / "models")
    variables = (
        "CC=arm-none-eabi-gcc",
        f"CFLAGS={' '.join(FLAGS)} {WARNINGS}",
        f"LDFLAGS={' '.join(linker_flags(tmp_path))}",
    )
    run("make", "-C", "models/example", *variables, directory=tmp_path)
    assert run_on_board(tmp_path / "models" / "example" / "example") == expected(name)


@needs_programs("make", "gcc")
def test_makefile_on_host(tmp_path: Path) -> None:
    tvmtiny.export(both(), "makefile", tmp_path)
    run("make", "-C", "example", f"CFLAGS={WARNINGS} -O1", directory=tmp_path)
    printed = run(tmp_path / "example" / "example", directory=tmp_path)
    assert printed == expected("digits") + expected("sine")


@needs_programs("make", "gcc")
def test_other_types_in_the_example(tmp_path: Path) -> None:
    """Layers from and to int8, uint8 and float32."""
    cases = family_cases("conversion")
    artifact, graph = cases.compile("cortex-m3"), cases.load().graph
    assert {"int8", "uint8", "float32"} <= {tensor.dtype for tensor in artifact.inputs}
    tvmtiny.export(artifact, "makefile", tmp_path)
    run("make", "-C", "example", f"CFLAGS={WARNINGS} -O0", directory=tmp_path)
    printed = run(tmp_path / "example" / "example", directory=tmp_path).splitlines()
    _, tensors = oracle_tensors(cases.load(), tvmtiny.make_inputs("ramp", graph.inputs))
    for line, output in zip(printed, graph.outputs, strict=True):
        name, _, values = line.rpartition(":")
        assert name == output.name
        np.testing.assert_allclose(
            np.array(values.split(), np.float64), tensors[output.index].ravel(), 1e-6
        )


def read_properties(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


@needs_programs("gcc", "g++")
@pytest.mark.parametrize(
    "names", [("digits", "sine"), pytest.param(("kws_int8",), marks=needs_mlperf_tiny)]
)
def test_arduino(names: tuple[str, ...], tmp_path: Path) -> None:
    chosen = [compiled(name, "external" if name == "sine" else "arena") for name in names]
    done = tvmtiny.export(chosen, "arduino", tmp_path / "library")
    properties = read_properties(done.directory / "library.properties")
    mandatory = {"name", "version", "author", "maintainer", "sentence", "paragraph", "url"}
    assert set(properties) == mandatory | {"category", "architectures", "includes"}
    headers = properties["includes"].split(",")
    assert headers == [f"{name}.h" for name in names]
    assert all((done.directory / "src" / header).is_file() for header in headers)
    # The IDE builds the sources of src/ and the sketch, with Arduino.h before it.
    library = properties["name"]
    sketch = (done.directory / "examples" / library / f"{library}.ino").read_text()
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    (tmp_path / "sketch.cpp").write_text(f"#include <Arduino.h>\n{sketch}{ARDUINO_MAIN}")
    sources = sorted((done.directory / "src").glob("*.c"))
    run("gcc", "-std=gnu11", "-Os", *WARNINGS.split(), "-c", *sources, directory=tmp_path)
    objects = [path.with_suffix(".o").name for path in sources]
    cpp = ("g++", "-std=gnu++11", *WARNINGS.split(), "-I.", "-Ilibrary/src", "sketch.cpp")
    run(*cpp, *objects, "-o", "sketch", directory=tmp_path)
    printed = run(tmp_path / "sketch", directory=tmp_path)
    assert printed == "".join(map(expected, names))


def test_pack_is_as_the_format_wants_it(tmp_path: Path) -> None:
    library = Library("Two-Models", "2.10.0", "Some-One", "https://example.com/packs/?a=1&b=2")
    done = tvmtiny.export(both(), "cmsis-pack", tmp_path, library)
    assert done.pack == tmp_path / "Some-One.Two-Models.2.10.0.pack"
    assert pack_problems(done.pack) == []
    with zipfile.ZipFile(done.pack) as archive:
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / name).read_bytes()
    default = tvmtiny.export(compiled("digits"), "cmsis-pack", tmp_path / "default")
    assert default.pack == tmp_path / "default" / "tvmtiny.tvmtiny_digits.1.0.0.pack"
    assert pack_problems(default.pack) == []


def test_rules_for_packs_see_what_is_wrong(tmp_path: Path) -> None:
    done = tvmtiny.export(compiled("digits"), "cmsis-pack", tmp_path)
    assert done.pack is not None
    with zipfile.ZipFile(done.pack) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (description,) = (name for name in contents if name.endswith(".pdsc"))
    contents[description] = contents[description].replace(b"<url></url>", b"")
    del contents["models/digits.c"]
    with zipfile.ZipFile(done.pack, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert pack_problems(done.pack) == [
        "required elements, each once",
        "file models/digits.c",
    ]


@on_qemu
@MODELS
def test_pack_on_board(name: str, tmp_path: Path) -> None:
    """A tool's build of a component: its sources, with its include paths."""
    done = tvmtiny.export(compiled(name), "cmsis-pack", tmp_path / "written")
    assert done.pack is not None
    found, folders = pack_parts(done.pack, tmp_path / "pack")
    example = tvmtiny.export(compiled(name), "makefile", tmp_path / "example").directory
    includes = [f"-I{path}" for path in folders]
    sources = [*found, example / "example" / "main.c"]
    command = ("arm-none-eabi-gcc", *FLAGS, *includes, *sources, *linker_flags(tmp_path))
    run(*command, "-o", "program.elf", directory=tmp_path)
    assert run_on_board(tmp_path / "program.elf") == expected(name)


HOST_MAIN = """\
#include <stdio.h>
#include "tvmtiny_sample.h"
int main(void)
{
  const struct tvmtiny_model *model = tvmtiny_model_find("digits");
  tvmtiny_sample_fill(model, 0u);
  model->run();
  printf("%s:", model->outputs[0].name);
  for (uint32_t i = 0; i < model->outputs[0].elements; ++i) {
    printf(" %d", ((const int8_t *)model->output(0))[i]);
  }
  puts("");
  return 0;
}
"""


@needs_programs("cmake", "gcc")
def test_zephyr_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a stand-in for Zephyr; the models are those of an application, which Zephyr builds."""
    done = tvmtiny.export(both(), "zephyr", tmp_path / "module")
    application = tmp_path / "application"
    application.mkdir()
    (application / "prj.conf").write_text("CONFIG_TVMTINY=y\n")
    (application / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\n"
        "find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})\nproject(application LANGUAGES C)\n"
        "target_sources(app PRIVATE main.c)\n"
    )
    (application / "main.c").write_text("int main(void) { return 0; }\n")
    monkeypatch.setenv("ZEPHYR_BASE", str(make_tree(tmp_path / "zephyr", "3.7")))
    modules = f"-DEXTRA_ZEPHYR_MODULES={done.directory}"
    run("cmake", "-S", application, "-B", "out", modules, directory=tmp_path)
    run("cmake", "--build", "out", "--target", "tvmtiny_models", directory=tmp_path)
    (library,) = (tmp_path / "out").rglob("libtvmtiny_models.a")
    (tmp_path / "main.c").write_text(HOST_MAIN)
    more = [done.directory / "models" / "tvmtiny_models.c", done.directory / "src" / "sample.c"]
    includes = [f"-I{done.directory / folder}" for folder in ("models", "include")]
    run("gcc", "main.c", *more, *includes, library, "-o", "program", directory=tmp_path)
    assert run(tmp_path / "program", directory=tmp_path) == expected("digits")
    assert (done.directory / "zephyr" / "module.yml").is_file()


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "edge-impulse"])
def test_every_format(format: str, tmp_path: Path) -> None:
    done = tvmtiny.export(both(), format, tmp_path / "a")
    again = tvmtiny.export(both(), format, tmp_path / "b")
    assert [model.name for model in done.models] == ["digits", "sine"]
    assert done.models[0].arena_bytes == compiled("digits").arena_bytes
    written = {path for path in done.directory.rglob("*") if path.is_file()}
    assert written == set(done.files)
    readme = (done.directory / "README.md").read_text()
    assert "tvmtiny_digits_run" in readme and "{" not in readme.split("```c\n")[0]
    for path, other in zip(done.files, again.files, strict=True):
        assert path.read_bytes() == other.read_bytes()
        assert str(tmp_path).encode() not in path.read_bytes()
    for name, text in compiled("digits").files.items():
        (path,) = (path for path in done.files if path.name == name)
        assert path.read_text() == text


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (Library(name="two words"), "name cannot be 'two words'; allowed: letters"),
        (Library(name="../outside"), "name cannot be"),
        (Library(version="1.0"), "version cannot be '1.0'; allowed: three numbers"),
        (Library(vendor="a"), "vendor cannot be 'a'"),
        (Library(url="a\nb"), "url cannot be"),
    ],
)
def test_what_a_library_cannot_be_called(library: Library, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        tvmtiny.export(compiled("digits"), "arduino", tmp_path / "a", library)
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no export format 'eclipse'; known: cmake, makefile"):
        tvmtiny.export(compiled("digits"), "eclipse", tmp_path)
    with pytest.raises(InputError, match="no model"):
        tvmtiny.export([], "cmake", tmp_path)
    with pytest.raises(InputError, match="different names"):
        tvmtiny.export([compiled("digits")] * 2, "cmake", tmp_path)
    long = replace(compiled("digits"), name="a" * 33)
    with pytest.raises(InputError, match="cannot be the name of a CMSIS component"):
        tvmtiny.export(long, "cmsis-pack", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputPathError):
        tvmtiny.export(compiled("digits"), "cmake", tmp_path / "file")
