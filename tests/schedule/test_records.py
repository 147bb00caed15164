"""Tuned records: kept whole on disk, selected by layer, and used by the compiler."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tvmtiny.compiler import compile_layer, optimized_nodes
from tvmtiny.errors import InputError, OutputPathError
from tvmtiny.frontend import Model
from tvmtiny.ops import Oracle
from tvmtiny.schedule import Decisions, Goal, Workload, decisions_key, implement, workload
from tvmtiny.schedule.records import (
    NO_RECORDS,
    Record,
    Records,
    Status,
    append_record,
    load_records,
    shipped_records,
)
from tvmtiny.targets import resolve

CPU = "cortex-m4"
_CASE = Conv((4, 8), 8, 6, output_scale=0.3)
_BLOCK: Decisions = {
    "sketch": "block",
    "tile": "4x2",
    "weights": "w8",
    "unroll": 6,
    "rows": 1,
    "columns": 4,
}


def _model() -> Model:
    return tvmtiny.load(_CASE.model(), name="tuned")


def _workload() -> Workload:
    (node,) = optimized_nodes(_model())
    return workload(node, Oracle.LITERT)


def _record(figure: float | None = 80.0, **changes: object) -> Record:
    made = Record(
        _workload(),
        CPU,
        "cycles",
        _BLOCK,
        Status.OK,
        Goal.BALANCED,
        figure,
        100.0,
        1000,
        1000,
        640,
        "",
        {"tvmtiny": "0.1", "board": "mps2-an386"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    file = tmp_path / CPU / "log.jsonl"
    records = [
        _record(),
        _record(None, status=Status.CRASH, log="fault at 0x20000100\nin kernel"),
        _record(77, metric="instructions", provenance={}),
    ]
    for record in records:
        append_record(file, record)
    assert load_records(file) == Records(tuple(records))
    assert load_records(tmp_path) == Records(tuple(records))


def test_workloads_are_equal_where_only_values_differ() -> None:
    def of(case: Conv) -> Workload:
        (node,) = optimized_nodes(tvmtiny.load(case.model(), name="m"))
        return workload(node, Oracle.LITERT)

    same = of(replace(_CASE, weight_scale=0.03, weight_range=(-90, 90)))
    assert same == of(_CASE) and same.key == of(_CASE).key
    assert "int8[1,4,8,8]" in same.key and "\n" not in same.key
    for change in ({"size": (4, 9)}, {"stride": (2, 2)}, {"padding": "VALID"}, {"filters": 7}):
        assert of(replace(_CASE, **change)).key != same.key  # type: ignore[arg-type]
    relu = replace(_CASE, activation="RELU", zero_points=(-3, -128))
    assert of(relu).key != same.key
    assert Workload.from_json(json.loads(json.dumps(same.to_json()))) == same


def test_a_torn_line_is_dropped_and_the_next_one_kept(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    append_record(file, _record(80))
    append_record(file, _record(70))
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    torn = load_records(file)
    assert torn.records == (_record(80),)
    assert len(torn.dropped) == 1 and f"{file}:2" in torn.dropped[0] and "torn" in torn.dropped[0]
    append_record(file, _record(60))
    again = load_records(file)
    assert [record.figure for record in again] == [80, 60]
    assert len(again.dropped) == 1


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"metric": "seconds"}, {"status": "fine"}, {"decisions": {"tile": [1]}}],
    ids=str,
)
def test_what_is_no_record_is_dropped(change: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps({**_record().to_json(), **change}) + "\n[]\nnull\n")
    found = load_records(file)
    assert found.records == () and len(found.dropped) == 3


@pytest.mark.parametrize("ends", ["[]", ('{"a":', "}")], ids=["lists", "objects"])
def test_what_is_nested_too_deep_is_dropped(ends: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    deep = ends[0] * 100_000 + "1" + ends[1] * 100_000
    file.write_text(deep + "\n" + _record().to_line() + "\n" + deep + "\n")
    found = load_records(file)
    assert len(found) == 1 and len(found.dropped) == 2


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        load_records(tmp_path / "missing.jsonl")
    (tmp_path / "file").touch()
    with pytest.raises(OutputPathError, match=r"log\.jsonl"):
        append_record(tmp_path / "file" / "log.jsonl", _record())


def test_selection() -> None:
    good, better = _record(80), _record(70, workspace_bytes=900)
    others = (
        _record(60, cpu="cortex-m7"),
        _record(50, goal=Goal.SPEED),
        _record(40, status=Status.WRONG_RESULT),
        _record(30, metric="instructions"),
        _record(120),
        # Three times the flash is not worth a fifth of the time.
        _record(60, flash_bytes=2900),
    )
    records = Records((good, *others, better))
    assert records.ranked(_workload(), CPU, Goal.BALANCED) == (better, good)
    assert records.best(_workload(), CPU, Goal.BALANCED) == better
    assert records.best(_workload(), "cortex-m33", Goal.BALANCED) == better
    assert records.best(_workload(), "cortex-m3", Goal.BALANCED) is None
    assert records.best(replace(_workload(), operator="ADD"), CPU, Goal.BALANCED) is None


def test_what_is_worth_shipping() -> None:
    best = _record(70, workspace_bytes=900)
    small = _record(80, workspace_bytes=640)
    useless = (_record(85, workspace_bytes=700), _record(130), _record(20, status=Status.CRASH))
    assert Records((small, *useless, best)).useful().records == (best, small)


def test_compile_uses_a_record_and_says_so() -> None:
    plain = tvmtiny.compile(_model(), CPU, records=NO_RECORDS)
    tuned = tvmtiny.compile(_model(), CPU, records=Records((_record(),)), ram_budget=4096)
    assert not plain.layers[0].tuned and "tuned" not in plain.layers[0].schedule
    assert tuned.layers[0].tuned
    assert tuned.layers[0].schedule.endswith("tuned")
    assert "blocks of 1x4" in tuned.layers[0].schedule
    assert "tile 4x2" in tuned.files["tuned.c"]


def test_a_record_of_another_goal_or_cpu_is_not_used() -> None:
    for changes in ({"goal": Goal.SIZE}, {"cpu": "cortex-m7"}):
        records = Records((_record(**changes),))
        assert not tvmtiny.compile(_model(), CPU, records=records, ram_budget=4096).layers[0].tuned


def test_decisions_that_cannot_be_implemented_fall_back_to_the_next() -> None:
    impossible = {**_BLOCK, "tile": "1x4", "columns": 3, "unroll": 5000}
    records = Records((_record(10, decisions=impossible), _record()))
    tuned = tvmtiny.compile(_model(), CPU, records=records, ram_budget=4096)
    assert "blocks of 1x4" in tuned.layers[0].schedule
    assert not tvmtiny.compile(_model(), CPU, records=Records(records.records[:1])).layers[0].tuned


def test_the_arena_does_not_grow_without_a_budget() -> None:
    plain = tvmtiny.compile(_model(), CPU, records=NO_RECORDS)
    large = _record(10, decisions={**_BLOCK, "rows": 4, "columns": 8})
    tuned = tvmtiny.compile(_model(), CPU, records=Records((large,)))
    assert tuned.arena_bytes == plain.arena_bytes and not tuned.layers[0].tuned
    allowed = tvmtiny.compile(_model(), CPU, records=Records((large,)), ram_budget=8192)
    assert plain.arena_bytes < allowed.arena_bytes <= 8192 and allowed.layers[0].tuned


def test_the_flash_budget_holds() -> None:
    (node,) = optimized_nodes(_model())
    wide = _record(10, goal=Goal.SPEED, decisions={**_BLOCK, "weights": "w16"})
    narrow = implement(node, resolve(CPU).cpu, Oracle.LITERT, Goal.BALANCED)
    assert narrow is not None
    budget = narrow.constants_bytes
    for flash_budget, used in ((budget, False), (4 * budget, True)):
        made = tvmtiny.compile(
            _model(),
            CPU,
            optimize="speed",
            flash_budget=flash_budget,
            ram_budget=8192,
            records=Records((wide,)),
        )
        assert made.layers[0].tuned is used and made.constants_bytes <= flash_budget


def test_shipped_records_are_worth_it() -> None:
    """The records are whole, beat the default rule, and occur once per task."""
    records = shipped_records()
    assert records.dropped == ()
    assert all(record.status is Status.OK and record.merit < 1 for record in records)
    keys = [(r.workload, r.cpu, r.metric, r.goal, decisions_key(r.decisions)) for r in records]
    assert len(set(keys)) == len(keys)


def test_a_candidate_that_is_none_of_the_space_is_refused() -> None:
    (node,) = optimized_nodes(_model())
    assert compile_layer(_model(), node, CPU, _BLOCK) is not None
    for wrong in ({"columns": 5}, {"unroll": "6"}, {"more": 1}, {"sketch": "other"}):
        assert compile_layer(_model(), node, CPU, {**_BLOCK, **wrong}) is None
    assert compile_layer(_model(), node, CPU, {"sketch": "scalar", "tile": "3x9"}) is None
