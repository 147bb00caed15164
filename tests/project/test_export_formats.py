"""Exports for other build systems and libraries, with stand-ins for these."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from host_runner import GCC_TRAP, STRICT
from tools import ROOT, needs_programs

import tvmtiny
from tests.project.export_builds import IDF, WARNINGS, write_common_h
from tests.project.newlib_program import FLAGS, run
from tests.project.test_export import both, compiled, expected, loaded
from tvmtiny import Library
from tvmtiny.errors import InputError
from tvmtiny.oracle import run_litert
from tvmtiny.project.exports.exporting import FORMATS


@pytest.mark.parametrize("format", FORMATS)
def test_every_export_has_the_licence(format: str, tmp_path: Path) -> None:
    done = tvmtiny.export(compiled("digits"), format, tmp_path)
    assert (tmp_path / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert tmp_path / "LICENSE" in done.files


@needs_programs("cmake", "g++")
@pytest.mark.parametrize(
    "found",
    (
        "add_subdirectory(../models models)",
        "find_package(tvmtiny_models REQUIRED PATHS ${CMAKE_SOURCE_DIR}/../models NO_DEFAULT_PATH)",
    ),
)
def test_cmake_in_a_project_of_cxx(found: str, tmp_path: Path) -> None:
    tvmtiny.export(both(), "cmake", tmp_path / "models")
    application = tmp_path / "application"
    application.mkdir()
    (application / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(application LANGUAGES CXX)\n{found}\n"
        "add_executable(application main.cpp)\n"
        "target_link_libraries(application PRIVATE tvmtiny::models)\n"
    )
    example = (tmp_path / "models" / "example" / "main.c").read_text()
    (application / "main.cpp").write_text(example)
    run("cmake", "-S", "application", "-B", "out", directory=tmp_path)
    run("cmake", "--build", "out", directory=tmp_path)
    printed = run(tmp_path / "out" / "application", directory=tmp_path)
    assert printed == expected("digits") + expected("sine")


def test_the_fragment_for_makefiles_leaves_the_language_to_the_project(tmp_path: Path) -> None:
    tvmtiny.export(compiled("digits"), "makefile", tmp_path)
    flags = [
        line for line in (tmp_path / "tvmtiny_models.mk").read_text().splitlines() if ":=" in line
    ]
    assert any(line.startswith("TVMTINY_CFLAGS") for line in flags)
    assert "-std" not in "".join(flags)


@needs_programs("cmake", "gcc")
def test_esp_idf(tmp_path: Path) -> None:
    library = Library(url="https://example.com/models")
    component = tmp_path / "components" / "tvmtiny_models"
    tvmtiny.export(both(), "esp-idf", component, library)
    (tmp_path / "CMakeLists.txt").write_text(IDF)
    run("cmake", "-S", ".", "-B", "out", f"-DCMAKE_C_FLAGS={WARNINGS}", directory=tmp_path)
    run("cmake", "--build", "out", directory=tmp_path)
    printed = run(tmp_path / "out" / "start", directory=tmp_path)
    assert printed == expected("digits") + expected("sine")
    manifest = (component / "idf_component.yml").read_text()
    assert 'version: "1.0.0"' in manifest and 'url: "https://example.com/models"' in manifest
    assert "license: Apache-2.0" in manifest
    example = (component / "examples" / "run" / "CMakeLists.txt").read_text()
    assert "tools/cmake/project.cmake" in example and "project(run)" in example


@needs_programs("gcc")
def test_platformio(tmp_path: Path) -> None:
    done = tvmtiny.export(both(), "platformio", tmp_path, Library("My-Models", "2.0.1", "me"))
    manifest = json.loads((tmp_path / "library.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("My-Models", "2.0.1")
    assert manifest["license"] == "Apache-2.0" and manifest["authors"] == [{"name": "me"}]
    assert "homepage" not in manifest and "atmelavr" not in manifest["platforms"]
    assert all((tmp_path / "src" / header).is_file() for header in manifest["headers"])
    (example,) = manifest["examples"]
    sources = [*sorted(tmp_path.glob("src/*.c")), tmp_path / example["base"] / example["files"][0]]
    assert set(sources) <= set(done.files)
    run("gcc", *STRICT, "-Isrc", *sources, "-o", "program", directory=tmp_path)
    assert run(tmp_path / "program", directory=tmp_path) == expected("digits") + expected("sine")


#: The engine's calls, made twice: get memory, fill the input, run, read the output, give back.
ENGINE = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "edge-impulse-sdk/tensorflow/lite/c/common.h"
TfLiteStatus PREFIX_init(void *(*)(size_t, size_t));
TfLiteStatus PREFIX_input(int, TfLiteTensor *);
TfLiteStatus PREFIX_output(int, TfLiteTensor *);
TfLiteStatus PREFIX_invoke();
TfLiteStatus PREFIX_reset(void (*)(void *));
static void *allocate(size_t alignment, size_t size)
{
  void *memory = nullptr;
  return posix_memalign(&memory, alignment, size) ? nullptr : memset(memory, 0x55, size);
}
static void print(const char *what, const TfLiteTensor &t)
{
  printf("%s %d %zu", what, (int)t.type, t.bytes);
  printf(" %.9g %d", (double)t.params.scale, (int)t.params.zero_point);
  for (int i = 0; i < t.dims->size; ++i) printf(" %d", t.dims->data[i]);
  printf("\\n");
}
int main()
{
  TfLiteTensor input, output;
#ifndef EI_CLASSIFIER_ALLOCATION_STATIC
  auto none = [](size_t, size_t) -> void * { return nullptr; };
  if (PREFIX_init(none) == kTfLiteOk || PREFIX_invoke() == kTfLiteOk) return 1;
#endif
  for (int round = 0; round < 2; ++round) {
    if (PREFIX_init(allocate) != kTfLiteOk) return 2;
    if (PREFIX_input(1, &input) == kTfLiteOk || PREFIX_output(-1, &output) == kTfLiteOk) return 3;
    if (PREFIX_input(0, &input) != kTfLiteOk || PREFIX_output(0, &output) != kTfLiteOk) return 4;
    if (round == 0) print("input", input), print("output", output);
    FILE *data = fopen("input.bin", "rb");
    if (fread(input.data.data, 1, input.bytes, data) != input.bytes) return 5;
    fclose(data);
    if (PREFIX_invoke() != kTfLiteOk) return 6;
    FILE *result = fopen("output.bin", "wb");
    fwrite(output.data.data, 1, output.bytes, result);
    fclose(result);
    if (PREFIX_reset(free) != kTfLiteOk) return 7;
  }
  return 0;
}
"""


@needs_programs("g++")
@pytest.mark.parametrize("name", ["digits", "sine"])
@pytest.mark.parametrize("memory", ["heap", "static"])
def test_edge_impulse(name: str, memory: str, tmp_path: Path) -> None:
    done = tvmtiny.export(compiled(name), "edge-impulse", tmp_path, Library(name="tflite_learn_5"))
    (file,) = (path for path in done.files if path.suffix == ".cpp")
    assert file == tmp_path / "tflite-model" / "tflite_learn_5_compiled.cpp"
    write_common_h(tmp_path)
    (tmp_path / "main.cpp").write_text(ENGINE.replace("PREFIX", "tflite_learn_5"))
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-I."]
    flags += ["-fsanitize=address,undefined", GCC_TRAP]
    flags += ["-DEI_CLASSIFIER_ALLOCATION_STATIC"] if memory == "static" else []
    run("g++", *flags, "main.cpp", file, "-o", "program", directory=tmp_path)
    model = loaded(name)
    (data,) = tvmtiny.make_inputs("random:7", model.graph.inputs)
    (tmp_path / "input.bin").write_bytes(data.tobytes())
    told = run(tmp_path / "program", directory=tmp_path).split("\n")
    for line, tensor in zip(told, (*model.graph.inputs, *model.graph.outputs), strict=False):
        kind = {"int8": 9, "float32": 1}[tensor.dtype]
        scale = np.float32(tensor.scale)
        shape = [str(d) for d in tensor.shape]
        assert line.split()[1:3] == [str(kind), str(tensor.nbytes)]
        assert np.float32(line.split()[3]) == scale
        assert line.split()[4:] == [str(tensor.zero_point), *shape]
    (output,) = model.graph.outputs
    wanted = run_litert(model.content, [data])[output.index]
    assert (tmp_path / "output.bin").read_bytes() == wanted.tobytes()


@needs_programs("arm-none-eabi-g++")
def test_edge_impulse_for_a_device(tmp_path: Path) -> None:
    done = tvmtiny.export(compiled("digits"), "edge-impulse", tmp_path)
    (file,) = (path for path in done.files if path.suffix == ".cpp")
    assert file.name == "trained_model_compiled.cpp"
    again = tvmtiny.export(compiled("digits"), "edge-impulse", tmp_path / "again")
    assert [path.read_bytes() for path in again.files] == [p.read_bytes() for p in done.files]
    write_common_h(tmp_path)
    cpu = [flag for flag in FLAGS if flag.startswith("-m")]
    flags = [*cpu, "-std=c++11", "-O2", "-Wall", "-Wextra", "-Werror", "-I."]
    run("arm-none-eabi-g++", *flags, "-c", file, "-o", "model.o", directory=tmp_path)


def test_what_edge_impulse_cannot_take(tmp_path: Path) -> None:
    for models, library, message in (
        (both(), Library(), "one model per file, not 2"),
        (
            compiled("digits"),
            Library(name="5-a"),
            "cannot be '5-a'; give the name of the replaced file",
        ),
        (compiled("sine", "external"), Library(), "io=arena"),
        (tvmtiny.compile(loaded("digits"), "cortex-m4", stream="rows"), Library(), "stream=none"),
    ):
        with pytest.raises(InputError, match=message):
            tvmtiny.export(models, "edge-impulse", tmp_path / "a", library)
    assert not (tmp_path / "a").exists()
