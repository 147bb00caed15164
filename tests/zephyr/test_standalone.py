"""The mode standalone on Zephyr's boards in QEMU: exact, and as fast as bare metal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools import needs_mlperf_tiny, on_zephyr
from zephyr_applications import (
    ARM_BOARDS,
    CONSOLE_SECONDS,
    RISCV_BOARD,
    Built,
    Inference,
    mlperf_model,
    standalone_run,
)

import tvmtiny
from tvmtiny import models
from tvmtiny.creating import create_zephyr_application
from tvmtiny.project.package import sample_inputs
from tvmtiny.project.zephyr.application import ApplicationOptions
from tvmtiny.project.zephyr.board import find_zephyr_board
from tvmtiny.project.zephyr.build import build_application
from tvmtiny.project.zephyr.console import converse
from tvmtiny.project.zephyr.source_tree import find_tree

FIVE = ("kws", "vww", "ic", "ad", "sww")


@needs_mlperf_tiny
@on_zephyr
@pytest.mark.parametrize("board", [*ARM_BOARDS, RISCV_BOARD])
def test_exact(board: str, built: Built) -> None:
    _, inferences = standalone_run(built(board, "standalone", "kws", "ad"))
    assert [(i.model, i.sample) for i in inferences] == [
        (model, sample) for sample in range(4) for model in ("kws", "ad")
    ]
    assert {i.verdict for i in inferences} == {"exact"}
    assert all(i.stack_used < i.stack_size for i in inferences)


@needs_mlperf_tiny
@on_zephyr
def test_instructions_are_those_of_bare_metal(built: Built) -> None:
    # The image of mps2_an385, with the models' code for Cortex-M4.
    hz, inferences = standalone_run(built("zephyr:mps2_an386", "standalone", *FIVE))
    assert {i.verdict for i in inferences} == {"exact"}
    for name in FIVE:
        (first,) = (i for i in inferences if i.model == name and i.sample == 0)
        artifact = tvmtiny.compile(mlperf_model(name), "mps2-an386")
        bare = tvmtiny.run(artifact, *sample_inputs(artifact.inputs, 0)).instructions
        found = first.cycles * 1_000_000_000 / hz
        print(f"{name}: {found:.0f} instructions, {bare} on bare metal, {found / bare - 1:+.4%}")
        assert found == pytest.approx(bare, rel=0.02)


@on_zephyr
@pytest.mark.parametrize(
    ("board", "milliseconds"),
    [
        ("zephyr:mps2_an385", 100),
        ("zephyr:mps2_an385", 10),
        ("zephyr:mps3_an547", 20),
    ],
)
def test_duty_cycle(board: str, milliseconds: int, tmp_path: Path) -> None:
    """The share of time asleep is that of a period without the cycles of its inference."""
    conf = tmp_path / "duty.conf"
    conf.write_text(
        f"CONFIG_TVMTINY_APP_DUTY_CYCLE=y\nCONFIG_TVMTINY_APP_PERIOD_MS={milliseconds}\n"
    )
    application = create_zephyr_application(
        [tvmtiny.load(models.path("digits"))],
        find_zephyr_board(board),
        tmp_path / "application",
        ApplicationOptions(fragments=(conf,)),
    )
    build = build_application(application, find_tree())
    lines = list(converse(build, seconds=CONSOLE_SECONDS, until="sample 3"))
    (hz,) = (int(m[1]) for m in map(re.compile(r"(\d+) Hz").search, lines) if m)
    inferences = list(filter(None, map(Inference.read, lines)))
    asleep = re.compile(r"digits: asleep ([\d.]+) % of (\d+) cycles")
    shares = [(float(m[1]), int(m[2])) for m in map(asleep.search, lines) if m]
    assert {inference.verdict for inference in inferences} == {"exact"}
    assert len(inferences) >= 4 and len(shares) >= 3
    # QEMU sleeps by the host's clock, and a busy host wakes it late, but not every time.
    assert min(cycles for _, cycles in shares) == pytest.approx(hz * milliseconds / 1000, rel=0.02)
    for inference, (percent, cycles) in zip(inferences, shares, strict=False):
        print(f"{inference.cycles} of {cycles} cycles, asleep {percent} %")
        # Filling the input and switching threads keep the core awake, too.
        wanted = 100 * (1 - inference.cycles / cycles)
        assert wanted - 2 < percent <= wanted + 0.01
