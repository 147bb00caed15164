"""Candidates on emulated boards."""

from __future__ import annotations

import pytest
from trackers import running_tracker

import tvmtiny
from tests.tools import board_on_qemu, on_qemu
from tests.tuning.broken import breaking, broken
from tvmtiny.rpc.serve import BoardServer
from tvmtiny.schedule import Goal, decisions_key, space
from tvmtiny.schedule.records import Status, load_records
from tvmtiny.targets import find_board
from tvmtiny.tuning.candidate_program import build_image, read_image
from tvmtiny.tuning.emulation import emulate_image
from tvmtiny.tuning.qemu_runner import QemuRunner
from tvmtiny.tuning.runner import CandidateError
from tvmtiny.tuning.tasks import layer_inputs, reference_outputs, same_outputs
from tvmtiny.tuning.worker import compile_candidate

BOARD = find_board("mps2-an386")


class Layer:
    """A layer's default candidate, and its expected results."""

    def __init__(self, digits, task, board=BOARD) -> None:
        self.board = board
        default = space(task.node, board.cpu, digits.oracle, Goal.BALANCED).default
        self.artifact = compile_candidate(digits, task.node, board.target, default, Goal.BALANCED)
        arrays = layer_inputs(task.node)
        self.inputs = [array.tobytes() for array in arrays]
        self.reference = reference_outputs(task.node, arrays, digits.oracle)
        self.expected = [array.tobytes() for array in self.reference]

    def image(self, runner, folder, kind=None):
        artifact = self.artifact if kind is None else broken(self.artifact, kind)
        elf = build_image(artifact, self.board, runner.region, folder)
        return read_image(elf, artifact, runner.region)


@pytest.mark.parametrize(
    ("board", "transport"),
    [
        pytest.param(*board.values, transport, marks=board.marks)
        for board, transport in (
            (board_on_qemu("mps2-an386"), "socket"),
            (board_on_qemu("mps2-an386"), "pty"),
            (board_on_qemu("riscv-virt"), "socket"),
        )
    ],
)
def test_a_runner_survives_whatever_a_candidate_does(digits, tasks, tmp_path, board, transport):
    board = find_board(board)
    layer = Layer(digits, tasks[-1], board)
    runner = QemuRunner(board, transport)
    try:
        good = layer.image(runner, tmp_path)
        done = runner.run(good, layer.inputs, layer.expected, 20.0)
        assert done.outputs is None
        found = emulate_image(good, runner.region, board.cpu, layer.inputs, 20.0)
        # Cortex-M's counter is read in a loop of four instructions.
        slack = 4 if board.cpu.architecture == "arm" else 0
        assert abs(done.count - found.instructions) <= slack

        wrong = layer.image(runner, tmp_path, Status.WRONG_RESULT)
        outputs = runner.run(wrong, layer.inputs, layer.expected, 20.0).outputs
        assert outputs is not None
        for run in outputs:
            assert "1 of " in (same_outputs(run, layer.reference) or "")

        process = runner._qemu.process.pid
        for kind, seconds in ((Status.CRASH, 20.0), (Status.TIMEOUT, 1.0)):
            with pytest.raises(CandidateError) as caught:
                runner.run(
                    layer.image(runner, tmp_path, kind), layer.inputs, layer.expected, seconds
                )
            assert caught.value.status is kind, str(caught.value)
            again = runner.run(good, layer.inputs, layer.expected, 20.0)
            assert again == done
        # The board was recovered, not restarted.
        assert runner._qemu.process.pid == process
    finally:
        runner.close()


@on_qemu
def test_tuning_goes_on_after_failures_and_resumes(digits, tmp_path):
    path = tmp_path / "trials.jsonl"
    kinds = (Status.WRONG_RESULT, Status.CRASH, Status.COMPILE_ERROR)
    result = None
    for trials in (15, 17):
        result = tvmtiny.tune(
            digits,
            BOARD,
            records=path,
            trials=trials,
            metric="instructions",
            resume=trials > 15,
            workers=1,
            compiler=breaking(*kinds),
        )
    assert result is not None
    records = load_records(path).records
    assert result.progress.restored == 15 and len(records) == 17
    assert len({(r.workload.key, decisions_key(r.decisions)) for r in records}) == 17
    by_kind = {kind: [r for r in records if r.status is kind] for kind in (Status.OK, *kinds)}
    # The default rules' candidates are whole.
    assert len(by_kind[Status.OK]) == 8
    assert sum(map(len, by_kind.values())) == 17
    assert sum(bool(by_kind[kind]) for kind in kinds) >= 2
    assert all(r.log and r.figure is None for kind in kinds for r in by_kind[kind])
    assert result.progress.default == result.progress.best


@pytest.fixture
def tracker(warm_programs):
    with running_tracker(warm_programs) as address:
        yield address


@on_qemu
@pytest.mark.usefixtures("built_here")
def test_boards_behind_a_tracker_measure_together(digits, tracker, tmp_path):
    with (
        BoardServer(None, BOARD, tracker=tracker, key="runner") as first,
        BoardServer(None, BOARD, tracker=tracker, key="runner") as second,
    ):
        assert first.served.url != second.served.url
        result = tvmtiny.tune(
            digits,
            BOARD,
            records=tmp_path / "trials.jsonl",
            trials=12,
            metric="instructions",
            tracker=tracker,
            key="runner",
            boards_at_once=2,
            workers=1,
        )
    assert result.progress.trials == 12 and not result.progress.failures
