"""Candidates for a CPU that Unicorn lacks: executed, counted and priced in QEMU."""

from __future__ import annotations

import cloudpickle
import pytest

import tvmtiny
from tests.tools import on_qemu
from tests.tuning.broken import broken
from tvmtiny.compiler import compile_layer
from tvmtiny.errors import InputError
from tvmtiny.schedule import Goal
from tvmtiny.schedule.records import Status, load_records
from tvmtiny.targets import resolve
from tvmtiny.tuning import worker
from tvmtiny.tuning.candidate_program import CandidateRegion, build_image, read_image
from tvmtiny.tuning.emulation import Emulation
from tvmtiny.tuning.tasks import layer_inputs, make_tasks, reference_outputs, same_outputs

BOARD = "mps3-an547"
REGION = CandidateRegion(0x21040000, 1 << 20)


@on_qemu
def test_a_candidate_is_counted_and_priced(digits, nodes, tmp_path):
    target = resolve(BOARD)
    (task,) = [
        task
        for task in make_tasks(nodes, target.cpu, digits.oracle, Goal.BALANCED)
        if task.node.operator == "FULLY_CONNECTED"
    ]
    path = tmp_path / "workshop"
    compile_candidate = worker.compile_candidate
    shop = worker.Workshop(digits, nodes, target, Goal.BALANCED, REGION, compile_candidate)
    path.write_bytes(cloudpickle.dumps(shop))
    inputs = layer_inputs(task.node)
    data = [array.tobytes() for array in inputs]
    artifact = compile_layer(digits, task.node, target, task.space.default, name="layer")
    assert artifact is not None and artifact.layers[0].schedule.startswith("mve")

    def estimated(kind: Status | None, seconds: float) -> object:
        folder = tmp_path / str(kind)
        code = artifact if kind is None else broken(artifact, kind)
        elf = build_image(code, tvmtiny.boards()[BOARD], REGION, folder)
        return worker.estimate(path, read_image(elf, code, REGION), data, seconds)

    found = estimated(None, 20.0)
    assert isinstance(found, Emulation)
    expected = reference_outputs(task.node, inputs, digits.oracle)
    assert same_outputs(found.outputs, expected) is None
    assert 0 < found.instructions <= found.estimated_cycles
    # The same layer in firmware, which adds the calls around it.
    whole = tvmtiny.run(artifact, *inputs, board=BOARD).instructions
    assert found.instructions == pytest.approx(whole, abs=20)
    for kind, seconds in ((Status.CRASH, 20.0), (Status.TIMEOUT, 1.0)):
        status, log = estimated(kind, seconds)
        assert status is kind and log


@on_qemu
@pytest.mark.usefixtures("built_here")
def test_tuning_for_cycles(digits, tmp_path):
    path = tmp_path / "trials.jsonl"
    tvmtiny.tune(digits, BOARD, records=path, trials=2, metric="cycles", workers=1)
    records = load_records(path).records
    assert len(records) == 2 and all(record.status is Status.OK for record in records)
    assert {r.provenance["figure"] for r in records} == {"estimated from the core's manual"}


def test_boards_without_timings_are_refused(digits, tmp_path):
    with pytest.raises(InputError, match=r"cycles of cortex-m33\+nodsp cannot be estimated"):
        tvmtiny.tune(digits, "zephyr:mps2_an521", records=tmp_path / "trials.jsonl")
