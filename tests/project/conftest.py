"""A handwritten model in the form that the code generator produces."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tvmtiny.codegen.placement import Placement
from tvmtiny.targets import resolve

#: Spares CMake the programs by which it tries each compiler.
_WORKING_COMPILERS = "".join(
    f"set(CMAKE_{language}_{found} TRUE)\n"
    for language in ("C", "CXX")
    for found in ("COMPILER_WORKS", "ABI_COMPILED")
)


@pytest.fixture(scope="session")
def working_compilers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toolchain file for CMake."""
    file = tmp_path_factory.mktemp("cmake") / "working_compilers.cmake"
    file.write_text(_WORKING_COMPILERS)
    return file


@pytest.fixture(autouse=True)
def _quick_cmake(monkeypatch: pytest.MonkeyPatch, working_compilers: Path) -> None:
    """Make CMake trust the compilers, and write files for Ninja, which halves its time."""
    monkeypatch.setenv("CMAKE_TOOLCHAIN_FILE", str(working_compilers))
    if shutil.which("ninja") is not None:
        monkeypatch.setenv("CMAKE_GENERATOR", "Ninja")


RUNTIME_HEADER = """\
#ifndef TVMTINY_H
#define TVMTINY_H
#include <stdint.h>
typedef void (*tvmtiny_layer_hook)(void *context, uint32_t layer, const void *data, uint32_t bytes);
#endif
"""

MODEL_HEADER = """\
#ifndef TVMTINY_@_H
#define TVMTINY_@_H
#include "tvmtiny.h"
struct tvmtiny_@_inputs {
    const int8_t *x;
    const float *scale;
};
struct tvmtiny_@_outputs {
    int8_t *y;
    float *z;
};
void tvmtiny_@_bind(struct tvmtiny_@_inputs *inputs, struct tvmtiny_@_outputs *outputs);
int32_t tvmtiny_@_run(const struct tvmtiny_@_inputs *inputs,
                      const struct tvmtiny_@_outputs *outputs);
#ifdef TVMTINY_LAYERS
int32_t tvmtiny_@_run_layer(uint32_t layer, const struct tvmtiny_@_inputs *inputs,
                            const struct tvmtiny_@_outputs *outputs, const void **data,
                            uint32_t *bytes);
int32_t tvmtiny_@_run_layers(const struct tvmtiny_@_inputs *inputs,
                             const struct tvmtiny_@_outputs *outputs, tvmtiny_layer_hook begin,
                             tvmtiny_layer_hook end, void *context);
#endif
#endif
"""

# Layer 0 doubles in place, over the memory of its input, so inputs must be read twice.
MODEL_SOURCE = """\
#include "@.h"
void tvmtiny_@_double(const int8_t *from, int8_t *to);
int32_t tvmtiny_@_scale(const int8_t *from, const float *scale, float *to);
static struct {
    int8_t xy[8];
    float scale[1];
    float z[8];
} arena;
void tvmtiny_@_bind(struct tvmtiny_@_inputs *inputs, struct tvmtiny_@_outputs *outputs)
{
    inputs->x = arena.xy;
    inputs->scale = arena.scale;
    outputs->y = arena.xy;
    outputs->z = arena.z;
}
int32_t tvmtiny_@_run(const struct tvmtiny_@_inputs *inputs,
                      const struct tvmtiny_@_outputs *outputs)
{
    tvmtiny_@_double(inputs->x, outputs->y);
    return tvmtiny_@_scale(outputs->y, inputs->scale, outputs->z);
}
#ifdef TVMTINY_LAYERS
int32_t tvmtiny_@_run_layer(uint32_t layer, const struct tvmtiny_@_inputs *inputs,
                            const struct tvmtiny_@_outputs *outputs, const void **data,
                            uint32_t *bytes)
{
    if (layer == 0u) {
        tvmtiny_@_double(inputs->x, outputs->y);
        *data = outputs->y;
        *bytes = 8;
        return 0;
    }
    *data = outputs->z;
    *bytes = 32;
    return tvmtiny_@_scale(outputs->y, inputs->scale, outputs->z);
}
int32_t tvmtiny_@_run_layers(const struct tvmtiny_@_inputs *inputs,
                             const struct tvmtiny_@_outputs *outputs, tvmtiny_layer_hook begin,
                             tvmtiny_layer_hook end, void *context)
{
    const void *data;
    uint32_t bytes;
    uint32_t layer;
    int32_t status = 0;
    for (layer = 0; layer < 2u; ++layer) {
        begin(context, layer, (const void *)0, 0);
        status = tvmtiny_@_run_layer(layer, inputs, outputs, &data, &bytes);
        end(context, layer, data, bytes);
    }
    return status;
}
#endif
"""

KERNELS_SOURCE = """\
#include "@.h"
void tvmtiny_@_double(const int8_t *from, int8_t *to);
int32_t tvmtiny_@_scale(const int8_t *from, const float *scale, float *to);
static const int8_t bias[8] = {1, 2, 3, 4, 5, 6, 7, 8};
%(declarations)s
void tvmtiny_@_double(const int8_t *from, int8_t *to)
{
    uint32_t i;
    for (i = 0; i < 8u; ++i) {
        to[i] = (int8_t)(2 * from[i] + bias[i]);
    }
}
int32_t tvmtiny_@_scale(const int8_t *from, const float *scale, float *to)
{
    uint32_t i;
    %(body)s
    for (i = 0; i < 8u; ++i) {
        to[i] = (float)from[i] * scale[0];
    }
    return %(status)s;
}
"""


def _tensor(name: str, shape: tuple[int, ...], dtype: str, offset: int) -> SimpleNamespace:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return SimpleNamespace(
        name=name,
        c_name=name,
        shape=shape,
        dtype=dtype,
        bytes=size,
        offset=offset,
        scale=None,
        zero_point=None,
    )


def _layer(index: int, operator: str, name: str, dtype: str) -> SimpleNamespace:
    size = 8 * np.dtype(dtype).itemsize
    return SimpleNamespace(
        index=index,
        operator=operator,
        name=name,
        tensor=index + 2,
        shape=(2, 4),
        dtype=dtype,
        bytes=size,
    )


@pytest.fixture
def make_artifact() -> Callable[..., Any]:
    """Return a function that makes an artifact for a target; its second layer can be broken."""

    def make(
        target: str,
        *,
        declarations: str = "",
        body: str = "",
        status: str = "0",
        arena_bytes: int = 44,
        constants_bytes: int = 8,
        files: Mapping[str, str] | None = None,
    ) -> Any:
        kernels = KERNELS_SOURCE % {"declarations": declarations, "body": body, "status": status}
        texts = {
            "tvmtiny.h": RUNTIME_HEADER,
            "hand.h": MODEL_HEADER,
            "hand.c": MODEL_SOURCE,
            "hand_kernels.c": kernels,
            **(files or {}),
        }
        layers = (_layer(0, "MUL", "double", "int8"), _layer(1, "ADD", "scale", "float32"))
        return SimpleNamespace(
            name="hand",
            target=resolve(target),
            files={name: text.replace("@", "hand") for name, text in texts.items()},
            inputs=(_tensor("x", (2, 4), "int8", 0), _tensor("scale", (1,), "float32", 8)),
            outputs=(_tensor("y", (2, 4), "int8", 0), _tensor("z", (2, 4), "float32", 12)),
            layers=layers,
            pieces=tuple((layer.index, layer.bytes) for layer in layers),
            stream=None,
            feed=None,
            training=None,
            arena_bytes=arena_bytes,
            constants_bytes=constants_bytes,
            states=(),
            state_bytes=0,
            external=False,
            placement=Placement(),
        )

    return make


@pytest.fixture
def hand_inputs() -> list[np.ndarray]:
    """Inputs of the handwritten model."""
    return [
        np.arange(-4, 4, dtype=np.int8).reshape(2, 4),
        np.array([0.5], dtype=np.float32),
    ]


@pytest.fixture
def hand_outputs() -> tuple[np.ndarray, np.ndarray]:
    """The results of the handwritten model for these inputs."""
    doubled = 2 * np.arange(-4, 4) + np.arange(1, 9)
    return (
        doubled.astype(np.int8).reshape(2, 4),
        (doubled * 0.5).astype(np.float32).reshape(2, 4),
    )
