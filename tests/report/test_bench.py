"""Benchmarks: figures, peers, comparison with an earlier run, and models that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools import on_qemu

from tvmtiny import models
from tvmtiny.errors import CapacityError, InputDataError
from tvmtiny.report.bench import BenchOptions, bench, bench_summary, read_earlier
from tvmtiny.report.peers import measured, peers_of
from tvmtiny.targets import cpus, find_board

DIGITS = models.path("digits")


def test_peers_of_a_model_are_sorted_and_complete() -> None:
    peers = peers_of("kws_int8", "cortex-m4")
    assert [peer.peer for peer in peers] == ["microTVM", "CMSIS-NN", "TFLM"]
    assert [peer.instructions for peer in peers] == [4_554_360, 7_226_520, 43_040_000]
    assert peers[0].note.startswith("off by 4")
    assert (peers[1].arena_bytes, peers[1].stack_bytes) == (22_820, 844)
    assert peers_of("vww_int8", "cortex-m4")[1].peer == "TinyEngine"
    assert [peer.instructions for peer in peers_of("ad_int8", "cortex-m55")] == [150_031]
    assert peers_of("digits", "cortex-m4") == peers_of("kws_int8", "none") == ()
    assert "QEMU" in measured()


def test_peers_exist_for_known_cpus_only() -> None:
    found = {
        cpu
        for cpu in cpus()
        for model in ("kws_int8", "vww_int8", "ic_int8", "ad_int8", "sww_int8")
        if peers_of(model, cpu)
    }
    assert found == {"cortex-m3", "cortex-m4", "cortex-m7", "cortex-m55"}


@on_qemu
def test_figures() -> None:
    boards = [find_board("mps2-an386"), find_board("mps3-an547")]
    steps: list[str] = []
    m4, m55 = bench([DIGITS], boards, BenchOptions(check=True), steps.append)
    assert steps == ["digits on mps2-an386", "digits on mps3-an547"]
    for result in (m4, m55):
        assert result.error is None
        figures = result.figures
        assert figures is not None
        assert figures.exact is True
        assert figures.instructions_per_mac == figures.instructions / figures.macs
        assert figures.arena_bytes > 0 and figures.stack_bytes > 0 and figures.flash.code > 0
    assert m4.figures is not None and m4.figures.estimated_cycles is not None
    assert m4.figures.estimated_cycles > m4.figures.instructions
    assert m55.figures is not None and m55.figures.estimated_cycles is not None
    assert m55.figures.estimated_cycles > m55.figures.instructions


@on_qemu
def test_model_that_does_not_fit_leaves_the_others_alone(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.tflite"
    options = BenchOptions(estimate=False)
    missing, digits = bench([nothing, DIGITS], [find_board("mps2-an386")], options)
    assert missing.figures is None and missing.error is not None
    assert digits.error is None and digits.figures is not None
    assert digits.figures.exact is None and digits.figures.estimated_cycles is None
    summary = bench_summary((missing, digits), {("digits", "mps2-an386"): 5})
    first, second = summary["results"]
    assert "instructions" not in first and "nothing.tflite" in first["error"]
    assert second["earlier_instructions"] == 5 and second["error"] is None
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(summary))
    assert read_earlier(file) == {("digits", "mps2-an386"): digits.figures.instructions}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": [{"instructions": 1}]}'])
def test_other_files_are_no_earlier_bench(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text(text)
    with pytest.raises(InputDataError, match="tvmtiny bench --json"):
        read_earlier(file)


def test_missing_file_is_no_earlier_bench(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="No such file"):
        read_earlier(tmp_path / "none.json")


def test_capacity_error_is_a_result() -> None:
    from tvmtiny.report.bench import BenchResult

    error = CapacityError("ram", 2, 1, "microbit")
    result = BenchResult("m", "microbit", "cortex-m0", None, error, ())
    assert bench_summary([result])["results"][0]["error"] == str(error)
