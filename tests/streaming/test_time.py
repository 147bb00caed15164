"""Sliding windows: each row gives the result of the window that it completes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import run_main
from small_networks import Network

import tvmtiny
from tvmtiny.errors import InputError

_MAIN = """\
#include "slide.h"
#include <stdio.h>
#include <string.h>
static const int8_t rows[][TVMTINY_SLIDE_ROW_BYTES] = { @rows@ };
static const int8_t expected[][@size@] = { @expected@ };

int main(void)
{
  struct tvmtiny_slide_outputs outputs;
  const uint32_t count = (uint32_t)(sizeof rows / sizeof rows[0]);
  uint32_t turn, i;
  for (turn = 0u; turn < 2u; ++turn) {
    if (tvmtiny_slide_push(NULL, 1u) != TVMTINY_ERROR_NULL ||
        tvmtiny_slide_push_row(NULL) != TVMTINY_ERROR_NULL) {
      return 8;
    }
    /* Interrupted within the first window, within a later one, and within the work of a row. */
    for (i = 5u; i < count; i += TVMTINY_SLIDE_ROWS) {
      const int32_t wanted = i < TVMTINY_SLIDE_ROWS ? TVMTINY_MORE : TVMTINY_DONE;
      if (tvmtiny_slide_push(rows[0], i) != wanted || tvmtiny_slide_push_row(rows[i]) < 0 ||
          tvmtiny_slide_step() < 0 || tvmtiny_slide_reset() != TVMTINY_OK ||
          tvmtiny_slide_results(&outputs) != TVMTINY_MORE) {
        return 9;
      }
    }
    for (i = 0u; i < count; ++i) {
      const int32_t wanted = i + 1u < TVMTINY_SLIDE_ROWS ? TVMTINY_MORE : TVMTINY_DONE;
      int8_t *const row = tvmtiny_slide_row();
      memcpy(row, rows[i], sizeof rows[i]);
      if (i > 4u && i % 4u == 1u) {
        int32_t status = tvmtiny_slide_push_row(row);
        if (status != TVMTINY_MORE || tvmtiny_slide_push_row(row) != TVMTINY_ERROR_STEP) {
          return 5;
        }
        while (status == TVMTINY_MORE) {
          if (tvmtiny_slide_results(&outputs) != TVMTINY_MORE) {
            return 6;
          }
          status = tvmtiny_slide_step();
        }
        if (status != (wanted == TVMTINY_DONE ? TVMTINY_DONE : TVMTINY_ROW)) {
          return 7;
        }
      } else if (tvmtiny_slide_push(i % 3u == 0u ? row : rows[i], 1u) != wanted) {
        return 1;
      }
      if (wanted == TVMTINY_MORE) {
        if (tvmtiny_slide_results(&outputs) != TVMTINY_MORE) {
          return 2;
        }
      } else if (tvmtiny_slide_results(&outputs) != TVMTINY_OK ||
                 memcmp(outputs.@output@, expected[i + 1u - TVMTINY_SLIDE_ROWS], @size@) != 0) {
        printf("window %u\\n", (unsigned)(i + 1u - TVMTINY_SLIDE_ROWS));
        return 3;
      }
    }
    /* Several rows at a time give the last window; then everything anew. */
    if (tvmtiny_slide_push(rows[0], 2u) != TVMTINY_DONE || tvmtiny_slide_reset() != TVMTINY_OK) {
      return 4;
    }
  }
  return 0;
}
"""


def _network(padding: str = "VALID", stride: int = 1) -> bytes:
    network = Network(4)
    x = network.depthwise(network.input(1, 12, 1, 8), (3, 1), padding=padding)
    x = network.conv(x, 12, (1, 1), stride=stride)
    y = network.depthwise(x, (4, 1))
    y = network.concatenate(network.logistic(network.conv(y, 4)), network.logistic(y))
    y = network.conv(y, 8, (y.shape[1], 1))
    return network.build(network.softmax(network.dense(y, 5)))


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m0"])
def test_every_window_is_exact(cpu: str, tmp_path: Path) -> None:
    model = tvmtiny.load(_network(), name="slide")
    artifact = tvmtiny.compile(model, cpu, stream="time", longest_slice=8000)
    rng = np.random.default_rng(1)
    rows = rng.integers(-128, 128, (40, 1, 8)).astype(np.int8)
    (output,) = model.graph.outputs
    expected = [
        model.reference([rows[None, i : i + 12]])[output.index].ravel() for i in range(40 - 11)
    ]
    assert len({e.tobytes() for e in expected}) > 20

    def text(arrays: list[np.ndarray]) -> str:
        return ", ".join(f"{{ {', '.join(map(str, a.ravel()))} }}" for a in arrays)

    main = _MAIN.replace("@output@", artifact.outputs[0].c_name)
    main = main.replace("@rows@", text(list(rows))).replace("@expected@", text(expected))
    run_main(main.replace("@size@", str(expected[0].size)), [artifact], tmp_path)


def test_what_keeps_windows_from_sliding() -> None:
    def refused(content: bytes) -> str:
        with pytest.raises(InputError) as caught:
            tvmtiny.compile(tvmtiny.load(content, name="slide"), "cortex-m4", stream="time")
        return str(caught.value)

    padded = refused(_network("SAME"))
    assert "DEPTHWISE_CONV_2D #0" in padded and "make its padding VALID" in padded
    assert "CONV_2D #1" in refused(_network(stride=2))
    assert "\n" not in padded and "stride of 2" in refused(_network(stride=2))
