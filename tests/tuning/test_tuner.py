from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.tuning.conftest import KINDS, FakeMeasurer, random_searches
from tvmtiny.errors import InputError
from tvmtiny.schedule import decisions_key
from tvmtiny.schedule.records import Status, load_records
from tvmtiny.tuning.allocation import History, next_task
from tvmtiny.tuning.api import _earlier


def test_the_default_rules_come_first_and_the_budget_is_kept(make_tuner, tasks, tmp_path):
    measurer = FakeMeasurer()
    progress = make_tuner(measurer, 24).run()
    first = measurer.asked[: len(tasks)]
    assert first == [(t.position, decisions_key(t.space.default)) for t in tasks]
    assert len(measurer.asked) == len(set(measurer.asked)) == progress.trials == 24
    assert len(load_records(tmp_path / "trials.jsonl")) == 24
    assert progress.best is not None and progress.default is not None
    assert progress.best <= progress.default


def test_what_was_good_elsewhere_is_tried_after_the_default_rules(make_tuner, tasks, tmp_path):
    make_tuner(FakeMeasurer(), 60, tmp_path / "first", searches=random_searches(tasks)).run()
    useful = load_records(tmp_path / "first").useful().records
    assert useful
    measurer = FakeMeasurer()
    make_tuner(measurer, len(tasks) + 4, hints=useful).run()
    wanted = {decisions_key(record.decisions) for record in useful}
    second = measurer.asked[len(tasks) : len(tasks) + 2]
    assert {key for _, key in second} <= wanted


def test_the_same_seed_proposes_the_same(make_tuner, tmp_path):
    asked = []
    for number, seed in enumerate((3, 3, 4)):
        measurer = FakeMeasurer()
        make_tuner(measurer, 24, tmp_path / str(number), seed=seed).run()
        asked.append(measurer.asked)
    assert asked[0] == asked[1] != asked[2]


def test_failures_are_recorded_by_kind_and_tuning_goes_on(make_tuner, tasks, tmp_path):
    progress = make_tuner(FakeMeasurer(failing=2), 120, searches=random_searches(tasks)).run()
    records = load_records(tmp_path / "trials.jsonl").records
    failed = Counter(r.status for r in records if r.status is not Status.OK)
    assert progress.trials == len(records) == 120
    assert set(failed) == set(KINDS)
    assert progress.failures == {status.value: count for status, count in failed.items()}
    assert all(r.log == f"it was a {r.status.value}" for r in records if r.status in failed)
    assert all(r.figure is None for r in records if r.status in failed)


def test_a_space_that_is_exhausted_ends_the_run(make_tuner, tasks):
    small = min(tasks, key=lambda task: len(task.space))
    measurer = FakeMeasurer()
    alone = type(small)(0, small.node, small.space, small.layers)
    progress = make_tuner(measurer, 10_000, tasks=[alone]).run()
    assert progress.trials == len(small.space)


def test_invalid_candidates_are_no_trials(make_tuner, tasks, tmp_path):
    class Invalid(FakeMeasurer):
        def trial(self, task, decisions):
            trial = super().trial(task, decisions)
            valid = decisions == task.space.default or trial.figure % 2
            return trial if valid else type(trial)(task.position, decisions, None)

    measurer = Invalid()
    make_tuner(measurer, 40, searches=random_searches(tasks)).run()
    assert len(load_records(tmp_path / "trials.jsonl")) == 40 < len(measurer.asked)
    assert len(measurer.asked) == len(set(measurer.asked))


def test_resuming_measures_nothing_again(make_tuner, tasks, tmp_path):
    path = tmp_path / "trials.jsonl"
    before = FakeMeasurer(failing=5)
    make_tuner(before, 33, searches=random_searches(tasks)).run()
    # The file that a machine leaves when it stops.
    text = path.read_bytes()
    path.write_bytes(text[: len(text) - 40])
    earlier = load_records(path)
    assert len(earlier.records) == 32 and len(earlier.dropped) == 1
    after = FakeMeasurer(failing=5)
    progress = make_tuner(after, 60, earlier=earlier.records).run()
    # All records except the torn one are known.
    assert len(set(before.asked) & set(after.asked)) <= 1
    assert progress.trials == 60 and progress.restored == 32 and len(after.asked) == 28
    assert len(load_records(path).records) == 60


class Killed(FakeMeasurer):
    def submit(self, task, decisions):
        if len(self.asked) == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().submit(task, decisions)


def test_a_killed_run_loses_at_most_what_was_in_flight(make_tuner, tasks, tmp_path):
    path = tmp_path / "trials.jsonl"
    tuner = make_tuner(Killed(), 60, path, searches=random_searches(tasks))
    child = os.fork()
    if child == 0:
        try:
            tuner.run()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    earlier = load_records(path)
    assert 20 - FakeMeasurer.parallel - 4 <= len(earlier.records) <= 20
    known = {decisions_key(record.decisions) for record in earlier}
    measurer = FakeMeasurer()
    searches = random_searches(tasks)
    progress = make_tuner(measurer, 60, path, earlier=earlier.records, searches=searches).run()
    assert progress.trials == 60
    assert len(measurer.asked) == 60 - len(earlier.records)
    again = [
        key
        for position, key in measurer.asked
        if key in known and any(decisions_key(r.decisions) == key for r in earlier)
    ]
    workloads = {(r.workload.key, decisions_key(r.decisions)) for r in load_records(path)}
    assert len(workloads) == 60, again


def test_a_file_with_trials_is_not_continued_unasked(tmp_path):
    path = tmp_path / "trials.jsonl"
    assert len(_earlier(path, resume=False)) == 0
    Path(path).write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="--resume"):
        _earlier(path, resume=False)


def test_trials_go_where_they_pay():
    heavy, light = History(4, [1000.0]), History(1, [1000.0])
    assert next_task([light, heavy]) == 1
    heavy.best = [1000.0] * 20
    assert next_task([light, heavy]) == 0
    light.busy = True
    assert next_task([light, heavy]) == 1
    heavy.exhausted = True
    assert next_task([light, heavy]) is None
