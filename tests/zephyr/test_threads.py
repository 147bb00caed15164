"""Two threads that run models with Helium, each preempted in the middle of an inference."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tools import on_zephyr
from zephyr_applications import CONSOLE_SECONDS, build_other

import tvmtiny
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tvmtiny import models
from tvmtiny.creating import create_zephyr_application
from tvmtiny.oracle import run_litert
from tvmtiny.project.zephyr.application import ApplicationOptions
from tvmtiny.project.zephyr.board import find_zephyr_board
from tvmtiny.project.zephyr.build import ApplicationBuild
from tvmtiny.project.zephyr.console import converse

BOARD = "zephyr:mps3_an547"

_CONF = """\
CONFIG_TVMTINY=y
CONFIG_FPU=y
CONFIG_FPU_SHARING=y
CONFIG_SYS_CLOCK_TICKS_PER_SEC=20000
CONFIG_MAIN_THREAD_PRIORITY=1
"""

#: A thread for each model, and one of higher priority that wakes with the clock and switches them.
_MAIN = """\
#include <string.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>
{includes}
#define SWITCHES 2000

static volatile int inside[2];
static volatile unsigned runs[2], wrong[2];
{arrays}
{threads}
static K_THREAD_STACK_ARRAY_DEFINE(stacks, 2, 4096);
static struct k_thread threads[2];

int main(void)
{{
  const k_thread_entry_t entries[2] = {{ {entries} }};
  unsigned both = 0;
  int turn = 0;
  for (int i = 0; i < 2; ++i) {{
    k_thread_create(&threads[i], stacks[i], K_THREAD_STACK_SIZEOF(stacks[i]), entries[i], NULL,
                    NULL, NULL, 5, K_FP_REGS, K_NO_WAIT);
  }}
  k_thread_suspend(&threads[1]);
  for (int i = 0; i < SWITCHES; ++i) {{
    k_sleep(K_TICKS(1));
    both += inside[0] && inside[1];
    k_thread_suspend(&threads[turn]);
    turn = 1 - turn;
    k_thread_resume(&threads[turn]);
  }}
  k_thread_suspend(&threads[turn]);
  printk("runs %u %u, wrong %u %u, both inside %u\\n", runs[0], runs[1], wrong[0], wrong[1], both);
  return 0;
}}
"""

_THREAD = """\
static void {name}_thread(void *a, void *b, void *c)
{{
  struct tvmtiny_{name}_inputs inputs;
  struct tvmtiny_{name}_outputs outputs;
  ARG_UNUSED(a);
  ARG_UNUSED(b);
  ARG_UNUSED(c);
  tvmtiny_{name}_bind(&inputs, &outputs);
  for (;;) {{
    {reset}
    memcpy((void *)(uintptr_t)inputs.{input}, {name}_given, sizeof({name}_given));
    inside[{number}] = 1;
    const int status = (int)tvmtiny_{name}_run(&inputs, &outputs);
    inside[{number}] = 0;
    if (status != 0 || memcmp(outputs.{output}, {name}_wanted, sizeof({name}_wanted)) != 0) {{
      ++wrong[{number}];
    }}
    ++runs[{number}];
  }}
}}
"""


def _array(name: str, values: np.ndarray) -> str:
    return f"static const uint8_t {name}[] = {{ {', '.join(map(str, values.tobytes()))} }};\n"


@on_zephyr
def test_vectors_of_two_threads_stay_apart(tmp_path: Path) -> None:
    board = find_zephyr_board(BOARD)
    lstm = Lstm(inputs=28, cells=32, steps=28, weight_scale=0.002).model()
    both = [tvmtiny.load(models.path("digits")), tvmtiny.load(lstm, name="lstm")]
    includes, arrays, threads = "", "", ""
    for number, model in enumerate(both):
        artifact = tvmtiny.compile(model, board.target)
        assert any(layer.schedule.startswith("mve") for layer in artifact.layers)
        inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
        wanted = run_litert(model.content, inputs)[model.graph.outputs[0].index]
        includes += f'#include "{model.name}.h"\n'
        arrays += _array(f"{model.name}_given", inputs[0])
        arrays += _array(f"{model.name}_wanted", wanted)
        threads += _THREAD.format(
            name=model.name,
            number=number,
            input=artifact.inputs[0].c_name,
            output=artifact.outputs[0].c_name,
            reset=f"tvmtiny_{model.name}_reset();" if artifact.states else "",
        )
    module = tmp_path / "module"
    application = create_zephyr_application(
        both, board, module, ApplicationOptions(stack_bytes=2048)
    )
    entries = ", ".join(f"{model.name}_thread" for model in both)
    main = _MAIN.format(includes=includes, arrays=arrays, threads=threads, entries=entries)
    directory = tmp_path / "threads"
    before = f"list(APPEND ZEPHYR_EXTRA_MODULES {module})"
    build_other(directory, BOARD, before, _CONF, main)
    elf = directory / "build" / "zephyr" / "zephyr.elf"
    build = ApplicationBuild(application, directory, elf, elf, (0, 0, 0), "", {})
    (line,) = (
        line for line in converse(build, seconds=CONSOLE_SECONDS, until="inside") if "runs" in line
    )
    print(line)
    found = [int(number) for number in re.findall(r"\d+", line)]
    assert min(found[:2]) > 100 and found[2:4] == [0, 0] and found[4] > 1000
