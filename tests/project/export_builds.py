"""Exported folders built by the tools they are made for, or by an imitation of these tools."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from fake_zephyr import make_tree
from host_runner import STRICT

from tests.project.newlib_program import FLAGS, linker_flags, run
from tests.project.pack_rules import pack_problems

WARNINGS = " ".join(STRICT)

#: The part of Arduino's core that the sketches need.
ARDUINO_H = """\
#include <stdint.h>
#include <stdio.h>
struct Port {
  void begin(long) {}
  void print(const char *text) { fputs(text, stdout); }
  void print(char text) { putchar(text); }
  void print(long value) { printf("%ld", value); }
  void print(double value, int digits) { printf("%.*f", digits, value); }
  void println() { putchar('\\n'); }
  void println(const char *text) { puts(text); }
};
static Port Serial;
static inline void delay(unsigned long) {}
"""
ARDUINO_MAIN = "\nint main() { setup(); loop(); }\n"

#: The part of ESP-IDF's build that a component and the example's main need.
IDF = """\
cmake_minimum_required(VERSION 3.16)
project(stub LANGUAGES C)
function(idf_component_register)
  cmake_parse_arguments(given "" "" "SRCS;INCLUDE_DIRS;REQUIRES" ${ARGN})
  get_filename_component(name ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  add_library(${name} STATIC ${given_SRCS})
  target_include_directories(${name} PUBLIC ${given_INCLUDE_DIRS})
  target_link_libraries(${name} PUBLIC ${given_REQUIRES})
endfunction()
add_subdirectory(components/tvmtiny_models)
add_subdirectory(components/tvmtiny_models/examples/run/main)
file(WRITE start.c "void app_main(void); int main(void) { app_main(); return 0; }")
add_executable(start start.c)
target_link_libraries(start PRIVATE main)
"""

#: The part of TensorFlow Lite's C API that the SDK's engine for compiled models needs.
COMMON_H = """\
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum {
  kTfLiteNoType = 0, kTfLiteFloat32 = 1, kTfLiteInt32 = 2, kTfLiteUInt8 = 3, kTfLiteInt64 = 4,
  kTfLiteBool = 6, kTfLiteInt16 = 7, kTfLiteInt8 = 9
} TfLiteType;
typedef enum { kTfLiteMemNone = 0, kTfLiteMmapRo, kTfLiteArenaRw } TfLiteAllocationType;
typedef struct TfLiteIntArray { int size; int data[]; } TfLiteIntArray;
typedef struct { float scale; int32_t zero_point; } TfLiteQuantizationParams;
typedef union { int8_t *int8; uint8_t *uint8; float *f; void *data; } TfLitePtrUnion;
typedef struct TfLiteTensor {
  TfLiteType type;
  TfLitePtrUnion data;
  TfLiteIntArray *dims;
  TfLiteQuantizationParams params;
  TfLiteAllocationType allocation_type;
  size_t bytes;
} TfLiteTensor;
"""

_CXX_PROJECT = """\
cmake_minimum_required(VERSION 3.16)
project(application LANGUAGES CXX)
add_subdirectory(../models models)
add_executable(application main.cpp)
target_link_libraries(application PRIVATE tvmtiny::models)
"""

_ZEPHYR_PROJECT = """\
cmake_minimum_required(VERSION 3.20)
find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})
project(application LANGUAGES C)
target_sources(app PRIVATE main.c)
"""


def write_common_h(folder: Path) -> None:
    """Put the stand-in for TensorFlow Lite's C API where the SDK has the file."""
    path = folder / "edge-impulse-sdk" / "tensorflow" / "lite" / "c" / "common.h"
    path.parent.mkdir(parents=True)
    path.write_text(COMMON_H)


def pack_parts(pack: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Unpack a CMSIS-Pack; return the sources and the include paths of its components."""
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(folder)
    (description,) = folder.glob("*.pdsc")
    files = ElementTree.parse(description).findall("components/component/files/file")
    sources, includes = (
        [folder / f.get("name", "") for f in files if f.get("category") == category]
        for category in ("source", "include")
    )
    return sources, includes


def _cmake(models: Path, work: Path) -> str:
    flags = f"-DCMAKE_C_FLAGS={WARNINGS}"
    run("cmake", "-S", models / "example", "-B", "out", flags, directory=work)
    run("cmake", "--build", "out", directory=work)
    return run(work / "out" / "example", directory=work)


def _cmake_of_cxx(models: Path, work: Path) -> str:
    application = models.parent / "application"
    application.mkdir()
    (application / "CMakeLists.txt").write_text(
        _CXX_PROJECT.replace("../models", f"../{models.name}")
    )
    (application / "main.cpp").write_bytes((models / "example" / "main.c").read_bytes())
    run("cmake", "-S", application, "-B", "out-cxx", directory=work)
    run("cmake", "--build", "out-cxx", directory=work)
    return run(work / "out-cxx" / "application", directory=work)


def _makefile(models: Path, work: Path) -> str:
    run("make", "-C", models / "example", f"CFLAGS={WARNINGS} -O1", directory=work)
    return run(models / "example" / "example", directory=work)


def _arduino(library: Path, work: Path) -> str:
    (sketch,) = library.glob("examples/*/*.ino")
    assert sketch.stem == sketch.parent.name
    (work / "Arduino.h").write_text(ARDUINO_H)
    text = f"#include <Arduino.h>\n{sketch.read_text()}{ARDUINO_MAIN}"
    (work / "sketch.cpp").write_text(text)
    sources = sorted((library / "src").rglob("*.c"))
    c = ("arm-none-eabi-gcc", *FLAGS, "-std=gnu11", "-Os", *WARNINGS.split())
    run(*c, "-c", *sources, directory=work)
    objects = [path.with_suffix(".o").name for path in sources]
    cpp = ("arm-none-eabi-g++", *FLAGS, "-std=gnu++11", "-Wall", "-Wextra", "-Werror")
    run(*cpp, "-I.", f"-I{library / 'src'}", "-c", "sketch.cpp", directory=work)
    # The C compiler links, which requires that no C++ library is needed.
    link = (c[0], *FLAGS, "sketch.o", *objects, *linker_flags(work))
    run(*link, "-o", "sketch.elf", directory=work)
    return ""


def _zephyr(module: Path, work: Path) -> str:
    application = work / "application"
    application.mkdir()
    (application / "prj.conf").write_text("CONFIG_TVMTINY=y\n")
    (application / "CMakeLists.txt").write_text(_ZEPHYR_PROJECT)
    (application / "main.c").write_text("int main(void) { return 0; }\n")
    tree = make_tree(work / "zephyr", "3.7")
    modules = f"-DEXTRA_ZEPHYR_MODULES={module}"
    base = f"ZEPHYR_BASE={tree}"
    run("env", base, "cmake", "-S", application, "-B", "out", modules, directory=work)
    run("cmake", "--build", "out", "--target", "tvmtiny_models", directory=work)
    return ""


def _cmsis_pack(written: Path, work: Path) -> str:
    (pack,) = written.glob("*.pack")
    assert pack_problems(pack) == []
    sources, includes = pack_parts(pack, work / "pack")
    (work / "start.c").write_text("int main(void) { return 0; }\n")
    command = ("arm-none-eabi-gcc", *FLAGS, *WARNINGS.split(), *[f"-I{path}" for path in includes])
    run(*command, *sources, "start.c", *linker_flags(work), "-o", "program.elf", directory=work)
    return ""


def _esp_idf(component: Path, work: Path) -> str:
    # A component is named after its folder; the example's manifest states that name.
    manifest = component / "examples" / "run" / "main" / "idf_component.yml"
    (name,) = re.findall(r"^  (\S+):$", manifest.read_text(), re.MULTILINE)
    (work / "components").mkdir()
    (work / "components" / name).symlink_to(component)
    (work / "CMakeLists.txt").write_text(IDF.replace("tvmtiny_models", name))
    run("cmake", "-S", ".", "-B", "out", f"-DCMAKE_C_FLAGS={WARNINGS}", directory=work)
    run("cmake", "--build", "out", directory=work)
    return run(work / "out" / "start", directory=work)


def _platformio(library: Path, work: Path) -> str:
    manifest = json.loads((library / "library.json").read_text())
    assert all((library / "src" / header).is_file() for header in manifest["headers"])
    (example,) = manifest["examples"]
    program = library / example["base"] / example["files"][0]
    sources = [*sorted(library.glob("src/*.c")), program]
    run("gcc", *STRICT, f"-I{library / 'src'}", *sources, "-o", "program", directory=work)
    return run(work / "program", directory=work)


def _edge_impulse(written: Path, work: Path) -> str:
    (file,) = written.glob("tflite-model/*.cpp")
    write_common_h(work)
    flags = (*FLAGS, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-I.")
    run("arm-none-eabi-g++", *flags, "-c", file, "-o", "model.o", directory=work)
    return ""


#: For each format, the function that builds an export. It takes the written folder and an empty
#: working folder, and returns the output of the example, run on this machine.
BUILDS: Mapping[str, tuple[Callable[[Path, Path], str], ...]] = {
    "cmake": (_cmake, _cmake_of_cxx),
    "makefile": (_makefile,),
    "arduino": (_arduino,),
    "zephyr": (_zephyr,),
    "cmsis-pack": (_cmsis_pack,),
    "esp-idf": (_esp_idf,),
    "platformio": (_platformio,),
    "edge-impulse": (_edge_impulse,),
}
