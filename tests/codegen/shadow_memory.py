"""Runs generated C while a shadow of the arena keeps which tensor each byte belongs to.

An address sanitizer replaces every load and store of the model's code by a call, which lands here.
A load inside an input of the running layer must find bytes that the producer of that input wrote;
everything else is reported with layer and offset.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2
import numpy as np
from host_runner import (
    LINKER,
    TOGETHER,
    WARNINGS,
    compiler_or_skip,
    run_command,
    run_program,
    together,
    write_files,
)

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.tensors import pack_inputs, split_layers
from tvmtiny.memory import Request

#: Replace every memory access by a call and check nothing else. Built-in functions and the
#: optimizer are off, so that no access hides in a library function and compiling takes half the
#: time. Clang would otherwise leave out accesses to addresses that were just accessed.
_PLAIN = ("-O0", "-fno-builtin")
_INSTRUMENT = {
    "gcc": (
        "-fsanitize=kernel-address",
        "--param=asan-instrumentation-with-call-threshold=0",
        "--param=asan-stack=0",
        "--param=asan-globals=0",
    ),
    "clang": (
        *("-fsanitize=address", "-fsanitize-recover=address"),
        *("-mllvm", "-asan-instrumentation-with-call-threshold=0"),
        *("-mllvm", "-asan-stack=0", "-mllvm", "-asan-globals=0", "-mllvm", "-asan-opt=0"),
    ),
}
_READ, _OUTPUT, _WORKSPACE, _MOVED, _SOURCE = range(5)
_HEADER = """\
#include <stddef.h>
#include <stdint.h>

struct range {
  uint32_t layer, offset, bytes, kind, owner;
};

struct shadowed {
  const char *model;
  const struct range *ranges;
  size_t count;
  /* accepts[a * owners + b]: the bytes that b wrote are bytes of a. */
  const uint8_t *accepts;
  size_t owners;
  const char *const *names;
  uint16_t *shadow;
  uint32_t arena_bytes;
};

/* Begins with an arena whose bytes are written by nobody. */
void shadow_start(const struct shadowed *model, uint8_t *arena);
void shadow_layer_begins(void *context, uint32_t index, const void *data, uint32_t bytes);
void shadow_layer_ends(void *context, uint32_t index, const void *data, uint32_t bytes);
"""
#: The part that is the same for all models and is compiled once.
_RUNTIME = """\
#include "shadow_.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ = 0, OUTPUT = 1, MOVED = 3, SOURCE = 4 };

static const struct shadowed *model;
static uint8_t *arena;
static const struct range *first, *end;
static uint32_t layer;
static int active;
/* Whose byte was read last: moves write what they have just read. */
static uint16_t last_read;
static FILE *layers_file;

void shadow_start(const struct shadowed *started, uint8_t *its_arena)
{
  model = started;
  arena = its_arena;
  if (layers_file == NULL) {
    layers_file = fopen("layers.bin", "wb");
  }
  if (layers_file == NULL) {
    exit(4);
  }
}

static void complain(const char *what, uint32_t offset)
{
  printf("%s: layer %u %s arena + %u, last written by %s\\n", model->model, (unsigned)layer, what,
      (unsigned)offset, model->names[model->shadow[offset]]);
  exit(20);
}

static int covers(const struct range *range, uint32_t offset)
{
  return offset >= range->offset && offset - range->offset < range->bytes;
}

static void load(uintptr_t address, size_t size)
{
  for (uintptr_t a = address; a < address + size; ++a) {
    const uint32_t offset = (uint32_t)(a - (uintptr_t)arena);
    int allowed = 0, known = 0, input = 0;
    if (!active || a < (uintptr_t)arena || a - (uintptr_t)arena >= model->arena_bytes) {
      continue;
    }
    const uint16_t written_by = model->shadow[offset];
    last_read = written_by;
    for (const struct range *r = first; r < end; ++r) {
      if (covers(r, offset)) {
        known = 1;
        input |= r->kind == READ;
        const int accepting = r->kind != OUTPUT && r->kind < MOVED;
        allowed |= accepting && model->accepts[r->owner * model->owners + written_by];
      }
    }
    for (const struct range *r = first; r < end; ++r) {
      /* What lies in an input is read as that, never as the output above it. */
      const int read = r->kind >= MOVED || (!input && r->kind == OUTPUT);
      allowed |= read && covers(r, offset) && written_by == r->owner;
    }
    if (!known) {
      complain("reads outside of its tensors at", offset);
    }
    if (!allowed) {
      complain("reads an overwritten byte at", offset);
    }
  }
}

static void store(uintptr_t address, size_t size)
{
  for (uintptr_t a = address; a < address + size; ++a) {
    const uint32_t offset = (uint32_t)(a - (uintptr_t)arena);
    uint16_t owner = 0;
    if (!active || a < (uintptr_t)arena || a - (uintptr_t)arena >= model->arena_bytes) {
      continue;
    }
    for (const struct range *r = first; r < end; ++r) {
      if (r->kind != READ && r->kind < MOVED && covers(r, offset)) {
        owner = (uint16_t)r->owner;
      }
    }
    for (const struct range *r = first; r < end; ++r) {
      if (r->kind == MOVED && covers(r, offset) && (owner == 0 || r->owner == last_read)) {
        owner = (uint16_t)r->owner;
      }
    }
    if (owner == 0) {
      complain("writes outside of its tensors at", offset);
    }
    model->shadow[offset] = owner;
  }
}

#define ACCESSES(bytes)                                  \\
  void __asan_load##bytes##_noabort(uintptr_t address);  \\
  void __asan_load##bytes##_noabort(uintptr_t address)   \\
  {                                                      \\
    load(address, bytes##u);                             \\
  }                                                      \\
  void __asan_store##bytes##_noabort(uintptr_t address); \\
  void __asan_store##bytes##_noabort(uintptr_t address)  \\
  {                                                      \\
    store(address, bytes##u);                            \\
  }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __asan_loadN_noabort(uintptr_t address, size_t size);
void __asan_loadN_noabort(uintptr_t address, size_t size)
{
  load(address, size);
}
void __asan_storeN_noabort(uintptr_t address, size_t size);
void __asan_storeN_noabort(uintptr_t address, size_t size)
{
  store(address, size);
}
void *__asan_memcpy(void *to, const void *from, size_t size);
void *__asan_memcpy(void *to, const void *from, size_t size)
{
  load((uintptr_t)from, size);
  store((uintptr_t)to, size);
  return memcpy(to, from, size);
}
void *__asan_memset(void *to, int value, size_t size);
void *__asan_memset(void *to, int value, size_t size)
{
  store((uintptr_t)to, size);
  return memset(to, value, size);
}
/* The rest of what instrumented code refers to. */
#define NOTHING(name) \\
  void name(void);    \\
  void name(void)     \\
  {                   \\
  }
NOTHING(__asan_handle_no_return)
NOTHING(__asan_init)
NOTHING(__asan_version_mismatch_check_v8)

void shadow_layer_begins(void *context, uint32_t index, const void *data, uint32_t bytes)
{
  (void)context;
  (void)data;
  (void)bytes;
  layer = index;
  first = end = model->ranges;
  for (const struct range *r = model->ranges; r < model->ranges + model->count; ++r) {
    first = r->layer < index ? r + 1 : first;
    end = r->layer <= index ? r + 1 : end;
  }
  active = 1;
}

void shadow_layer_ends(void *context, uint32_t index, const void *data, uint32_t bytes)
{
  (void)context;
  (void)index;
  active = 0;
  if (fwrite(data, 1, bytes, layers_file) != bytes || fflush(layers_file) != 0) {
    exit(3);
  }
}
"""
_MAIN = """\
#include "shadow_.h"

#include <stdio.h>
#include <stdlib.h>

static FILE *input_file;

/* Reads an input to where it lies. */
static void read_input(uint8_t *arena, uint32_t offset, uint32_t bytes)
{
  if (fread(arena + offset, 1, bytes, input_file) != bytes) {
    exit(5);
  }
}

static void own(uint16_t *shadow, uint32_t offset, uint32_t bytes, uint16_t owner)
{
  for (uint32_t i = 0; i < bytes; ++i) {
    shadow[offset + i] = owner;
  }
}
{% for run in runs %}

#include "{{ run.name }}.h"

static int run_{{ run.name }}(void)
{
  static const struct range ranges[] = {
{% for r in run.ranges %}
    { {{ r.layer }}u, {{ r.offset }}u, {{ r.bytes }}u, {{ r.kind }}u, {{ r.owner }}u },
{% endfor %}
  };
  static const uint8_t accepts[] = {
{% for row in run.accepts %}
    {{ row | join(", ") }},
{% endfor %}
  };
  static const char *const names[] = {
{% for n in run.names %}
    "{{ n }}",
{% endfor %}
  };
  static uint16_t shadow[{{ run.arena_bytes }}u];
  static const struct shadowed model = {
    "{{ run.name }}", ranges, sizeof(ranges) / sizeof(ranges[0]), accepts,
    {{ run.names | length }}u, names, shadow, {{ run.arena_bytes }}u,
  };
  struct tvmtiny_{{ run.name }}_inputs inputs;
  struct tvmtiny_{{ run.name }}_outputs outputs;
  uint8_t *arena;
  tvmtiny_{{ run.name }}_bind(&inputs, &outputs);
  arena = (uint8_t *)(uintptr_t)inputs.{{ run.inputs[0].c_name }} - {{ run.inputs[0].offset }};
  shadow_start(&model, arena);
{% for offset, bytes, owner in run.states %}
  own(shadow, {{ offset }}u, {{ bytes }}u, {{ owner }}u);
{% endfor %}
{% for t in run.inputs %}
  read_input(arena, {{ t.offset }}u, {{ t.bytes }}u);
  own(shadow, {{ t.offset }}u, {{ t.bytes }}u, {{ t.owner }}u);
{% endfor %}
  return tvmtiny_{{ run.name }}_run_layers(
             &inputs, &outputs, shadow_layer_begins, shadow_layer_ends, NULL) == 0 ? 0 : 6;
}
{% endfor %}

int main(void)
{
  int code = 0;
  input_file = fopen("input.bin", "rb");
  if (input_file == NULL) {
    return 4;
  }
{% for run in runs %}
  code = code != 0 ? code : run_{{ run.name }}();
{% endfor %}
  return code;
}
"""


@dataclass(frozen=True)
class _Range:
    """Bytes that a layer may touch."""

    layer: int
    offset: int
    bytes: int
    kind: int
    owner: int


def run_with_shadow(
    artifact: Artifact, inputs: Sequence[np.ndarray], directory: Path
) -> tuple[np.ndarray, ...]:
    """Return the output of each layer; fail where a layer reads bytes that another layer overwrote.

    Parameters
    ----------
    artifact
        An artifact with at least one input.
    directory
        Working directory.
    """
    (layers,) = run_all_with_shadow([(artifact, inputs)], directory)
    return layers


def run_all_with_shadow(
    runs: Sequence[tuple[Artifact, Sequence[np.ndarray]]], directory: Path
) -> list[tuple[np.ndarray, ...]]:
    """Run artifacts with different names in one program, which takes much less time.

    Clang instruments code in half of GCC's time, so GCC only looks for warnings if there is Clang.
    """
    compiler, clang = compiler_or_skip("gcc"), shutil.which("clang")
    sources = [source for artifact, _ in runs for source in write_files(artifact, directory)]
    main = _template().render(runs=[_described(artifact) for artifact, _ in runs])
    texts = {"shadow_.h": _HEADER, TOGETHER: together(sources, directory), "main_.c": main}
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    common = [compiler, *WARNINGS, "-DTVMTINY_LAYERS"]
    flags = [*WARNINGS, "-DTVMTINY_LAYERS", *_PLAIN, *_INSTRUMENT["clang" if clang else "gcc"]]
    if clang is not None:
        run_command([*common, "-fsyntax-only", TOGETHER], directory)
    run_command([clang or compiler, *flags, "-c", TOGETHER], directory)
    objects = ["together_.o", str(_runtime(compiler))]
    run_command([*common, "-O0", "main_.c", *objects, "-lm", *LINKER, "-o", "program"], directory)
    packed = (pack_inputs(artifact.inputs, inputs) for artifact, inputs in runs)
    (directory / "input.bin").write_bytes(b"".join(packed))
    run_program(directory / "program")
    with (directory / "layers.bin").open("rb") as file:
        layers = [
            split_layers(file.read(sum(size for _, size in artifact.pieces)), artifact)
            for artifact, _ in runs
        ]
        assert not file.read()
    return layers


#: The folder is removed when this process ends.
_FOLDER = TemporaryDirectory(prefix="shadow")


@cache
def _runtime(compiler: str) -> Path:
    """The object file of the part that is the same for all models."""
    folder = Path(_FOLDER.name)
    (folder / "shadow_.h").write_text(_HEADER, encoding="utf-8")
    (folder / "shadow_.c").write_text(_RUNTIME, encoding="utf-8")
    run_command([compiler, *WARNINGS, "-O2", "-c", "shadow_.c"], folder)
    return folder / "shadow_.o"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return environment.from_string(_MAIN)


def _described(artifact: Artifact) -> dict[str, Any]:
    owners = {r.name: i for i, r in enumerate(artifact.problem.requests, 1)}
    for name in owners:
        place, _, tensor = name.partition(".")
        if place in ("later", "window"):
            # The same rows in other places.
            owners[name] = owners[f"ring.{tensor}"] if f"ring.{tensor}" in owners else owners[name]
    inner: dict[str, set[str]] = {name: {name} for name in owners}
    # Tensors inside another tensor are complete once their last producer has run.
    for inside in artifact.problem.insides:
        inner[inside.outer] |= inner[inside.inner]
    offsets = {t.offset: t for t in artifact.inputs}
    assert len(offsets) == len(artifact.inputs)
    inputs = [{**vars(t), "owner": owners[f"input.{i}"]} for i, t in enumerate(artifact.inputs)]
    rows = [[1 if b in inner.get(a, ()) else 0 for b in ["", *owners]] for a in ["", *owners]]
    return {
        "name": artifact.name,
        "arena_bytes": artifact.arena_bytes,
        "ranges": list(_ranges(artifact, owners)),
        "names": ["nobody", *owners],
        "accepts": rows,
        "inputs": inputs,
        "states": [
            (artifact.plan.offsets[r.name], r.size, owners[r.name])
            for r in artifact.problem.requests
            if r.name == "stream"
        ],
    }


def _ranges(artifact: Artifact, owners: dict[str, int]) -> Iterator[_Range]:
    requests = {request.name: request for request in artifact.problem.requests}
    sizes = {name: request.size for name, request in requests.items()}
    for layer in artifact.layers:
        workspaces = [n for n in owners if n.startswith(f"workspace.{layer.index}.")]
        for kind, names in (
            (_READ, layer.reads),
            (_OUTPUT, (layer.writes,)),
            (_WORKSPACE, tuple(workspaces)),
        ):
            for name in names:
                if name not in owners:
                    # A state has memory of its own.
                    continue
                offset = artifact.plan.offsets[name]
                yield _Range(layer.index, offset, sizes[name], kind, owners[name])
        for kind, name in _streamed(artifact, layer.index, requests):
            offset = artifact.plan.offsets[name]
            yield _Range(layer.index, offset, sizes[name], kind, owners[name])


def _streamed(
    artifact: Artifact, layer: int, requests: Mapping[str, Request]
) -> Iterator[tuple[int, str]]:
    """Accesses of a layer that runs row by row, besides those to its tensors.

    The layer moves rows in the rings that it reads, and fills rows of padding there. The first
    layer of a segment initializes all rings. Before a layer runs, rows of other tensors may move
    into a window or out of it.
    """
    if artifact.stream is None:
        return
    yield _WORKSPACE, "stream"
    for segment in artifact.stream.segments:
        if segment.first <= layer <= segment.last:
            reads = artifact.layers[layer].reads
            for ring in segment.rings:
                window = ring.tensor.replace("ring.", "window.", 1)
                begins = layer == segment.first == ring.first
                if ring.tensor in reads or (begins and window not in requests):
                    yield _OUTPUT, ring.tensor
                if window in reads:
                    yield _OUTPUT, window
                if window not in requests:
                    continue
                for name in (ring.tensor, ring.tensor.replace("ring.", "later.", 1), window):
                    if name in requests:
                        here = requests[name].first <= layer + 1 <= requests[name].last
                        yield _MOVED if here else _SOURCE, name
            sums = f"workspace.{segment.last}.sums"
            if layer == segment.first != segment.last and sums in artifact.plan.offsets:
                yield _WORKSPACE, sums
