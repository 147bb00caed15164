"""LSTM around the tile kernels: its fixed-point functions, and layers on the host and a board."""

from __future__ import annotations

import ctypes
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from host_runner import WARNINGS, compiler_or_skip, run_command

import tvmtiny
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tests.ops.three_ways import SideBySide
from tests.tools import on_qemu
from tvmtiny.ops.shared.fixed_point_q15 import logistic_q15, tanh_q15
from tvmtiny.schedule.families.dsp.lstm import exponentials

BOARD = "mps2-an386"

#: Fraction bits of the cells.
_INTEGERS = range(5)

_SOURCE = '#include "tvmtiny_dsp_lstm.h"\n' + "".join(
    f"void {name}(const int16_t *table, int32_t *y);\n"
    f"void {name}(const int16_t *table, int32_t *y)\n"
    "{ for (int32_t i = -32768; i < 32768; ++i) { int32_t value; "
    f"TVMTINY_LSTM_{macro}; y[i + 32768] = value; }} }}\n"
    for name, macro in (
        *((f"logistic_{f}", f"LOGISTIC(value, i, table, {f})") for f in (1, 2, 3)),
        *((f"tanh_3_{f}", f"TANH(value, i, table, {f}, 3)") for f in (1, 2, 3)),
        *((f"tanh_{i}", f"TANH(value, i, table, {min(3, i + 1)}, {i})") for i in _INTEGERS),
    )
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    directory = tmp_path_factory.mktemp("lstm")
    (directory / "lstm.c").write_text(_SOURCE)
    runtime = files("tvmtiny") / "runtime"
    includes = [f"-I{runtime / 'core'}", f"-I{runtime / 'kernels' / 'dsp'}"]
    flags = [*WARNINGS, "-O1", "-shared", "-fPIC", "-fsanitize=undefined"]
    flags.append("-fno-sanitize-recover=all")
    run_command([compiler_or_skip("gcc"), *flags, *includes, "lstm.c", "-o", "lstm.so"], directory)
    return ctypes.CDLL(str(directory / "lstm.so"))


def test_functions_of_every_number(library: ctypes.CDLL) -> None:
    every = np.arange(-(2**15), 2**15)

    def values(name: str, finest: int) -> np.ndarray:
        table, y = exponentials(finest), np.empty(every.size, np.int32)
        getattr(library, name)(*(ctypes.c_void_p(a.ctypes.data) for a in (table, y)))
        return y

    for finest in (1, 2, 3):
        assert np.array_equal(values(f"logistic_{finest}", finest), logistic_q15(every, 3))
        assert np.array_equal(values(f"tanh_3_{finest}", finest), tanh_q15(every, 3))
    for integer in _INTEGERS:
        got = values(f"tanh_{integer}", min(3, integer + 1))
        assert np.array_equal(got, tanh_q15(every, integer))


#: Scales with which gates reach the ends of their range.
CASES = {
    "gates_saturate": Lstm(inputs=9, cells=16, steps=24, weight_scale=0.02),
    "cells_of_0_bits": Lstm(inputs=3, cells=7, steps=8, weight_scale=0.01, cell_bits=15),
    "cells_of_1_bit": Lstm(inputs=5, cells=5, steps=8, weight_scale=0.01, cell_bits=14),
    "cells_of_2_bits": Lstm(inputs=6, cells=5, steps=8, weight_scale=0.02, cell_bits=13),
    "cells_of_3_bits": Lstm(inputs=7, cells=6, steps=9, weight_scale=0.02, cell_bits=12),
    "shifts_to_the_left": Lstm(inputs=33, cells=9, weight_scale=0.3),
    "weights_that_need_16_bits": Lstm(inputs=9, weight_range=(-128, -127)),
    "time_major": Lstm(inputs=8, cells=6, steps=6, batch=3, time_major=True, cell_clip=0.9),
}


@pytest.fixture(scope="module")
def layers() -> SideBySide:
    return SideBySide("lstm_layers", CASES, 0.0)


def test_on_the_host(layers: SideBySide, tmp_path: Path) -> None:
    artifact = layers.compile("cortex-m4")
    assert all(layer.schedule.startswith("dsp") for layer in artifact.layers)
    assert {layer.schedule.rpartition(" ")[2] for layer in artifact.layers} == {"w8", "w16"}
    layers.check_host("cortex-m4", tmp_path)


@on_qemu
def test_on_a_board(layers: SideBySide) -> None:
    layers.check_board(BOARD)


def test_what_the_kernel_cannot_do_is_left_to_plain_c() -> None:
    for layer in (Lstm(cell_bits=9), Lstm(weight_scale=300.0)):
        artifact = tvmtiny.compile(tvmtiny.load(layer.model(), name="lstm"), "cortex-m4")
        assert artifact.layers[0].schedule == "function of the runtime"


@on_qemu
def test_instructions_of_a_layer() -> None:
    model = tvmtiny.load(
        Lstm(inputs=28, cells=32, steps=28, weight_scale=0.002).model(), name="lstm"
    )
    artifact = tvmtiny.compile(model, BOARD)
    (layer,) = artifact.layers
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert result.instructions < 2.4 * layer.macs
