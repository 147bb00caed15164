"""The main program around an artifact's C that `host_runner` compiles."""

from __future__ import annotations

from functools import cache

import jinja2

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.artifact import LayerInfo
from tvmtiny.ops import Alias, Node, Oracle, Tensor, find_operator

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


def main_program(artifact: Artifact, sets: int, successive: bool) -> str:
    """The text of a program that runs an artifact on `sets` of inputs.

    It reads ``input.bin`` and writes ``layers.bin`` and ``output.bin``, and where the artifact runs
    in steps ``stepped.bin``. See `host_runner.run_on_host`.
    """
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
