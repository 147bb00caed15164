from __future__ import annotations

import json
from xml.etree import ElementTree

from tests.tools import ROOT
from tests.tuning.conftest import FakeMeasurer, random_searches
from tvmtiny.schedule import Goal
from tvmtiny.schedule.records import load_records
from tvmtiny.tuning.api import TuneResult
from tvmtiny.tuning.results import save_result
from tvmtiny.tuning.store import listed, prune_records
from tvmtiny.tuning.summary import progress_text, tune_summary


def result_of(make_tuner, tasks, path, trials=50):
    searches = random_searches(tasks)
    progress = make_tuner(FakeMeasurer(failing=4), trials, path, searches=searches).run()
    return TuneResult(
        "digits",
        "mps2-an386",
        "cortex-m4",
        "cycles",
        Goal.BALANCED,
        progress,
        load_records(path).useful().records,
        path,
        {task.space.workload.key: task.weight for task in tasks},
    )


def test_a_run_leaves_the_best_records_and_a_curve(make_tuner, tasks, tmp_path):
    result = result_of(make_tuner, tasks, tmp_path / "trials.jsonl")
    files = save_result(result, tmp_path)
    best = load_records(tmp_path / "best.jsonl")
    assert best.records == result.records and best.records and not best.dropped
    assert all(record.merit < 1 for record in best)
    picture = ElementTree.fromstring((tmp_path / "curve.svg").read_text(encoding="utf-8"))
    ticks = [e for e in picture.iter() if e.tag.endswith("title") and "failed" in (e.text or "")]
    assert len(ticks) == sum(result.progress.failures.values()) > 0
    summary = tune_summary(result, files)
    assert json.loads(json.dumps(summary))["trials"] == 50
    assert "50 of 50 trials" in progress_text(result.progress)


def test_pruning_keeps_what_compile_uses(make_tuner, tasks, tmp_path):
    path = tmp_path / "trials.jsonl"
    result = result_of(make_tuner, tasks, path)
    kept, removed = prune_records(path)
    records = load_records(path)
    assert kept == len(records) == len(result.records) and kept + removed == 50
    found = listed(records, "cortex-m4", every=True)
    assert {r.to_line() for r in found} == {r.to_line() for r in result.records}
    assert listed(records, "cortex-m7", every=True) == ()


def test_shipped_records_are_whole_and_of_their_folder():
    folders = [folder for folder in (ROOT / "schedules").iterdir() if folder.is_dir()]
    assert folders
    for folder in folders:
        records = load_records(folder)
        assert records.records and not records.dropped
        for record in records:
            assert record.cpu == folder.name and record.merit < 1
            assert {"tvmtiny", "tvm", "compiler", "board"} <= record.provenance.keys()
