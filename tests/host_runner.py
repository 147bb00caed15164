"""Compiles an artifact's C for the host, with sanitizers, and runs it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
import pytest

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.artifact import LayerInfo
from tvmtiny.codegen.tensors import pack_inputs, split_layers, split_tensors
from tvmtiny.ops import Alias, Node, Oracle, Tensor, find_operator
from tvmtiny.results import OutputTensor

#: What "without a warning" means, in C as in C++: every test that compiles C takes these flags.
STRICT = ("-pedantic-errors", "-Wall", "-Wextra", "-Wconversion", "-Wcast-qual", "-Werror")
WARNINGS = ("-std=c99", *STRICT)
#: Without an optimizer, which might drop what is undefined before it is seen, and without debug
#: information, because compiling is most of the time that tests of C take.
SANITIZERS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Ends the program where something is undefined, without a word, which compiles in half the time.
_TRAP = "-fsanitize-undefined-trap-on-error"
#: Where it is installed: linking with a sanitizer takes it a third of the time of GNU's default.
LINKER = ("-fuse-ld=gold",) if shutil.which("ld.gold") else ()
_TIMEOUT = 300.0
# No model has a name that ends in an underscore.
_MAIN_FILE = "main_.c"

_MAIN = """\
#include "{{ name }}.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
void __asan_poison_memory_region(void const volatile *address, size_t size);
void __asan_unpoison_memory_region(void const volatile *address, size_t size);
#else
static void __asan_poison_memory_region(void const volatile *address, size_t size)
{
  (void)address;
  (void)size;
}
static void __asan_unpoison_memory_region(void const volatile *address, size_t size)
{
  (void)address;
  (void)size;
}
#endif

struct range {
  uint32_t layer, offset, bytes;
};

/* What each layer may touch in the arena; everything is allowed where the table is empty. */
static const struct range allowed[] = {
{% for layer, offset, bytes in allowed %}
  { {{ layer }}u, {{ offset }}u, {{ bytes }}u },
{% endfor %}
  { {{ layers }}u, 0u, 0u },
};
static uint8_t *arena;
static FILE *layers_file;

static void layer_begins(void *context, uint32_t layer, const void *data, uint32_t bytes)
{
  (void)context;
  (void)data;
  (void)bytes;
  if (sizeof(allowed) / sizeof(allowed[0]) == 1u) {
    return;
  }
  __asan_poison_memory_region(arena, {{ arena_bytes }}u);
  for (uint32_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); ++i) {
    if (allowed[i].layer == layer) {
      __asan_unpoison_memory_region(arena + allowed[i].offset, allowed[i].bytes);
    }
  }
}

static void layer_ends(void *context, uint32_t layer, const void *data, uint32_t bytes)
{
  (void)context;
  (void)layer;
{% if not external %}
  __asan_unpoison_memory_region(arena, {{ arena_bytes }}u);
{% endif %}
  if (fwrite(data, 1, bytes, layers_file) != bytes) {
    exit(3);
  }
}

{% if external %}
{% for t in inputs %}
static uint8_t input_{{ loop.index0 }}[{{ t.bytes }}u] TVMTINY_ALIGN(8);
{% endfor %}
{% for t in outputs %}
static uint8_t output_{{ loop.index0 }}[{{ t.bytes }}u] TVMTINY_ALIGN(8);
{% endfor %}
{% endif %}

static void read_inputs(const uint8_t *from)
{
{% for t in inputs %}
{% if external %}
  memcpy(input_{{ loop.index0 }}, from + {{ t.start }}, {{ t.bytes }}u);
{% else %}
  memcpy(arena + {{ t.offset }}, from + {{ t.start }}, {{ t.bytes }}u);
{% endif %}
{% endfor %}
}

{% if stream %}
/* An inference in steps; 0 if it takes as many as the header says. */
static int steps(const struct tvmtiny_{{ name }}_inputs *inputs,
                 struct tvmtiny_{{ name }}_outputs *outputs)
{
  int32_t status = TVMTINY_MORE;
{% if stream.pushes %}
  const uint8_t *row = (const uint8_t *)(const void *)inputs->{{ inputs[0].c_name }};
  if (tvmtiny_{{ name }}_reset() != TVMTINY_OK) {
    return 1;
  }
  while (status == TVMTINY_MORE || status == TVMTINY_ROW) {
    const int32_t taken = tvmtiny_{{ name }}_push_row((const void *)row);
    if (taken == TVMTINY_MORE) {
      row += {{ stream.row_bytes }};
    } else if (taken == TVMTINY_DONE) {
      status = TVMTINY_DONE;
      break;
    } else if (status == TVMTINY_ROW) {
      return 2;
    }
    status = tvmtiny_{{ name }}_step();
  }
  return status != TVMTINY_DONE || tvmtiny_{{ name }}_results(outputs) != TVMTINY_OK;
{% else %}
  uint32_t count = 0u;
  if (tvmtiny_{{ name }}_begin() != TVMTINY_OK) {
    return 1;
  }
  while (status == TVMTINY_MORE) {
    status = tvmtiny_{{ name }}_step(inputs, outputs);
    ++count;
  }
  return status != TVMTINY_DONE || count != TVMTINY_{{ name | upper }}_SLICES;
{% endif %}
}

{% endif %}
int main(void)
{
{% if stream %}
  FILE *const stepped_file = fopen("stepped.bin", "wb");
{% endif %}
  struct tvmtiny_{{ name }}_inputs inputs;
  struct tvmtiny_{{ name }}_outputs outputs;
  static uint8_t data[{{ input_bytes }}u + 1u];
  FILE *const input_file = fopen("input.bin", "rb");
  FILE *const output_file = fopen("output.bin", "wb");
  layers_file = fopen("layers.bin", "wb");
  if (input_file == NULL || output_file == NULL || layers_file == NULL) {
    return 4;
  }
{% if external %}
{% for t in inputs %}
  inputs.{{ t.c_name }} = (const void *)input_{{ loop.index0 }};
{% endfor %}
{% for t in outputs %}
  outputs.{{ t.c_name }} = (void *)output_{{ loop.index0 }};
{% endfor %}
{% else %}
  tvmtiny_{{ name }}_bind(&inputs, &outputs);
  arena = (uint8_t *)(uintptr_t)inputs.{{ inputs[0].c_name }} - {{ inputs[0].offset }};
{% endif %}
  for (int32_t set = 0; set < {{ sets }}; ++set) {
    if (fread(data, 1, {{ input_bytes }}u, input_file) != {{ input_bytes }}u) {
      return 5;
    }
{% if states and not successive %}
    tvmtiny_{{ name }}_reset();
{% endif %}
    read_inputs(data);
    if (tvmtiny_{{ name }}_run_layers(
            &inputs, &outputs, layer_begins, layer_ends, NULL) != TVMTINY_OK) {
      return 6;
    }
  }
{% if states %}
  tvmtiny_{{ name }}_reset();
{% endif %}
  rewind(input_file);
  for (int32_t set = 0; set < {{ sets }}; ++set) {
    if (fread(data, 1, {{ input_bytes }}u, input_file) != {{ input_bytes }}u) {
      return 5;
    }
{% if states and not successive %}
    tvmtiny_{{ name }}_reset();
{% endif %}
    read_inputs(data);
    if (tvmtiny_{{ name }}_run(&inputs, &outputs) != TVMTINY_OK) {
      return 7;
    }
    {% for t in outputs %}
    if (fwrite(outputs.{{ t.c_name }}, 1, {{ t.bytes }}u, output_file) != {{ t.bytes }}u) {
      return 8;
    }
    {% endfor %}
{% if stream %}
    read_inputs(data);
{% if states and not successive %}
    tvmtiny_{{ name }}_reset();
{% endif %}
    if (steps(&inputs, &outputs) != 0) {
      return 10;
    }
    {% for t in outputs %}
    if (fwrite(outputs.{{ t.c_name }}, 1, {{ t.bytes }}u, stepped_file) != {{ t.bytes }}u) {
      return 8;
    }
    {% endfor %}
{% endif %}
  }
{% if stream %}
  if (fclose(stepped_file) != 0) {
    return 9;
  }
{% endif %}
  return fclose(output_file) == 0 && fclose(layers_file) == 0 ? 0 : 9;
}
"""


@dataclass(frozen=True, eq=False)
class HostResult:
    """What one run gave; the same attributes as a `tvmtiny.RunResult` as far as `check` needs.

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
    """The path of a compiler; skips the test where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run_command(
    command: Sequence[str], directory: Path, environment: Mapping[str, str] = {}
) -> str:
    """Run a command that must succeed, and return what it printed."""
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
    sources = [source for a in artifacts for source in write_files(a, directory)]
    (directory / _MAIN_FILE).write_text(main, encoding="utf-8")
    command = [path, *WARNINGS, *flags, "-DTVMTINY_LAYERS", *sources, _MAIN_FILE, *LINKER]
    run_command([*command, "-o", "program"], directory)
    return directory / "program"


def run_program(program: Path) -> str:
    """Run a program in its directory, and return what it printed."""
    return run_command([str(program)], program.parent, {"ASAN_OPTIONS": "detect_leaks=0"})


def run_main(
    main: str,
    artifacts: Sequence[Artifact],
    directory: Path,
    compiler: str = "gcc",
    flags: Sequence[str] = SANITIZERS,
) -> str:
    """Compile `main` with the C of `artifacts`, run it, and return what it printed."""
    if flags != SANITIZERS:
        return run_program(build_program(main, artifacts, directory, compiler, flags))
    try:
        quick = (*flags, _TRAP)
        return run_program(build_program(main, artifacts, directory, compiler, quick))
    except pytest.fail.Exception:
        # This time with words for what is undefined.
        run_program(build_program(main, artifacts, directory, compiler, flags))
        raise


def run_on_host(
    artifact: Artifact,
    input_sets: Sequence[Sequence[np.ndarray]],
    directory: Path,
    compiler: str = "gcc",
    flags: Sequence[str] = SANITIZERS,
    successive: bool = False,
) -> list[HostResult]:
    """Compile an artifact under sanitizers and run it on each set of inputs.

    While a layer runs, all of the arena but its inputs, output and workspaces is poisoned, so that
    a kernel that strays into a neighbour's memory is caught. External inputs and outputs are static
    arrays, whose surroundings are poisoned, too.

    Parameters
    ----------
    artifact
        With at least one input.
    directory
        Where to work.
    successive
        What the model remembers goes from each set to the next.
    """
    main = _render(artifact, len(input_sets), successive)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "input.bin").write_bytes(
        b"".join(pack_inputs(artifact.inputs, inputs) for inputs in input_sets)
    )
    run_main(main, [artifact], directory, compiler, flags)
    layers = _split((directory / "layers.bin").read_bytes(), len(input_sets))
    written = (directory / "output.bin").read_bytes()
    outputs = _split(written, len(input_sets))
    if artifact.stream is not None and not (successive and artifact.states):
        assert (directory / "stepped.bin").read_bytes() == written
    return [
        HostResult(
            split_layers(layer_data, artifact),
            tuple(
                OutputTensor(t.name, t.dtype, t.shape, data)
                for t, data in zip(
                    artifact.outputs,
                    split_tensors(output_data, artifact.outputs, "outputs"),
                    strict=True,
                )
            ),
        )
        for layer_data, output_data in zip(layers, outputs, strict=True)
    ]


def _split(data: bytes, count: int) -> list[bytes]:
    size = len(data) // count
    assert len(data) == size * count
    return [data[i * size : (i + 1) * size] for i in range(count)]


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )
    return environment.from_string(_MAIN)


def _render(artifact: Artifact, sets: int, successive: bool) -> str:
    inputs, start = [], 0
    for tensor in artifact.inputs:
        inputs.append({**vars(tensor), "start": start})
        start += tensor.bytes
    return _template().render(
        name=artifact.name,
        arena_bytes=artifact.arena_bytes,
        external=artifact.external,
        inputs=inputs,
        input_bytes=start,
        outputs=artifact.outputs,
        layers=len(artifact.layers),
        allowed=[] if artifact.external else _allowed(artifact),
        sets=sets,
        states=artifact.states,
        successive=successive,
        stream=None if successive and artifact.states else artifact.stream,
    )


def _allowed(artifact: Artifact) -> list[tuple[int, int, int]]:
    """Layer, offset and bytes of everything in the arena that a layer may touch."""
    if artifact.stream is not None:
        return _allowed_requests(artifact)
    layers = {layer.tensor: layer for layer in artifact.layers}
    slots = {
        tensor.index: info.offset
        for tensor, info in zip(artifact.graph.inputs, artifact.inputs, strict=True)
    }
    # Outputs may be made of others of the same node, in any order.
    slots |= {t: layer.offset for t, layer in layers.items() if layer.offset is not None}
    ranges = []
    for node in artifact.graph.nodes:
        sources = [t for t in node.inputs if t is not None and t.index in slots]
        for position, output in enumerate(node.outputs):
            layer = layers.get(output.index)
            if layer is None:
                # No code: the output is a part of an input, or a variable was assigned in place.
                view = find_operator(node.operator).results(node, Oracle.LITERT)[position]
                if isinstance(view, Alias) and view.source.index in slots:
                    slots[output.index] = slots[view.source.index] + view.offset
                continue
            if layer.offset is not None:
                slots[output.index] = layer.offset
            made = _read_outputs(node, position, layers)
            touched = [t for t in (*sources, *made, output) if t.index in slots]
            ranges += [(layer.index, slots[t.index], t.nbytes) for t in touched]
            workspaces = [
                offset
                for name, offset in artifact.plan.offsets.items()
                if name.startswith(f"workspace.{layer.index}.")
            ]
            # Only their total size is known.
            ranges += [(layer.index, offset, layer.workspace_bytes) for offset in workspaces]
    return ranges


def _read_outputs(node: Node, position: int, layers: dict[int, LayerInfo]) -> list[Tensor]:
    """Other outputs of the node that one is made of, which are computed before it."""
    if len(node.outputs) == 1:
        return []
    result = find_operator(node.operator).results(node, Oracle.LITERT)[position]
    read = {a.index for a in getattr(result, "arguments", ()) if isinstance(a, Tensor)}
    return [t for t in node.outputs if t.index in read and t.index in layers]


def _allowed_requests(artifact: Artifact) -> list[tuple[int, int, int]]:
    """The same for a model that runs row by row: whole rings, by their names."""
    sizes = {request.name: request.size for request in artifact.problem.requests}
    begun = {
        s.first: [ring.tensor for ring in s.rings if ring.first == s.first]
        for s in artifact.stream.segments
    }
    ranges = []
    for layer in artifact.layers:
        names = {*layer.reads, layer.writes, "stream", *begun.get(layer.index, ())}
        own = (f"workspace.{layer.index}.",)
        for segment in artifact.stream.segments:
            if segment.first == layer.index:
                # It also clears the sums of the segment.
                own = (*own, f"workspace.{segment.last}.sums")
        names |= {name for name in sizes if name.startswith(own)}
        ranges += [
            (layer.index, artifact.plan.offsets[name], sizes[name])
            for name in sorted(names & sizes.keys())
        ]
    return ranges
