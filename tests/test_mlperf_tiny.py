"""The MLPerf Tiny models on emulated boards: every layer equal to LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from tools import MLPERF_TINY, needs_mlperf_tiny, on_qemu, on_qemu_boards

import tvmtiny
from tvmtiny.compiler import arranged
from tvmtiny.project.registry import platform_for
from tvmtiny.targets import resolve

pytestmark = needs_mlperf_tiny

#: Instructions of one inference with TFLM's reference kernels on mps2-an386, second inference,
#: ramp input, compiled with arm-none-eabi-gcc 12.2.
TFLM_REFERENCE = {
    "kws": 43_040_000,
    "vww": 100_241_320,
    "ic": 107_406_240,
    "ad": 1_952_520,
    "sww": 8_286_520,
}
#: The limit of instructions of one inference on Cortex-M3, and of bytes of arena.
WITHOUT_DSP = {
    "kws": (4_600_000, 8_720),
    "vww": (7_800_000, 38_481),
    "ic": (19_500_000, 34_448),
    "ad": (490_000, 768),
    "sww": (1_440_000, 4_016),
}
#: The same with Helium on Cortex-M55; arenas within 5 % of those on Cortex-M4.
WITH_HELIUM = {
    "kws": (600_000, 9_643),
    "vww": (1_180_000, 41_126),
    "ic": (1_850_000, 35_901),
    "ad": (40_000, 940),
    "sww": (165_000, 4_032),
}
#: The limit of bytes of code in flash with Helium, for any of these models.
HELIUM_CODE = 24 * 1024
FLOAT_MODELS = ("vww", "ic", "ad")
#: The allowed difference of float models, relative to the largest magnitude of a layer.
FLOAT_TOLERANCE = 1e-4


@cache
def load(name: str) -> tvmtiny.Model:
    return tvmtiny.load(MLPERF_TINY / f"{name}.tflite")


def run_and_check(
    name: str,
    board_name: str,
    kinds: list[str],
    directory: Path,
    *,
    others: tuple[str, ...] = (),
    session: bool = False,
) -> list[tuple[tvmtiny.RunResult, tvmtiny.CheckResult]]:
    """Build firmware once, and run it on each kind of input.

    Parameters
    ----------
    others
        Further boards for which the same firmware is built.
    session
        Whether firmware that serves a session also runs on the last kind.
    """
    model, board = load(name), tvmtiny.boards()[board_name]
    artifact = tvmtiny.compile(model, board_name)
    platform = platform_for(board)
    firmware = platform.build(platform.generate(artifact, board, directory))
    found = []
    instructions = {}
    for runs_on in (board, *(tvmtiny.boards()[other] for other in others)):
        there = replace(firmware, project=replace(firmware.project, board=runs_on))
        for kind in kinds:
            inputs = tvmtiny.make_inputs(kind, artifact.inputs)
            result = platform.run(there, inputs, timeout=300)
            assert result.board == runs_on.name
            instructions[runs_on.name, kind] = result.instructions
            found.append((result, tvmtiny.check(model, artifact, result, inputs)))
    if session:
        # All layers one by one, with as many instructions as without a line to a host.
        with tvmtiny.Session(artifact, timeout=300) as opened:
            served = opened.measure(*inputs)
            assert opened.statistics()["frames_dropped"] == 0
        checked = tvmtiny.check(model, artifact, served, inputs)
        assert_exact(checked)
        assert checked.layers_compared == len(artifact.layers)
        assert served.instructions == instructions[board_name, kinds[-1]]
    return found


def assert_exact(checked: tvmtiny.CheckResult) -> None:
    assert checked.mismatched_bytes == 0, checked
    assert checked.max_abs_diff == 0
    assert checked.layers_exact == checked.layers_compared > 0


@on_qemu
@pytest.mark.parametrize("name", TFLM_REFERENCE)
def test_int8_on_cortex_m4(name: str, tmp_path: Path) -> None:
    kinds = ["ramp", *(f"random:{seed}" for seed in range(1, 6))]
    found = run_and_check(f"{name}_int8", "mps2-an386", kinds, tmp_path, session=True)
    for _, checked in found:
        assert_exact(checked)
    assert found[0][0].instructions < TFLM_REFERENCE[name]


#: On riscv-virt: instructions of the same kernels with riscv64-unknown-elf-gcc 12.2, tvmtiny's
#: limit, and the arena on Cortex-M4.
RISCV = {
    "kws": (44_311_201, 8_200_000, 9_184),
    "vww": (109_927_523, 14_000_000, 39_168),
    "ic": (125_528_412, 34_000_000, 34_192),
    "ad": (2_480_471, 560_000, 896),
    "sww": (9_557_636, 2_400_000, 3_840),
}


#: The same with vectors of 128 bits: the limit of instructions.
RISCV_VECTORS = {"kws": 700_000, "vww": 1_500_000, "ic": 2_400_000, "ad": 50_000, "sww": 190_000}


@on_qemu_boards("riscv-virt-v")
@pytest.mark.parametrize("name", RISCV_VECTORS)
def test_int8_with_vectors_of_riscv(name: str, board: str, tmp_path: Path) -> None:
    """The same code with vectors of 256 bits."""
    kinds, others = ["ramp", "random:1"], ("riscv-virt-v256",)
    more = {"others": others, "session": name == "kws"}
    found = run_and_check(f"{name}_int8", board, kinds, tmp_path, **more)
    assert len(found) == 4
    for result, checked in found:
        assert_exact(checked)
        assert result.instructions <= RISCV_VECTORS[name]
        assert result.arena_bytes <= 1.05 * RISCV[name][2]


@on_qemu_boards("riscv-virt")
@pytest.mark.parametrize("name", RISCV)
def test_int8_on_riscv(name: str, board: str, tmp_path: Path) -> None:
    reference, most, arena = RISCV[name]
    kinds = ["ramp", "random:1"]
    found = run_and_check(f"{name}_int8", board, kinds, tmp_path, session=True)
    for result, checked in found:
        assert_exact(checked)
        assert result.instructions <= most < reference
        assert result.arena_bytes <= 1.05 * arena


@on_qemu
@pytest.mark.parametrize("name", WITH_HELIUM)
def test_int8_with_helium(name: str, tmp_path: Path) -> None:
    kinds = ["ramp", *(f"random:{seed}" for seed in range(1, 6))]
    session = name == "kws"
    found = run_and_check(f"{name}_int8", "mps3-an547", kinds, tmp_path, session=session)
    for _, checked in found:
        assert_exact(checked)
    result, (instructions, arena) = found[0][0], WITH_HELIUM[name]
    assert result.instructions <= instructions and result.arena_bytes <= arena
    assert result.flash.code <= HELIUM_CODE


@on_qemu
@pytest.mark.parametrize("name", WITHOUT_DSP)
def test_int8_without_dsp_extension(name: str, tmp_path: Path) -> None:
    kinds, session = ["ramp", "random:1"], name == "kws"
    found = run_and_check(f"{name}_int8", "mps2-an385", kinds, tmp_path, session=session)
    for _, checked in found:
        assert_exact(checked)
    result, (instructions, arena) = found[0][0], WITHOUT_DSP[name]
    assert result.instructions <= instructions and result.arena_bytes <= arena


@pytest.mark.parametrize("name", WITHOUT_DSP)
def test_small_cores_need_little_more_ram(name: str) -> None:
    """The arenas are within 5 % of that on Cortex-M4."""
    model = load(f"{name}_int8")
    with_dsp, *others = (
        arranged(model, resolve(cpu)).arena_bytes for cpu in ("cortex-m4", "cortex-m3", "cortex-m0")
    )
    assert max(others) <= 1.05 * with_dsp


@on_qemu
@pytest.mark.parametrize("board", ["microbit", "mps2-an500", "mps2-an505"])
def test_keyword_spotting_on_other_boards(board: str, tmp_path: Path) -> None:
    kinds, session = ["ramp", "random:1"], board != "microbit"
    for _, checked in run_and_check("kws_int8", board, kinds, tmp_path, session=session):
        assert_exact(checked)


@on_qemu
@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_float(name: str, tmp_path: Path) -> None:
    ((_, checked),) = run_and_check(f"{name}_float", "mps2-an386", ["ramp"], tmp_path)
    assert checked.mismatched_bytes == 0, checked
    assert checked.max_relative_diff < FLOAT_TOLERANCE
    assert checked.layers_exact == checked.layers_compared > 0
