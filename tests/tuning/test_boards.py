"""Attached boards: their measurements, their descriptions of themselves, and refused boards."""

from __future__ import annotations

import dataclasses
import struct

import pytest

import tvmtiny
from tests.tools import needs_programs, on_qemu
from tvmtiny.errors import DeviceError, InputError
from tvmtiny.project.measurement import decode_ticks
from tvmtiny.project.qemu.candidate_build import start_runner
from tvmtiny.project.registry import build_runner
from tvmtiny.rpc.board import start_board
from tvmtiny.schedule.records import load_records
from tvmtiny.targets import find_board
from tvmtiny.tuning.candidate_program import CandidateRegion
from tvmtiny.tuning.runner import BoardRunner, Execution, Unit, runner_board

BOARD = find_board("mps2-an386")


class CountingBoard:
    """A board that finds each candidate right, one cycle slower than the one before."""

    region = CandidateRegion(0x20000000, 1 << 18)

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.count = 1000

    def run(self, image, inputs, expected, seconds) -> Execution:
        self.count += 1
        return Execution(None, self.count)

    def close(self) -> None:
        pass


def test_ticks_are_those_beyond_an_empty_call():
    def measured(ticks: int, status: int = 0) -> bytes:
        return struct.pack("<i7I", status, 0, ticks & 0xFFFFFF, 0, ticks >> 24, 0, 0, 64)

    head = struct.pack("<II", 64_000_000, 2)
    answer = head + measured(30) + measured((1 << 31) + 5) + measured(29)
    assert decode_ticks(answer) == ((1 << 31) - 25, 0)
    with pytest.raises(DeviceError, match="cannot parse"):
        decode_ticks(answer[:-1])
    with pytest.raises(DeviceError, match="returned 7"):
        decode_ticks(head + measured(30) + measured(31, 7) + measured(31))


@needs_programs("arm-none-eabi-gcc")
@pytest.mark.usefixtures("built_here")
def test_cycles_of_a_board_are_its_own(digits, tmp_path):
    path = tmp_path / "trials.jsonl"
    options = {"records": path, "trials": 2, "workers": 1}
    tvmtiny.tune(digits, BOARD, runners=[CountingBoard(Unit.CYCLES)], **options)
    records = load_records(path).records
    assert sorted(record.figure for record in records) == [1001, 1002]
    assert {record.provenance["figure"] for record in records} == {"measured on the board"}
    # Figures obtained in another way are not mixed with these.
    with pytest.raises(InputError, match=r"are measured on the board, but new ones would be estim"):
        tvmtiny.tune(digits, BOARD, runners=[CountingBoard(Unit.TICKS)], resume=True, **options)


@pytest.mark.parametrize("unit", [Unit.CYCLES, Unit.TICKS])
def test_only_an_emulator_counts_instructions(digits, tmp_path, unit):
    with pytest.raises(InputError, match=f"counts {unit.value}, and only an emulator"):
        tvmtiny.tune(
            digits,
            BOARD,
            records=tmp_path / "trials.jsonl",
            metric="instructions",
            runners=[CountingBoard(unit)],
        )


@on_qemu
def test_a_board_that_only_its_firmware_knows(tmp_path):
    firmware = build_runner(dataclasses.replace(BOARD, name="zephyr:one_of_a_lab"), tmp_path)
    transport = start_runner(firmware, BOARD)
    try:
        board = runner_board(transport.url)
        assert (board.name, board.cpu) == ("zephyr:one_of_a_lab", BOARD.cpu)
        assert (board.data.origin, board.data.length) == (firmware.origin, firmware.length)
        runner = BoardRunner.at_port(transport.url)
        try:
            assert runner.unit is Unit.INSTRUCTIONS
        finally:
            runner.close()
    finally:
        transport.close()


@on_qemu
def test_a_board_without_the_runner(digits, tmp_path):
    with start_board(tvmtiny.compile(digits, BOARD.name), BOARD, "socket", str) as started:
        transport = started.transport
        try:
            with pytest.raises(InputError, match=r"does not run the runner .* --mode runner") as e:
                tvmtiny.tune(digits, BOARD, records=tmp_path / "t.jsonl", url=transport.url)
            assert "\n" not in str(e.value)
        finally:
            transport.close()
