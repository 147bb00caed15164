"""Helium code that is interrupted in the middle of tiles by a handler that uses all vectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from host_runner import write_files
from layer_cases import Layer, Operand, numbers

import tvmtiny
from tests.helium_program import run_on_board
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.test_mean import _layer as _mean
from tests.ops.test_softmax import _layer as _softmax
from tests.ops.test_svdf import Filter
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tests.ops.three_ways import Case, SideBySide
from tests.project.newlib_program import run
from tests.schedule.test_dsp_add import PAIRS, _layer
from tests.schedule.test_dsp_depthwise import _RELU as _DEPTHWISE
from tests.schedule.test_dsp_half import dense as _half_dense
from tests.tools import on_qemu

BOARD = "mps3-an547"

_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.0)
_HALF = Operand((300,), "int16", 0.001, 0)
_PIXELS = Operand((1, 8, 8, 5))
_PLANES = Operand((1, 5, 8, 8))
_SUM = _layer((1, 300), PAIRS["linear"])

#: A layer for each kind of kernel.
CASES: dict[str, Case] = {
    "pairs": replace(_RELU, size=(6, 6), channels=16, filters=24),
    "patches": replace(_RELU, size=(9, 10), channels=3, filters=8, stride=(2, 2)),
    "single": Dense((1, 300), 300, 20, output_scale=2.0),
    "depthwise": replace(_DEPTHWISE, size=(9, 11), channels=8),
    "sum": _SUM,
    "product": replace(_SUM, operator="MUL"),
    "lstm": Lstm(inputs=20, cells=12, steps=12),
    "function": Layer("TANH", (Operand((300,)),), Operand((300,), "int8", 1 / 128), None),
    "softmax": _softmax((4, 70)),
    "mean": _mean((1, 8, 8, 16), [1, 2]),
    "rows": _mean((5, 90), [1]),
    "largest": replace(_SUM, operator="MAXIMUM", options=None),
    "filters": Filter(inputs=50, units=9, rank=2, memory=17),
    "half": _half_dense(2, 70, 9),
    "half_function": Layer("TANH", (_HALF,), replace(_HALF, scale=2.0**-15), None),
    "planes": Layer("TRANSPOSE", (_PIXELS, numbers([0, 3, 1, 2])), _PLANES, None),
    "float": Conv(dtype="float32", size=(5, 5), channels=9, filters=8),
}

#: The handler saves the upper half of the vectors, as the procedure call standard requires of every
#: function; the core saves the rest, VPR and the tail of a loop when the handler first uses the
#: extension. CARELESS does not save the upper half.
_MAIN = """\
#include <stdio.h>
#include <string.h>
#include "interrupted.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define RUNS 40

struct caught {{ uint32_t pc, fpscr, vpr; }};
static struct caught caught[60000];
static uint32_t count, random = 1u;
static uint8_t noise[64] __attribute__((used));
void systick(void);
void next_interrupt(const uint32_t *frame);

void next_interrupt(const uint32_t *frame)
{{
  if (count < sizeof(caught) / sizeof(caught[0])) {{
    caught[count].pc = frame[6];
    caught[count].fpscr = frame[24];
    caught[count].vpr = frame[25];
  }}
  ++count;
  random = random * 1664525u + 1013904223u;
  SYST_RVR = 3u + (random >> 28);
  SYST_CVR = 0;
}}

__attribute__((naked)) void systick(void)
{{
  __asm__ volatile(
      "mov r0, sp\\n push {{r4, lr}}\\n"
#ifndef CARELESS
      "vpush {{d8-d15}}\\n"
#endif
      "bl clobber\\n bl next_interrupt\\n"
#ifndef CARELESS
      "vpop {{d8-d15}}\\n"
#endif
      "pop {{r4, pc}}\\n");
}}

/* All vectors, the predicates of a block, and the tail of a loop; keeps r0. */
__attribute__((naked, used)) void clobber(void)
{{
  __asm__ volatile(
      "push {{r0, lr}}\\n ldr r1, =noise\\n ldr r2, =0x5a3c96e1\\n"
      "vdup.32 q0, r2\\n vdup.32 q1, r2\\n vdup.32 q2, r2\\n vdup.32 q3, r2\\n"
      "vdup.32 q4, r2\\n vdup.32 q5, r2\\n vdup.32 q6, r2\\n vdup.32 q7, r2\\n"
      "mov r3, #37\\n dlstp.8 lr, r3\\n"
      "1:\\n vldrb.8 q0, [r1]\\n vadd.i8 q4, q4, q0\\n vstrb.8 q4, [r1], #16\\n letp lr, 1b\\n"
      "vmsr p0, r2\\n pop {{r0, pc}}\\n .ltorg");
}}

{buffers}
int main(void)
{{
  struct tvmtiny_interrupted_inputs inputs;
  struct tvmtiny_interrupted_outputs outputs;
  uint32_t wrong = 0, i;
{pointers}  for (int run = 0; run < RUNS; ++run) {{
    tvmtiny_interrupted_reset();
{copies}
    if (run > 0) {{
      SYST_RVR = 5;
      SYST_CVR = 0;
      SYST_CSR = 7;
    }}
    const int32_t status = tvmtiny_interrupted_run(&inputs, &outputs);
    SYST_CSR = 0;
    wrong += status != TVMTINY_OK;
{checks}
  }}
  printf("wrong %u of %u\\n", (unsigned)wrong, (unsigned)count);
  for (i = 0; i < count && i < sizeof(caught) / sizeof(caught[0]); ++i) {{
    const struct caught *const at = caught + i;
    printf("%x %x %x\\n", (unsigned)at->pc, (unsigned)at->fpscr, (unsigned)at->vpr);
  }}
  return 0;
}}
"""


@dataclass(frozen=True)
class Interrupted:
    """The results of a program.

    Attributes
    ----------
    wrong
        Outputs that differ from those of the first inference, which is not interrupted.
    kernels, reached
        Names of the functions in assembly, and of those that were interrupted after their first
        and before their last instruction.
    interrupts, in_tails, in_blocks
        All interrupts, those in a loop with a tail, and those with predicates set.
    """

    wrong: int
    kernels: set[str]
    reached: set[str]
    interrupts: int
    in_tails: int
    in_blocks: int


def _program(artifact: tvmtiny.Artifact, inputs: list[np.ndarray]) -> str:
    buffers, pointers, copies, checks = "", "", "", ""
    for tensor, data in zip(artifact.inputs, inputs, strict=True):
        text, name = ", ".join(map(str, data.tobytes())), tensor.c_name
        buffers += f"static const uint8_t given_{name}[] = {{ {text} }};\n"
        buffers += f"static uint8_t input_{name}[sizeof(given_{name})] TVMTINY_ALIGN(8);\n"
        pointers += f"  inputs.{name} = (void *)input_{name};\n"
        copies += f"    memcpy(input_{name}, given_{name}, sizeof(given_{name}));\n"
    for tensor in artifact.outputs:
        name, size = tensor.c_name, tensor.bytes
        buffers += f"static uint8_t first_{name}[{size}], output_{name}[{size}] TVMTINY_ALIGN(8);\n"
        pointers += f"  outputs.{name} = (void *)output_{name};\n"
        checks += (
            f"    if (run == 0) {{\n      memcpy(first_{name}, output_{name}, {size});\n    }}\n"
        )
        checks += f"    wrong += memcmp(first_{name}, output_{name}, {size}) != 0;\n"
    return _MAIN.format(buffers=buffers, pointers=pointers, copies=copies, checks=checks)


def _run(directory: Path, cases: Mapping[str, Case], *flags: str) -> Interrupted:
    layers = SideBySide("interrupted", cases, 0.0, external=True)
    artifact = layers.compile(BOARD)
    assert all(layer.schedule.startswith("mve") for layer in artifact.layers)
    sources = write_files(artifact, directory)
    (directory / "main_.c").write_text(_program(artifact, layers.input_sets[0]))
    printed = run_on_board([*sources, "main_.c"], directory, *flags).splitlines()
    match = re.fullmatch(r"wrong (\d+) of (\d+)", printed[0])
    assert match is not None
    caught = [tuple(int(word, 16) for word in line.split()) for line in printed[1:]]
    symbols = run("arm-none-eabi-nm", "-S", "program.elf", directory=directory).splitlines()
    functions = {
        words[3]: (int(words[0], 16) & ~1, int(words[1], 16))
        for words in map(str.split, symbols)
        if len(words) == 4 and words[3].startswith("mve_") and words[2] == "t"
    }
    reached = {
        name
        for name, (start, size) in functions.items()
        if any(start < pc < start + size - 4 for pc, _, _ in caught)
    }
    tails = sum(fpscr >> 16 & 7 != 4 for _, fpscr, _ in caught)
    blocks = sum(vpr >> 16 & 0xFF != 0 for _, _, vpr in caught)
    wrong, interrupts = map(int, match.groups())
    return Interrupted(wrong, set(functions), reached, interrupts, tails, blocks)


@on_qemu
def test_results_are_right(tmp_path: Path) -> None:
    found = _run(tmp_path, CASES)
    assert found.wrong == 0
    assert found.kernels and found.reached == found.kernels
    assert found.interrupts > 5000 and found.in_tails > 100 and found.in_blocks > 100


@on_qemu
def test_a_careless_handler_is_noticed(tmp_path: Path) -> None:
    few = {name: CASES[name] for name in ("pairs", "lstm")}
    assert _run(tmp_path, few, "-DCARELESS").wrong > 0
