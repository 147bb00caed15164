"""The main program around the C of artifacts that `host_runner` compiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import numpy as np

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.artifact import LayerInfo
from tvmtiny.ops import Alias, Node, Oracle, Tensor, find_operator


@dataclass(frozen=True, eq=False)
class HostRun:
    """The program to run.

    Attributes
    ----------
    artifact
        An artifact with at least one input and a name unique in the program.
    successive
        Whether state is carried from each set of inputs to the next.
    """

    artifact: Artifact
    input_sets: Sequence[Sequence[np.ndarray]]
    successive: bool = False

    @property
    def in_steps(self) -> bool:
        """Whether inferences also run in steps and write ``stepped.bin``."""
        return self.artifact.stream is not None and not (self.successive and self.artifact.states)


_MAIN = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

{% for run in runs %}
#include "{{ run.name }}.h"
{% endfor %}

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

/* What each layer of the model that runs may touch in its arena; without, everything is allowed. */
static const struct range *allowed;
static size_t ranges;
static uint8_t *arena;
static size_t arena_bytes;
static FILE *input_file, *output_file, *layers_file, *stepped_file;

static void read_bytes(void *to, size_t bytes)
{
  if (fread(to, 1, bytes, input_file) != bytes) {
    exit(5);
  }
}

static void write_bytes(const void *from, size_t bytes, FILE *file)
{
  if (fwrite(from, 1, bytes, file) != bytes) {
    exit(3);
  }
}

static void layer_begins(void *context, uint32_t layer, const void *data, uint32_t bytes)
{
  (void)context;
  (void)data;
  (void)bytes;
  if (ranges == 0u) {
    return;
  }
  __asan_poison_memory_region(arena, arena_bytes);
  for (size_t i = 0; i < ranges; ++i) {
    if (allowed[i].layer == layer) {
      __asan_unpoison_memory_region(arena + allowed[i].offset, allowed[i].bytes);
    }
  }
}

static void layer_ends(void *context, uint32_t layer, const void *data, uint32_t bytes)
{
  (void)context;
  (void)layer;
  if (arena != NULL) {
    __asan_unpoison_memory_region(arena, arena_bytes);
  }
  write_bytes(data, bytes, layers_file);
}

/* Gives each input its part of a set. */
static void spread(const uint8_t *set, uint8_t *const *inputs, const size_t *bytes, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    memcpy(inputs[i], set, bytes[i]);
    set += bytes[i];
  }
}

static void write_each(void *const *outputs, const size_t *bytes, size_t count, FILE *file)
{
  for (size_t i = 0; i < count; ++i) {
    write_bytes(outputs[i], bytes[i], file);
  }
}
{% for run in runs %}
{% set prefix = "tvmtiny_" ~ run.name %}

{% if run.stream %}
/* An inference in steps; 0 if it takes as many as the header says. */
static int {{ run.name }}_steps(const struct {{ prefix }}_inputs *inputs,
    struct {{ prefix }}_outputs *outputs)
{
  int32_t status = TVMTINY_MORE;
{% if run.stream.pushes %}
  const uint8_t *row = (const uint8_t *)(const void *)inputs->{{ run.inputs[0].c_name }};
  if ({{ prefix }}_reset() != TVMTINY_OK) {
    return 1;
  }
  while (status == TVMTINY_MORE || status == TVMTINY_ROW) {
    const int32_t taken = {{ prefix }}_push_row((const void *)row);
    if (taken == TVMTINY_MORE) {
      row += {{ run.stream.row_bytes }};
    } else if (taken == TVMTINY_DONE) {
      status = TVMTINY_DONE;
      break;
    } else if (status == TVMTINY_ROW) {
      return 2;
    }
    status = {{ prefix }}_step();
  }
  return status != TVMTINY_DONE || {{ prefix }}_results(outputs) != TVMTINY_OK;
{% else %}
  uint32_t count = 0u;
  if ({{ prefix }}_begin() != TVMTINY_OK) {
    return 1;
  }
  while (status == TVMTINY_MORE) {
    status = {{ prefix }}_step(inputs, outputs);
    ++count;
  }
  return status != TVMTINY_DONE || count != {{ prefix | upper }}_SLICES;
{% endif %}
}

{% endif %}
{% if run.external %}
{% for t in run.inputs %}
static uint8_t {{ run.name }}_input_{{ loop.index0 }}[{{ t.bytes }}u] TVMTINY_ALIGN(8);
{% endfor %}
{% for t in run.outputs %}
static uint8_t {{ run.name }}_output_{{ loop.index0 }}[{{ t.bytes }}u] TVMTINY_ALIGN(8);
{% endfor %}

{% endif %}
static int {{ run.name }}_runs(void)
{
{% if run.allowed %}
  static const struct range touched[] = {
{% for layer, offset, bytes in run.allowed %}
    { {{ layer }}u, {{ offset }}u, {{ bytes }}u },
{% endfor %}
  };
{% endif %}
  enum { SET = {{ run.inputs | sum("bytes") }}, IN = {{ run.inputs | length }} };
  enum { OUT = {{ run.outputs | length }} };
  static const size_t in_bytes[] = { {{ run.inputs | join("u, ", "bytes") }}u };
  static const size_t out_bytes[] = { {{ run.outputs | join("u, ", "bytes") }}u };
  static uint8_t data[SET + 1];
{% if run.external %}
  static uint8_t *const in[] = {
{% for t in run.inputs %}
    {{ run.name }}_input_{{ loop.index0 }},
{% endfor %}
  };
  static uint8_t *const out[] = {
{% for t in run.outputs %}
    {{ run.name }}_output_{{ loop.index0 }},
{% endfor %}
  };
{% else %}
  uint8_t *in[IN];
{% endif %}
  void *results[OUT];
  /* They consist of pointers, in the order of the header. */
  struct {{ prefix }}_inputs inputs;
  struct {{ prefix }}_outputs outputs;
  const long begin = ftell(input_file);
{% if run.external %}
  memcpy(&inputs, in, sizeof(inputs));
  memcpy(&outputs, out, sizeof(outputs));
  arena = NULL;
{% else %}
  {{ prefix }}_bind(&inputs, &outputs);
  memcpy(in, &inputs, sizeof(inputs));
  arena = in[0] - {{ run.inputs[0].offset }};
{% endif %}
  arena_bytes = {{ run.arena_bytes }}u;
{% if run.allowed %}
  allowed = touched;
  ranges = sizeof(touched) / sizeof(touched[0]);
{% else %}
  ranges = 0u;
{% endif %}
  for (int set = 0; set < {{ run.sets }}; ++set) {
    read_bytes(data, SET);
{% if run.states and not run.successive %}
    {{ prefix }}_reset();
{% endif %}
    spread(data, in, in_bytes, IN);
    if ({{ prefix }}_run_layers(
            &inputs, &outputs, layer_begins, layer_ends, NULL) != TVMTINY_OK) {
      return 6;
    }
  }
{% if run.states %}
  {{ prefix }}_reset();
{% endif %}
  if (fseek(input_file, begin, SEEK_SET) != 0) {
    return 5;
  }
  for (int set = 0; set < {{ run.sets }}; ++set) {
    read_bytes(data, SET);
{% if run.states and not run.successive %}
    {{ prefix }}_reset();
{% endif %}
    spread(data, in, in_bytes, IN);
    if ({{ prefix }}_run(&inputs, &outputs) != TVMTINY_OK) {
      return 7;
    }
    memcpy(results, &outputs, sizeof(outputs));
    write_each(results, out_bytes, OUT, output_file);
{% if run.stream %}
    spread(data, in, in_bytes, IN);
{% if run.states and not run.successive %}
    {{ prefix }}_reset();
{% endif %}
    if ({{ run.name }}_steps(&inputs, &outputs) != 0) {
      return 10;
    }
    memcpy(results, &outputs, sizeof(outputs));
    write_each(results, out_bytes, OUT, stepped_file);
{% endif %}
  }
  return 0;
}
{% endfor %}

int main(void)
{
  int code = 0;
  input_file = fopen("input.bin", "rb");
  output_file = fopen("output.bin", "wb");
  layers_file = fopen("layers.bin", "wb");
  stepped_file = fopen("stepped.bin", "wb");
  if (input_file == NULL || output_file == NULL || layers_file == NULL || stepped_file == NULL) {
    return 4;
  }
{% for run in runs %}
  code = code != 0 ? code : {{ run.name }}_runs();
{% endfor %}
  if (fclose(stepped_file) != 0 || fclose(output_file) != 0 || fclose(layers_file) != 0) {
    return 9;
  }
  return code;
}
"""


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


def main_program(runs: Sequence[HostRun]) -> str:
    """The text of a program that does `runs`, one after the other.

    The program reads ``input.bin`` and writes ``layers.bin``, ``output.bin`` and, for runs in
    steps, ``stepped.bin``.
    """
    return _template().render(runs=[_described(run) for run in runs])


def _described(run: HostRun) -> dict[str, Any]:
    artifact = run.artifact
    return {
        "name": artifact.name,
        "arena_bytes": artifact.arena_bytes,
        "external": artifact.external,
        "inputs": artifact.inputs,
        "outputs": artifact.outputs,
        "allowed": [] if artifact.external else _allowed(artifact),
        "sets": len(run.input_sets),
        "states": artifact.states,
        "successive": run.successive,
        "stream": artifact.stream if run.in_steps else None,
    }


def _allowed(artifact: Artifact) -> list[tuple[int, int, int]]:
    """Layer, offset and bytes of each part of the arena that a layer may touch."""
    if artifact.stream is not None:
        return _allowed_requests(artifact)
    layers = {layer.tensor: layer for layer in artifact.layers}
    slots = {
        tensor.index: info.offset
        for tensor, info in zip(artifact.graph.inputs, artifact.inputs, strict=True)
    }
    # Outputs may be made of other outputs of the same node, in any order.
    slots |= {t: layer.offset for t, layer in layers.items() if layer.offset is not None}
    ranges = []
    for node in artifact.graph.nodes:
        sources = [t for t in node.inputs if t is not None and t.index in slots]
        for position, output in enumerate(node.outputs):
            layer = layers.get(output.index)
            if layer is None:
                # The layer has no code: its output is a part of an input, or a variable was
                # assigned in place.
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
            # Only the total size of the workspaces is known.
            ranges += [(layer.index, offset, layer.workspace_bytes) for offset in workspaces]
    return ranges


def _read_outputs(node: Node, position: int, layers: dict[int, LayerInfo]) -> list[Tensor]:
    """Other outputs of the node from which one is made, and which are computed earlier."""
    if len(node.outputs) == 1:
        return []
    result = find_operator(node.operator).results(node, Oracle.LITERT)[position]
    read = {a.index for a in getattr(result, "arguments", ()) if isinstance(a, Tensor)}
    return [t for t in node.outputs if t.index in read and t.index in layers]


def _allowed_requests(artifact: Artifact) -> list[tuple[int, int, int]]:
    """The same for a model that runs row by row: whole rings by name."""
    sizes = {request.name: request.size for request in artifact.problem.requests}
    # Before each event, rows of any tensor of the segment may move.
    moved = {
        layer: [ring.tensor for ring in s.rings]
        for s in artifact.stream.segments
        for layer in range(s.first, s.last + 1)
    }
    ranges = []
    for layer in artifact.layers:
        names = {*layer.reads, layer.writes, "stream", *moved.get(layer.index, ())}
        own = (f"workspace.{layer.index}.",)
        for segment in artifact.stream.segments:
            if segment.first == layer.index:
                # The layer also clears the sums of the segment.
                own = (*own, f"workspace.{segment.last}.sums")
        names |= {name for name in sizes if name.startswith(own)}
        names |= {name.replace("ring.", "window.", 1) for name in names if name.startswith("ring.")}
        ranges += [
            (layer.index, artifact.plan.offsets[name], sizes[name])
            for name in sorted(names & sizes.keys())
        ]
    return ranges
