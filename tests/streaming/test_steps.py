"""Inference in steps: equal bytes, no step longer than requested, and safe in every order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import run_main
from small_networks import Network
from tools import MLPERF_TINY, needs_mlperf_tiny, on_qemu

import tvmtiny
from tvmtiny.errors import InputError
from tvmtiny.host.files import write_text
from tvmtiny.project.qemu.platform import QemuPlatform, emulate_in
from tvmtiny.targets import find_board

BOARD = "mps2-an386"

_MAIN = """\
#include "steps.h"
#include <stdio.h>
#include <string.h>
#define CHECK(condition)             \\
  do {                               \\
    if (!(condition)) {              \\
      printf("line %d\\n", __LINE__); \\
      return 1;                      \\
    }                                \\
  } while (0)
static const int8_t images[2][TVMTINY_STEPS_INPUT_0_BYTES] = { @images@ };
static const int8_t expected[2][@size@] = { @expected@ };
static uint8_t arenas[2][(TVMTINY_STEPS_ARENA_BYTES + 15u) / 16u * 16u] TVMTINY_ALIGN(16);

int main(void)
{
  struct tvmtiny_steps_inputs inputs;
  struct tvmtiny_steps_outputs outputs;
  struct tvmtiny_steps_inputs in[2];
  struct tvmtiny_steps_outputs out[2];
  uint32_t i, done;
  tvmtiny_steps_bind(&inputs, &outputs);
  CHECK(tvmtiny_steps_step(NULL, &outputs) == TVMTINY_ERROR_NULL);
  CHECK(tvmtiny_steps_step_arena(NULL, &inputs, &outputs) == TVMTINY_ERROR_NULL);
  CHECK(tvmtiny_steps_step_arena(arenas[0] + 1, &inputs, &outputs) == TVMTINY_ERROR_ALIGNMENT);
  CHECK(tvmtiny_steps_begin_arena(NULL) == TVMTINY_ERROR_NULL);
  CHECK(tvmtiny_steps_begin_arena(arenas[0] + 1) == TVMTINY_ERROR_ALIGNMENT);
  /* Given up after each number of steps, for another input. */
  for (done = 0u; done < TVMTINY_STEPS_SLICES; ++done) {
    memcpy((void *)(uintptr_t)inputs.@input@, images[1], sizeof images[1]);
    CHECK(tvmtiny_steps_begin() == TVMTINY_OK);
    for (i = 0u; i < done; ++i) {
      CHECK(tvmtiny_steps_step(&inputs, &outputs) == TVMTINY_MORE);
    }
    memcpy((void *)(uintptr_t)inputs.@input@, images[0], sizeof images[0]);
    CHECK(tvmtiny_steps_begin() == TVMTINY_OK);
    for (i = 0u; i + 1u < TVMTINY_STEPS_SLICES; ++i) {
      CHECK(tvmtiny_steps_step(&inputs, &outputs) == TVMTINY_MORE);
    }
    CHECK(tvmtiny_steps_step(&inputs, &outputs) == TVMTINY_DONE);
    CHECK(memcmp(outputs.@output@, expected[0], sizeof expected[0]) == 0);
    CHECK(tvmtiny_steps_step(&inputs, &outputs) == TVMTINY_ERROR_STEP);
    CHECK(memcmp(outputs.@output@, expected[0], sizeof expected[0]) == 0);
  }
  /* A whole inference between two steps gives up the one that is under way. */
  CHECK(tvmtiny_steps_begin() == TVMTINY_OK);
  CHECK(tvmtiny_steps_step(&inputs, &outputs) == TVMTINY_MORE);
  inputs.@input@ = images[1];
  CHECK(tvmtiny_steps_run(&inputs, &outputs) == TVMTINY_OK);
  CHECK(memcmp(outputs.@output@, expected[1], sizeof expected[1]) == 0);
  CHECK(tvmtiny_steps_step(&inputs, &outputs) == TVMTINY_ERROR_STEP);
  CHECK(memcmp(outputs.@output@, expected[1], sizeof expected[1]) == 0);
  /* Two at a time, in arenas that held something else, with inputs elsewhere. */
  memset(arenas, 0x5a, sizeof arenas);
  for (i = 0u; i < 2u; ++i) {
    tvmtiny_steps_bind_arena(arenas[i], &in[i], &out[i]);
    in[i].@input@ = images[i];
    CHECK(tvmtiny_steps_step_arena(arenas[i], &in[i], &out[i]) == TVMTINY_ERROR_STEP);
    CHECK(tvmtiny_steps_begin_arena(arenas[i]) == TVMTINY_OK);
  }
  for (done = 1u; done <= TVMTINY_STEPS_SLICES; ++done) {
    const int32_t wanted = done < TVMTINY_STEPS_SLICES ? TVMTINY_MORE : TVMTINY_DONE;
    for (i = 0u; i < 2u; ++i) {
      CHECK(tvmtiny_steps_step_arena(arenas[i], &in[i], &out[i]) == wanted);
    }
  }
  for (i = 0u; i < 2u; ++i) {
    CHECK(memcmp(out[i].@output@, expected[i], sizeof expected[i]) == 0);
  }
  return 0;
}
"""


def _network() -> bytes:
    network = Network(5)
    x = network.conv(network.input(1, 12, 9, 3), 8, (3, 3), padding="SAME", stride=2)
    y = network.binary("ADD", x, network.conv(network.depthwise(x, padding="SAME"), 8))
    y = network.concatenate(network.logistic(y), network.logistic(x), axis=3)
    y = network.pool(y, "MAX_POOL_2D")
    return network.build(network.softmax(network.dense(y, 24)))


def _text(arrays: list[np.ndarray]) -> str:
    return ", ".join(f"{{ {', '.join(map(str, a.ravel()))} }}" for a in arrays)


def test_steps_in_every_order(tmp_path: Path) -> None:
    model = tvmtiny.load(_network(), name="steps")
    plain = tvmtiny.compile(model, "cortex-m4")
    artifact = tvmtiny.compile(model, "cortex-m4", longest_slice=4000)
    assert artifact.stream is not None
    assert artifact.stream.longest_slice_cycles <= 4000 < 5 * artifact.stream.slices * 1000
    assert artifact.stream.slices > len(artifact.layers) / 2
    assert artifact.arena_bytes <= plain.arena_bytes + 136
    images = [tvmtiny.make_inputs(f"random:{i}", artifact.inputs)[0] for i in range(2)]
    (output,) = model.graph.outputs
    expected = [model.reference([image])[output.index] for image in images]
    assert not np.array_equal(*expected)
    main = _MAIN.replace("@output@", artifact.outputs[0].c_name)
    main = main.replace("@input@", artifact.inputs[0].c_name)
    main = main.replace("@images@", _text(images)).replace("@expected@", _text(expected))
    run_main(main.replace("@size@", str(expected[0].size)), [artifact], tmp_path)


def test_slices_that_cannot_be() -> None:
    model = tvmtiny.load(_network(), name="steps")
    with pytest.raises(InputError, match="give longest_slice 1000 or more"):
        tvmtiny.compile(model, "cortex-m4", longest_slice=1)
    network = Network(2)
    wide = network.depthwise(network.input(1, 25, 9, 8), padding="SAME")
    model = tvmtiny.load(network.build(wide), name="steps")
    with pytest.raises(InputError, match=r"DEPTHWISE_CONV_2D #0 .* cannot be divided further"):
        tvmtiny.compile(model, "cortex-m4", longest_slice=1000)


#: Feed a watchdog after each step, then run a whole inference, which the watchdog ends.
_WATCHDOG = """\
#include "device.h"
#include "measure.h"
#include "semihosting.h"
#include "../vww.h"

#define SYSTICK ((volatile uint32_t *)0xE000E010u)

static volatile uint32_t bitten;
static uint32_t survived;

static void feed(void)
{
    SYSTICK[2] = 0u;
}

/* In the interrupt of the timer. */
void device_measured_long(void)
{
    int32_t file;

    bitten = 1u;
    if (survived == 0u) {
        device_exit(DEVICE_EXIT_STATUS);
    }
    file = device_open_write("watchdog.txt");
    device_write_entry(file, "steps", survived);
    device_write_entry(file, "bitten", bitten);
    device_close(file);
    device_exit(DEVICE_EXIT_OK);
}

void device_main(void)
{
    struct tvmtiny_vww_inputs inputs;
    struct tvmtiny_vww_outputs outputs;
    int32_t file = device_open_read("input.bin");
    int32_t status = TVMTINY_MORE;
    uint32_t steps = 0u;

    tvmtiny_vww_bind(&inputs, &outputs);
    device_read(file, (void *)(uintptr_t)inputs.@input@, TVMTINY_VWW_INPUT_0_BYTES);
    device_close(file);
    SYSTICK[1] = @ticks@u;
    SYSTICK[2] = 0u;
    SYSTICK[0] = 7u;
    while (status == TVMTINY_MORE) {
        status = tvmtiny_vww_step(&inputs, &outputs);
        feed();
        ++steps;
    }
    file = device_open_write("output.bin");
    device_write(file, outputs.@output@, TVMTINY_VWW_OUTPUT_0_BYTES);
    device_close(file);
    feed();
    survived = status == TVMTINY_DONE ? steps : 0u;
    status = tvmtiny_vww_run(&inputs, &outputs);
    device_exit(DEVICE_EXIT_FAULT);
}
"""


@on_qemu
@needs_mlperf_tiny
def test_a_watchdog_survives_steps_but_no_whole_inference(tmp_path: Path) -> None:
    """5 ms at a virtual 80 MHz with one cycle per instruction: 400,000 instructions."""
    model = tvmtiny.load(MLPERF_TINY / "vww_int8.tflite", name="vww")
    board = find_board(BOARD)
    artifact = tvmtiny.compile(model, BOARD, longest_slice=100_000)
    assert artifact.stream is not None and artifact.stream.longest_slice_cycles <= 100_000
    platform = QemuPlatform()
    project = platform.generate(artifact, board, tmp_path / "project")
    # With -icount shift=0 an instruction takes a nanosecond; the timer counts at 25 MHz.
    ticks = int(0.005 * 80e6 * 25e6 / 1e9)
    main = _WATCHDOG.replace("@ticks@", str(ticks))
    main = main.replace("@input@", artifact.inputs[0].c_name)
    write_text(
        project.directory / "device" / "harness.c",
        main.replace("@output@", artifact.outputs[0].c_name),
    )
    firmware = platform.build(project)
    (image,) = tvmtiny.make_inputs("random:3", artifact.inputs)
    (tmp_path / "input.bin").write_bytes(image.tobytes())
    emulate_in(firmware, tmp_path, 120.0)
    entries = dict(line.split() for line in (tmp_path / "watchdog.txt").read_text().splitlines())
    assert int(entries["steps"], 16) == artifact.stream.slices and int(entries["bitten"], 16) == 1
    (output,) = model.graph.outputs
    expected = model.reference([image])[output.index]
    assert (tmp_path / "output.bin").read_bytes() == expected.tobytes()


@on_qemu
@needs_mlperf_tiny
def test_slices_of_a_real_model() -> None:
    model = tvmtiny.load(MLPERF_TINY / "ad_int8.tflite", name="ad")
    artifact = tvmtiny.compile(model, BOARD, longest_slice=100_000)
    inputs = tvmtiny.make_inputs("random:7", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    assert result.pauses is not None and artifact.stream is not None
    assert len(result.pauses.slices) == artifact.stream.slices
    assert max(result.pauses.slices) <= 100_000
    assert sum(result.pauses.slices) <= 1.01 * 265_062
