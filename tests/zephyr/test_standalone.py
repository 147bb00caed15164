"""The mode standalone on Zephyr's boards in QEMU: exact, and as fast as bare metal."""

from __future__ import annotations

import pytest
from tools import needs_mlperf_tiny, on_zephyr
from zephyr_applications import ARM_BOARDS, RISCV_BOARD, Built, mlperf_model, standalone_run

import tvmtiny
from tvmtiny.project.package import sample_inputs

pytestmark = needs_mlperf_tiny

FIVE = ("kws", "vww", "ic", "ad", "sww")


@on_zephyr
@pytest.mark.parametrize("board", [*ARM_BOARDS, RISCV_BOARD])
def test_exact(board: str, built: Built) -> None:
    _, inferences = standalone_run(built(board, "standalone", "kws", "ad"))
    assert [(i.model, i.sample) for i in inferences] == [
        (model, sample) for sample in range(4) for model in ("kws", "ad")
    ]
    assert {i.verdict for i in inferences} == {"exact"}
    assert all(i.stack_used < i.stack_size for i in inferences)


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
