from __future__ import annotations

import shutil

import cloudpickle
import pytest

from tests.tuning.broken import breaking
from tvmtiny.schedule import Goal
from tvmtiny.schedule.records import Status
from tvmtiny.targets import resolve
from tvmtiny.tuning import worker
from tvmtiny.tuning.candidate_program import CandidateRegion
from tvmtiny.tuning.emulation import Emulation
from tvmtiny.tuning.tasks import layer_inputs, reference_outputs, same_outputs

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="not installed: arm-none-eabi-gcc"
)

REGION = CandidateRegion(0x20021000, 1 << 21)


def workshop(tmp_path, digits, nodes, compiler, region=REGION):
    path = tmp_path / "workshop"
    path.write_bytes(
        cloudpickle.dumps(
            worker.Workshop(digits, nodes, resolve("mps2-an386"), Goal.BALANCED, region, compiler)
        )
    )
    return path


def built(path, task, nodes, tmp_path, decisions=None):
    position = nodes.index(task.node)
    return worker.build_candidate(
        path, position, decisions or task.space.default, tmp_path / "candidate"
    )


def emulated(path, task, result):
    inputs = [array.tobytes() for array in layer_inputs(task.node)]
    return worker.estimate(path, result.image, inputs, 5.0)


def test_a_candidate_computes_what_the_reference_does(tmp_path, digits, nodes, tasks):
    path = workshop(tmp_path, digits, nodes, worker.compile_candidate)
    for task in tasks[:2]:
        result = built(path, task, nodes, tmp_path)
        assert result.status is Status.OK and result.flash_bytes and not result.log
        found = emulated(path, task, result)
        assert isinstance(found, Emulation)
        expected = reference_outputs(task.node, layer_inputs(task.node), digits.oracle)
        assert same_outputs(found.outputs, expected) is None
        assert 0 < found.instructions <= found.estimated_cycles
        assert not (tmp_path / "candidate").exists()


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Status.COMPILE_ERROR, "undeclared"),
        (Status.LINK_ERROR, "undefined reference to `missing'"),
        (Status.TOO_BIG, "bytes more than the runner has"),
    ],
)
def test_a_build_that_fails_says_how(tmp_path, digits, nodes, tasks, kind, word):
    task = tasks[-1]
    other = next(d for d in task.space if d != task.space.default)
    path = workshop(tmp_path, digits, nodes, breaking(kind))
    result = built(path, task, nodes, tmp_path, other)
    assert result.status is kind and word in result.log and result.image is None
    assert str(tmp_path) not in result.log


def test_a_compiler_that_raises_is_a_compile_error(tmp_path, digits, nodes, tasks):
    def raising(model, node, target, decisions, goal):
        raise ZeroDivisionError("of the schedule")

    result = built(workshop(tmp_path, digits, nodes, raising), tasks[0], nodes, tmp_path)
    assert result.status is Status.COMPILE_ERROR and "of the schedule" in result.log


def test_an_emulated_candidate_that_crashes_or_hangs_says_so(tmp_path, digits, nodes, tasks):
    task = tasks[-1]
    other = next(d for d in task.space if d != task.space.default)
    for kind in (Status.CRASH, Status.TIMEOUT):
        folder = tmp_path / kind.value
        folder.mkdir()
        path = workshop(folder, digits, nodes, breaking(kind))
        result = built(path, task, nodes, folder, other)
        assert result.status is Status.OK
        inputs = [array.tobytes() for array in layer_inputs(task.node)]
        status, log = worker.estimate(path, result.image, inputs, 0.5)
        assert status is kind and log


def test_small_regions_hold_everything_in_one_place(tmp_path, digits, nodes, tasks):
    region = CandidateRegion(0x20001440, 1 << 13)
    path = workshop(tmp_path, digits, nodes, worker.compile_candidate, region)
    result = built(path, tasks[-1], nodes, tmp_path)
    assert result.status is Status.OK and result.image is not None
    assert not result.image.kept
    for address, data in result.image.segments:
        assert region.origin <= address <= address + len(data) <= region.origin + region.length
