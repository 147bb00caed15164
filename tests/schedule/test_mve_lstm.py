"""LSTM by Helium: its fixed-point functions, and layers on the host and a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tvmtiny
from tests.helium_program import run_on_board
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tests.ops.three_ways import SideBySide
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_lstm import CASES as DSP_CASES
from tests.tools import on_qemu
from tvmtiny.schedule.families.mve.assembly import text
from tvmtiny.schedule.families.mve.q15 import nonlinearity

BOARD = "mps3-an547"

#: Fraction bits of gates, and of the cells that the kernel takes.
_FUNCTIONS = [("logistic", 3), *(("tanh", bits) for bits in range(5))]

_ALL = """\
#include <stdio.h>
#include "tvmtiny_mve_lstm.h"

static int16_t numbers[65536];

{functions}
int main(void)
{{
{calls}  printf("ready\\n");
  return 0;
}}
"""

_CALL = """\
  for (int32_t i = 0; i < 65536; ++i) {{
    numbers[i] = (int16_t)(i - 32768);
  }}
  for (int32_t i = 0; i < 65536; i += 8 * 64) {{
    {kind}_{bits}(numbers + i);
  }}
  for (int32_t i = 0; i < 65536; ++i) {{
    if (numbers[i] != tvmtiny_{kind}_q15(i - 32768, {bits})) {{
      printf("{kind} {bits} of %d: %d\\n", (int)(i - 32768), (int)numbers[i]);
      return 0;
    }}
  }}
"""


@on_qemu
def test_functions_of_every_number(tmp_path: Path) -> None:
    functions, calls = "", ""
    for kind, bits in _FUNCTIONS:
        code = ["push {r4-r11, lr}", "vpush {d8-d15}", *nonlinearity(kind, bits, 64)]
        code += ["vpop {d8-d15}", "pop {r4-r11, pc}"]
        name = f"{kind}_{bits}"
        functions += f"TVMTINY_MVE_FUNCTION({name}, (int16_t *x TVMTINY_UNUSED), {text(code)})\n"
        calls += _CALL.format(kind=kind, bits=bits)
    (tmp_path / "all.c").write_text(_ALL.format(functions=functions, calls=calls))
    assert run_on_board(["all.c"], tmp_path) == "ready\n"


#: Cells and inputs around whole vectors, and the whole range of the kernel's scales.
CASES = {
    **{name: case for name, case in DSP_CASES.items() if name != "gates_saturate"},
    "gates_saturate": Lstm(inputs=9, cells=16, steps=24, weight_scale=0.02),
    "groups": Lstm(inputs=40, cells=17, steps=3, batch=2),
    "clipped": Lstm(inputs=16, cells=8, steps=6, cell_clip=0.3, weight_scale=0.03),
}


@pytest.fixture(scope="module")
def layers() -> SideBySide:
    return SideBySide("mve_lstm_layers", CASES, 0.0)


def test_on_the_host(layers: SideBySide, tmp_path: Path) -> None:
    artifact = layers.compile(BOARD)
    assert all(layer.schedule.startswith("mve") for layer in artifact.layers)
    layers.check_host(BOARD, tmp_path)


@on_qemu
def test_on_a_board(layers: SideBySide) -> None:
    layers.check_board(BOARD)


@on_qemu
def test_all_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"groups": Lstm(inputs=100, cells=70, steps=2)}
    candidates = Candidates("mve_lstm_candidates", named, BOARD, scalar=False)
    assert sum(d["sketch"] == "mve_lstm" for d in candidates.decisions) == 4
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARD)


def test_what_the_kernel_cannot_do_is_left_to_plain_c() -> None:
    for layer in (Lstm(cell_bits=10), Lstm(weight_scale=300.0)):
        artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="lstm"), BOARD)
        assert artifact.layers[0].schedule == "function of the runtime"


@on_qemu
def test_instructions_of_a_layer() -> None:
    case = replace(Lstm(), inputs=28, cells=32, steps=28, weight_scale=0.002)
    artifact = tvmtiny.compile(tvmtiny.load(case.model(), name="lstm"), BOARD)
    (layer,) = artifact.layers
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert result.instructions < 0.45 * layer.macs
