"""Pushing rows from C: any calls give a status, and never a wrong result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import run_main
from small_networks import Network

import tvmtiny
from tvmtiny.codegen.stream_info import StreamMode
from tvmtiny.errors import InputError, RamBudgetError

_MAIN = """\
#include "rows.h"
#include <stdio.h>
#include <string.h>
#define CHECK(condition)             \\
  do {                               \\
    if (!(condition)) {              \\
      printf("line %d\\n", __LINE__); \\
      return 1;                      \\
    }                                \\
  } while (0)
static const int8_t image[TVMTINY_ROWS_ROWS][TVMTINY_ROWS_ROW_BYTES] = { @image@ };
static const int8_t expected[] = { @expected@ };
static uint8_t other[TVMTINY_ROWS_ARENA_BYTES] TVMTINY_ALIGN(16);

int main(void)
{
  struct tvmtiny_rows_outputs outputs;
  struct tvmtiny_rows_outputs others;
  const uint32_t rows = TVMTINY_ROWS_ROWS;
  int32_t status;
  uint32_t i;
  CHECK(tvmtiny_rows_results(&outputs) == TVMTINY_MORE);
  CHECK(tvmtiny_rows_push(image[0], rows + 1u) == TVMTINY_ERROR_ROWS);
  CHECK(tvmtiny_rows_push(NULL, 1u) == TVMTINY_ERROR_NULL);
  CHECK(tvmtiny_rows_push(NULL, 0u) == TVMTINY_MORE);
  /* Interrupted, and begun anew. */
  CHECK(tvmtiny_rows_push(image[2], 3u) == TVMTINY_MORE);
  CHECK(tvmtiny_rows_reset() == TVMTINY_OK);
  for (i = 0u; i < rows; ++i) {
    CHECK(tvmtiny_rows_results(&outputs) == TVMTINY_MORE);
    CHECK(tvmtiny_rows_push(image[i], 1u) == (i + 1u < rows ? TVMTINY_MORE : TVMTINY_DONE));
  }
  CHECK(tvmtiny_rows_results(&outputs) == TVMTINY_OK);
  CHECK(memcmp(outputs.@output@, expected, sizeof expected) == 0);
  /* After the end. */
  CHECK(tvmtiny_rows_push(image[0], 1u) == TVMTINY_ERROR_ROWS);
  CHECK(tvmtiny_rows_push(image[0], 0u) == TVMTINY_DONE);
  CHECK(tvmtiny_rows_row() == NULL);
  CHECK(tvmtiny_rows_step() == TVMTINY_ERROR_STEP);
  CHECK(tvmtiny_rows_push_row(image[0]) == TVMTINY_ERROR_ROWS);
  CHECK(memcmp(outputs.@output@, expected, sizeof expected) == 0);
  /* In steps; every now and then a push does what is left of the work. */
  CHECK(tvmtiny_rows_push_row(NULL) == TVMTINY_ERROR_NULL);
  CHECK(tvmtiny_rows_step_arena(NULL) == TVMTINY_ERROR_NULL);
  CHECK(tvmtiny_rows_reset() == TVMTINY_OK);
  for (i = 0u, status = TVMTINY_MORE; status != TVMTINY_DONE;) {
    int32_t taken = tvmtiny_rows_push_row(image[i < rows ? i : 0u]);
    if (taken == TVMTINY_MORE) {
      ++i;
    } else {
      CHECK(status == TVMTINY_MORE);
      CHECK(taken == (i < rows ? TVMTINY_ERROR_STEP : TVMTINY_ERROR_ROWS));
    }
    if (i % 5u == 3u && i + 1u < rows) {
      CHECK(tvmtiny_rows_push(image[i], 1u) == TVMTINY_MORE);
      ++i;
    }
    CHECK(tvmtiny_rows_results(&outputs) == TVMTINY_MORE);
    status = tvmtiny_rows_step();
    CHECK(status > 0 && (status != TVMTINY_DONE || i == rows));
  }
  CHECK(tvmtiny_rows_results(&outputs) == TVMTINY_OK);
  CHECK(memcmp(outputs.@output@, expected, sizeof expected) == 0);
  CHECK(tvmtiny_rows_step() == TVMTINY_ERROR_STEP);
  CHECK(tvmtiny_rows_push(image[0], 0u) == TVMTINY_DONE);
  /* Written where the rows are wanted, some at a time, beside another arena. */
  CHECK(tvmtiny_rows_reset() == TVMTINY_OK);
  memset(other, 0x5a, sizeof other);
  CHECK(tvmtiny_rows_reset_arena(other) == TVMTINY_OK);
  CHECK(tvmtiny_rows_reset_arena(other + 1) == TVMTINY_ERROR_ALIGNMENT);
  CHECK(tvmtiny_rows_push_arena(other, image[0], 2u) == TVMTINY_MORE);
  for (i = 0u; i < rows; ++i) {
    int8_t *const row = tvmtiny_rows_row();
    CHECK(row != NULL && row == tvmtiny_rows_row());
    memcpy(row, image[i], TVMTINY_ROWS_ROW_BYTES);
    CHECK(tvmtiny_rows_push(row, 1u) == (i + 1u < rows ? TVMTINY_MORE : TVMTINY_DONE));
  }
  CHECK(tvmtiny_rows_push_arena(other, image[2], rows - 2u) == TVMTINY_DONE);
  CHECK(tvmtiny_rows_results(&outputs) == TVMTINY_OK);
  CHECK(tvmtiny_rows_results_arena(other, &others) == TVMTINY_OK);
  CHECK(outputs.@output@ != others.@output@);
  CHECK(memcmp(outputs.@output@, expected, sizeof expected) == 0);
  CHECK(memcmp(others.@output@, expected, sizeof expected) == 0);
  return 0;
}
"""


def _network() -> bytes:
    network = Network(3)
    x = network.conv(network.input(1, 13, 9, 3), 8, (3, 3), padding="SAME")
    y = network.depthwise(network.conv(x, 24), padding="SAME")
    y = network.binary("ADD", x, network.conv(y, 8))
    return network.build(network.dense(network.mean(y, 1, 2), 5))


def test_rows_are_pushed_in_every_way(tmp_path: Path) -> None:
    model = tvmtiny.load(_network(), name="rows")
    artifact = tvmtiny.compile(model, "cortex-m4", stream="rows", longest_slice=4000)
    plain = tvmtiny.compile(model, "cortex-m4")
    assert artifact.arena_bytes < plain.arena_bytes
    assert artifact.stream is not None and artifact.stream.mode is StreamMode.ROWS
    assert (artifact.stream.pushes, artifact.stream.row_bytes) == (13, 27)
    (x,) = tvmtiny.make_inputs("random:5", artifact.inputs)
    (output,) = model.graph.outputs
    expected = model.reference([x])[output.index]
    main = _MAIN.replace("@output@", artifact.outputs[0].c_name)
    rows = [f"{{ {', '.join(map(str, row))} }}" for row in x.reshape(13, -1)]
    main = main.replace("@image@", ", ".join(rows))
    main = main.replace("@expected@", ", ".join(map(str, expected.ravel())))
    run_main(main, [artifact], tmp_path)


def test_auto_runs_row_by_row_only_for_a_budget() -> None:
    model = tvmtiny.load(_network(), name="rows")
    plain = tvmtiny.compile(model, "cortex-m4")
    for options in ({}, {"ram_budget": plain.arena_bytes}):
        found = tvmtiny.compile(model, "cortex-m4", stream="auto", **options)
        assert found.files == plain.files and found.stream is None
    inside = tvmtiny.compile(model, "cortex-m4", stream="inside")
    assert inside.stream is not None and inside.arena_bytes < plain.arena_bytes
    budget = inside.arena_bytes
    found = tvmtiny.compile(model, "cortex-m4", stream="auto", ram_budget=budget)
    assert found.stream is not None and found.arena_bytes <= budget
    with pytest.raises(RamBudgetError):
        tvmtiny.compile(model, "cortex-m4", stream="auto", ram_budget=100)


def test_why_rows_cannot_be_pushed() -> None:
    def refused(content: bytes) -> str:
        with pytest.raises(InputError) as caught:
            tvmtiny.compile(tvmtiny.load(content, name="rows"), "cortex-m4", stream="rows")
        return str(caught.value)

    network = Network(1)
    two = network.binary("ADD", network.input(1, 4, 4, 4), network.input(1, 4, 4, 4))
    assert "it has 2 inputs" in refused(network.build(two))
    network = Network(1)
    assert "is not an image" in refused(network.build(network.dense(network.input(1, 8), 4)))
    network = Network(1)
    x = network.input(1, 4, 4, 4)
    assert "CONCATENATION #0" in refused(network.build(network.concatenate(x, x, axis=1)))
    model = tvmtiny.load(_network(), name="rows")
    with pytest.raises(InputError, match="known: none, auto, inside, rows, time"):
        tvmtiny.compile(model, "cortex-m4", stream="columns")


def test_the_same_code_each_time() -> None:
    first, second = (
        tvmtiny.compile(tvmtiny.load(_network(), name="rows"), "cortex-m4", stream="rows")
        for _ in range(2)
    )
    assert first.files == second.files
    assert np.array_equal(first.stream.pieces, second.stream.pieces)
