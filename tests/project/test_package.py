"""Models as a package for other build systems: built on the host with CMake and make, and run."""

from __future__ import annotations

import dataclasses
import subprocess
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_runner import GCC_TRAP, WARNINGS
from tflite_builder import ModelBuilder
from tools import needs_programs

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import InputError
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.oracle import oracle_tensors
from tvmtiny.project.package import (
    SAMPLES,
    PackagedModel,
    expected_checksums,
    package_files,
    render,
    sample_inputs,
)
from tvmtiny.resources import shipped

APPLICATION = shipped("zephyr_app")

MAIN = """\
#include <stdio.h>
#include "tvmtiny_sample.h"

int main(void)
{
  int wrong = tvmtiny_model_find("none") != NULL;
  for (uint32_t m = 0; m < tvmtiny_model_count; ++m) {
    const struct tvmtiny_model *model = &tvmtiny_models[m];
    for (uint32_t i = 0; i < 5u; ++i) {
      tvmtiny_sample_fill(model, i);
      if (model->run() != 0 || !tvmtiny_sample_matches(model, i)) {
        ++wrong;
      }
      printf("%s %u %08x\\n", model->name, (unsigned)i, (unsigned)tvmtiny_sample_crc(model));
    }
    wrong += tvmtiny_model_find(model->name) != model;
    wrong += model->input(model->input_count) != NULL || model->output(model->output_count) != NULL;
  }
  return wrong;
}
"""


@cache
def packaged(name: str, io: str = "arena") -> PackagedModel:
    return package(tvmtiny.load(models.path(name)), io)


def package(model: tvmtiny.Model, io: str = "arena") -> PackagedModel:
    artifact = tvmtiny.compile(model, "cortex-m4", io=io)

    def reference(inputs: list[np.ndarray]) -> list[np.ndarray]:
        _, tensors = oracle_tensors(model, inputs)
        return [tensors[output.index] for output in model.graph.outputs]

    return PackagedModel(artifact, 100, expected_checksums(artifact, reference))


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        make_directory((directory / name).parent)
        write_text(directory / name, text)
    return directory


def run(*command: object, directory: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(directory: Path, chosen: list[PackagedModel]) -> Path:
    """A folder with the package, the table of the models, and a program around it."""
    package = write(directory / "models", package_files(chosen))
    write_text(package / "table.c", render("models.c.j2", models=chosen))
    write_text(directory / "main.c", MAIN)
    return package


def test_sample_0_is_the_ramp() -> None:
    artifact = packaged("digits").artifact
    for sample, ramp in zip(
        sample_inputs(artifact.inputs, 0),
        tvmtiny.make_inputs("ramp", artifact.inputs),
        strict=True,
    ):
        assert sample.dtype == ramp.dtype
        assert np.array_equal(sample, ramp)


SAMPLES_MAIN = """\
#include <stdio.h>
#include "tvmtiny_sample.h"

static uint8_t memory[4096];
static void *input(uint32_t index) {{ (void)index; return memory; }}
static const struct tvmtiny_tensor tensor = {{"x", "{dtype}", {bytes}u, {elements}u}};
const struct tvmtiny_model tvmtiny_models[] = {{
  {{.name = "m", .input = input, .inputs = &tensor, .input_count = 1u}},
}};
const uint32_t tvmtiny_model_count = 1u;

int main(void)
{{
  tvmtiny_sample_fill(tvmtiny_models, 3u);
  fwrite(memory, 1, {bytes}u, stdout);
  return 0;
}}
"""


@needs_programs("gcc")
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "float32"])
def test_firmware_makes_the_same_samples(dtype: str, tmp_path: Path) -> None:
    tensor = dataclasses.replace(packaged("digits").artifact.inputs[0], dtype=dtype, shape=(1, 300))
    (wanted,) = sample_inputs([tensor], 3)
    assert wanted.dtype == dtype
    text = SAMPLES_MAIN.format(dtype=dtype, bytes=wanted.nbytes, elements=wanted.size)
    write_text(tmp_path / "main.c", text)
    sources = ["main.c", APPLICATION / "src" / "sample.c", f"-I{APPLICATION}/include"]
    run("gcc", *WARNINGS, *sources, "-o", "program", directory=tmp_path)
    printed = subprocess.run([tmp_path / "program"], capture_output=True, timeout=60).stdout
    assert printed == wanted.tobytes()


def test_what_is_expected_is_what_the_oracle_gives() -> None:
    model = tvmtiny.load(models.path("digits"))
    expected = packaged("digits").expected
    assert len(expected) == SAMPLES == len(set(expected))
    _, tensors = oracle_tensors(model, sample_inputs(packaged("digits").artifact.inputs, 2))
    assert expected[2] == zlib.crc32(tensors[model.graph.outputs[0].index].tobytes())


@needs_programs("cmake", "gcc")
@pytest.mark.parametrize("way", ["add_subdirectory", "find_package"])
def test_with_cmake(way: str, tmp_path: Path) -> None:
    chosen = [packaged("sine"), packaged("digits", "external")]
    package = program(tmp_path, chosen)
    use = {
        "add_subdirectory": "add_subdirectory(models)",
        "find_package": "find_package(tvmtiny_models REQUIRED PATHS models NO_DEFAULT_PATH)",
    }[way]
    write_text(
        tmp_path / "CMakeLists.txt",
        f"""cmake_minimum_required(VERSION 3.16)
project(host LANGUAGES C)
add_compile_options({" ".join(WARNINGS)})
{use}
add_executable(host main.c models/table.c {APPLICATION}/src/sample.c)
target_include_directories(host PRIVATE {APPLICATION}/include)
target_link_libraries(host PRIVATE tvmtiny::models)
""",
    )
    run("cmake", "-S", ".", "-B", "out", "-DCMAKE_BUILD_TYPE=Debug", directory=tmp_path)
    run("cmake", "--build", "out", directory=tmp_path)
    printed = run("out/host", directory=tmp_path).split("\n")
    for model in chosen:
        for index, crc in enumerate(model.expected):
            assert f"{model.name} {index} {crc:08x}" in printed
    assert package.is_dir()


@needs_programs("make", "gcc")
def test_a_model_that_remembers_begins_anew_with_each_sample(tmp_path: Path) -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 16), scale=0.1)
    variable = b.variable("last", np.full((1, 16), -7, np.int8))
    y = b.tensor("y", (1, 16), scale=0.1)
    b.op("READ_VARIABLE", [variable], [y], {})
    b.op("ASSIGN_VARIABLE", [variable, x], [], {})
    (tmp_path / "delay.tflite").write_bytes(b.build([y]))
    delay = package(tvmtiny.load(tmp_path / "delay.tflite"))
    assert len(delay.expected) == SAMPLES
    assert len(set(delay.expected)) == 1
    make_program(tmp_path, [delay])


@needs_programs("make", "gcc")
def test_with_make(tmp_path: Path) -> None:
    make_program(tmp_path, [packaged("digits")])


def make_program(directory: Path, chosen: list[PackagedModel]) -> None:
    """Build with make, and run."""
    program(directory, chosen)
    sources = f"main.c models/table.c {APPLICATION}/src/sample.c"
    write_text(
        directory / "Makefile",
        "include models/tvmtiny_models.mk\n"
        f"CFLAGS := -O1 -fsanitize=undefined {GCC_TRAP} {' '.join(WARNINGS)} "
        f"$(TVMTINY_CFLAGS) -I{APPLICATION}/include\n"
        f"host: {sources} $(TVMTINY_SOURCES)\n\tgcc $(CFLAGS) $^ -o $@\n",
    )
    run("make", "host", directory=directory)
    run("./host", directory=directory)


def test_the_same_models_give_the_same_files() -> None:
    chosen = [packaged("sine"), packaged("digits")]
    files = package_files(chosen)
    assert files == package_files(chosen)
    assert not any("/" in name for name in files)
    for model in chosen:
        assert {name: files[name] for name in model.artifact.files} == dict(model.artifact.files)


def test_what_cannot_be_packaged() -> None:
    with pytest.raises(InputError, match="no model"):
        package_files([])
    with pytest.raises(InputError, match="different names"):
        package_files([packaged("sine"), packaged("sine")])
    with pytest.raises(InputError, match="different names"):
        package_files([packaged("digits"), packaged("digits", "external")])
