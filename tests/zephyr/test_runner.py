"""Tuning on a board of Zephyr in QEMU: candidates are loaded into its RAM over the UART."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import unicorn
from elftools.elf.elffile import ELFFile
from tools import on_zephyr
from unicorn import arm_const

import tvmtiny
from tests.tuning.broken import breaking
from tvmtiny import models
from tvmtiny.project.candidate_firmware import RunnerFirmware
from tvmtiny.project.qemu.candidate_build import start_runner
from tvmtiny.project.registry import build_runner
from tvmtiny.schedule.records import Status, load_records
from tvmtiny.targets import find_board

BOARD = find_board("zephyr:mps2_an385")


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> RunnerFirmware:
    return build_runner(BOARD, tmp_path_factory.mktemp("runner"))


@on_zephyr
def test_tuning_goes_on_after_a_crash_and_an_endless_loop(
    firmware: RunnerFirmware, tmp_path: Path
) -> None:
    digits = tvmtiny.load(models.path("digits"))
    kinds = (Status.CRASH, Status.TIMEOUT)
    transport = start_runner(firmware, BOARD)
    found: dict[str, tuple[float | None, ...]] = {}
    try:
        for name, compiler in (("broken", {"compiler": breaking(*kinds)}), ("whole", {})):
            path = tmp_path / f"{name}.jsonl"
            tvmtiny.tune(
                digits,
                BOARD,
                url=transport.url,
                records=path,
                trials=12 if name == "broken" else 8,
                metric="instructions",
                workers=1,
                **compiler,
            )
            records = load_records(path).records
            found[name] = tuple(r.figure for r in records if r.status is Status.OK)
            failed = {r.status for r in records if r.status is not Status.OK}
            assert failed == (set(kinds) if name == "broken" else set())
            assert {r.provenance["board"] for r in records} == {BOARD.name}
    finally:
        transport.close()
    # The default rules' candidates are whole, and measure the same after the others.
    assert len(found["broken"]) == 8
    bare = tmp_path / "bare.jsonl"
    tvmtiny.tune(digits, "mps2-an385", records=bare, trials=8, metric="instructions", workers=1)
    counted = sorted(r.figure or 0.0 for r in load_records(bare))
    assert sorted(f or 0.0 for f in found["broken"]) == pytest.approx(counted, rel=0.01)
    assert sorted(f or 0.0 for f in found["whole"]) == pytest.approx(counted, rel=0.01)


@on_zephyr
@pytest.mark.parametrize(
    ("control", "step", "unit"),
    [(0, 7, "cycles"), (0, 0, "instructions"), (1 << 25, 7, "instructions")],
    ids=["counts", "stands still", "NOCYCCNT"],
)
def test_a_cycle_counter_is_used_where_it_counts(
    firmware: RunnerFirmware, control: int, step: int, unit: str
) -> None:
    """The same program, on a processor with and without the DWT's counter, which QEMU lacks."""
    with firmware.elf.open("rb") as file:
        program = ELFFile(file)
        table: Any = program.get_section_by_name(".symtab")
        (entry,) = (s["st_value"] for s in table.iter_symbols() if s.name == "device_measures")
        loaded = [
            (segment["p_paddr"], segment.data())
            for segment in program.iter_segments()
            if segment["p_type"] == "PT_LOAD"
        ]
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    for region in BOARD.regions:
        uc.mem_map(region.origin, region.length)
    for address, data in loaded:
        uc.mem_write(address, data)
    registers = {0xE0001000: control, 0xE0001004: 0}

    def read(_uc: Any, offset: int, _size: int, _: object) -> int:
        registers[0xE0001004] += step
        return registers.get(0xE0000000 + offset, 0)

    def write(_uc: Any, offset: int, _size: int, value: int, _: object) -> None:
        registers[0xE0000000 + offset] = value

    uc.mmio_map(0xE0000000, 0x100000, read, None, write, None)
    end = BOARD.code.origin + BOARD.code.length // 2
    uc.reg_write(arm_const.UC_ARM_REG_SP, BOARD.data.origin + BOARD.data.length)
    uc.reg_write(arm_const.UC_ARM_REG_LR, end | 1)
    uc.emu_start(entry | 1, end, count=10_000)
    said = uc.mem_read(uc.reg_read(arm_const.UC_ARM_REG_R0), 16)
    assert bytes(said).partition(b"\0")[0].decode() == unit
