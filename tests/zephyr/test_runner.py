"""Tuning on a board of Zephyr in QEMU: candidates are loaded over the UART into its RAM."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import on_zephyr

import tvmtiny
from tests.tuning.broken import breaking
from tvmtiny import models
from tvmtiny.project.runner_firmware import build_runner, start_runner
from tvmtiny.schedule.records import Status, load_records
from tvmtiny.targets import find_board

BOARD = find_board("zephyr:mps2_an385")


@on_zephyr
def test_tuning_goes_on_after_a_crash_and_an_endless_loop(tmp_path: Path) -> None:
    digits = tvmtiny.load(models.path("digits"))
    kinds = (Status.CRASH, Status.TIMEOUT)
    transport = start_runner(build_runner(BOARD, tmp_path / "runner"), BOARD)
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
