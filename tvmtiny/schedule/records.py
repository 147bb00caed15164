"""Tuned records: candidates that were tried for a layer, and their results.

A file holds one JSON object per line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tvmtiny.errors import InputError, OutputPathError
from tvmtiny.errors.base import quoted
from tvmtiny.resources import shipped
from tvmtiny.schedule.implementation import FLASH_WEIGHT, Decisions, Goal
from tvmtiny.schedule.workload import Workload

#: Version of the fields in a line.
FORMAT_VERSION = 1

#: Units of figures, the most trustworthy one for `Records.ranked` first.
METRICS = ("cycles", "instructions")

#: CPUs without records of their own use those of another CPU whose kernels are the same.
FALLBACK_CPUS: Mapping[str, str] = {"cortex-m33": "cortex-m4"}


class Status(str, Enum):
    """The outcome of a trial."""

    OK = "ok"
    COMPILE_ERROR = "compile error"
    LINK_ERROR = "link error"
    TOO_BIG = "too big"
    CRASH = "crash"
    TIMEOUT = "timeout"
    WRONG_RESULT = "wrong result"


@dataclass(frozen=True)
class Record:
    """The record of a trial.

    Attributes
    ----------
    workload, cpu
        The layer and the CPU.
    metric
        Unit of `figure`, which is for one execution: ``cycles`` or ``instructions``.
    goal
        Goal of the default rule that `default_figure` belongs to; the record only serves this goal.
    decisions
        The candidate, as `tvmtiny.schedule.Space` yields it.
    status
        The outcome; only an ``ok`` trial has a figure.
    figure, default_figure
        Figures of the candidate, and of the default rule's choice on the same board; None if
        unknown.
    flash_bytes, default_flash_bytes
        Bytes of code and constants of the layer alone; None if unknown.
    workspace_bytes
        Bytes of the arena that only this layer uses; None if unknown.
    log
        An excerpt of the output of the compiler or the board.
    provenance
        The tools that made the record: versions of tvmtiny, TVM and the C compiler, and the board.
        A date is included only if the user gave one.
    """

    workload: Workload
    cpu: str
    metric: str
    decisions: Decisions
    status: Status
    goal: Goal = Goal.BALANCED
    figure: float | None = None
    default_figure: float | None = None
    flash_bytes: int | None = None
    default_flash_bytes: int | None = None
    workspace_bytes: int | None = None
    log: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields for ``json``; `from_json` reverses this."""
        return {
            "version": FORMAT_VERSION,
            **vars(self),
            "workload": self.workload.to_json(),
            "decisions": dict(self.decisions),
            "status": self.status.value,
            "goal": self.goal.value,
            "provenance": dict(self.provenance),
        }

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Record:
        """Make a record from the fields that `to_json` returns.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `fields` are not those of a record of this version.
        """
        if fields["version"] != FORMAT_VERSION:
            raise ValueError(f"version {fields['version']}, not {FORMAT_VERSION}")
        metric = str(fields["metric"])
        if metric not in METRICS:
            raise ValueError(f"no metric {metric!r}")
        decisions = {str(name): _choice(value) for name, value in fields["decisions"].items()}
        return Record(
            Workload.from_json(fields["workload"]),
            str(fields["cpu"]),
            metric,
            decisions,
            Status(fields["status"]),
            Goal(fields["goal"]),
            _number(fields.get("figure")),
            _number(fields.get("default_figure")),
            _number(fields.get("flash_bytes")),
            _number(fields.get("default_flash_bytes")),
            _number(fields.get("workspace_bytes")),
            str(fields.get("log", "")),
            {str(name): str(value) for name, value in fields.get("provenance", {}).items()},
        )

    def to_line(self) -> str:
        """Return the record as one line of a file, without the line's end."""
        return json.dumps(self.to_json(), separators=(",", ":"))

    @property
    def merit(self) -> float:
        """Merit for the record's goal; less is better, and the default rule has 1.

        It combines the ratios of figure and flash to those of the default rule, with the weights
        of the default rules.
        """
        if self.status is not Status.OK or not self.figure or not self.default_figure:
            return float("inf")
        weight = FLASH_WEIGHT[self.goal]
        flash = 1.0
        if self.flash_bytes and self.default_flash_bytes:
            flash = self.flash_bytes / self.default_flash_bytes
        return (self.figure / self.default_figure + weight * flash) / (1 + weight)


@dataclass(frozen=True)
class Records:
    """Records of one or more files.

    Attributes
    ----------
    records
        Records in the order of the files' names, and of the lines in each file.
    dropped
        A message for each line that is no record.
    """

    records: tuple[Record, ...] = ()
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @cached_property
    def _cpus(self) -> frozenset[str]:
        return frozenset(record.cpu for record in self.records)

    def concern(self, cpu: str) -> bool:
        """Return whether `ranked` returns any records for `cpu`, at least for some workload."""
        return not self._cpus.isdisjoint((cpu, FALLBACK_CPUS.get(cpu, cpu)))

    def ranked(self, workload: Workload, cpu: str, goal: Goal) -> tuple[Record, ...]:
        """Return the records that beat the default rule, the best first; ties keep their order.

        Figures of different metrics are not compared: only records of the first of `METRICS` with
        any records count. A CPU without records uses those of `FALLBACK_CPUS`.
        """
        for name in (cpu, FALLBACK_CPUS.get(cpu)):
            for metric in METRICS:
                found = [
                    record
                    for record in self._by_key.get(workload, ())
                    if (record.cpu, record.metric, record.goal) == (name, metric, goal)
                    and record.status is Status.OK
                ]
                if found:
                    better = [record for record in found if record.merit < 1]
                    return tuple(sorted(better, key=lambda record: record.merit))
        return ()

    def of_metric(self, metric: str) -> Records:
        """Return the records of one metric."""
        return Records(tuple(r for r in self.records if r.metric == metric), self.dropped)

    def best(self, workload: Workload, cpu: str, goal: Goal) -> Record | None:
        """Return the first record of `ranked`, or None."""
        return next(iter(self.ranked(workload, cpu, goal)), None)

    def useful(self) -> Records:
        """Return the records worth shipping, by layer, CPU, metric and goal, the best first.

        These are the records that beat the default rule, without those for which another record is
        at least as good in both merit and workspace.
        """
        groups: dict[tuple[object, ...], list[Record]] = {}
        for record in self.records:
            if record.merit < 1:
                key = (record.workload, record.cpu, record.metric, record.goal)
                groups.setdefault(key, []).append(record)
        kept = []
        for found in groups.values():
            least: float = float("inf")
            for record in sorted(found, key=lambda record: record.merit):
                workspace = record.workspace_bytes or 0
                if workspace < least:
                    least = workspace
                    kept.append(record)
        return Records(tuple(kept))

    @property
    def _by_key(self) -> Mapping[Workload, tuple[Record, ...]]:
        index = self.__dict__.get("_index")
        if index is None:
            lists: dict[Workload, list[Record]] = {}
            for record in self.records:
                lists.setdefault(record.workload, []).append(record)
            index = {key: tuple(found) for key, found in lists.items()}
            self.__dict__["_index"] = index
        return index


#: Value for `tvmtiny.compile` that selects the default rules only.
NO_RECORDS = Records()


def load_records(path: str | os.PathLike[str]) -> Records:
    """Read a file of records, or all ``*.jsonl`` files below a folder.

    A line that is no record, such as a last line that was cut off when the machine stopped, is
    skipped and reported in `Records.dropped`.

    Raises
    ------
    InputError
        If there is no such file or folder, or it cannot be read.
    """
    place = Path(path)
    files = sorted(place.rglob("*.jsonl")) if place.is_dir() else [place]
    records: list[Record] = []
    dropped: list[str] = []
    for file in files:
        try:
            lines = file.read_bytes().split(b"\n")
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"cannot read the records {file}: {reason}; give a file or a folder of records, or "
                "none to use no records"
            ) from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                records.append(Record.from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                torn = "torn" if number == len(lines) else "not a record"
                dropped.append(f"{file}:{number}: {torn}, left out ({error})")
    return Records(tuple(records), tuple(dropped))


@cache
def shipped_records() -> Records:
    """Return the records that tvmtiny ships: ``schedules/<cpu>/*.jsonl``."""
    folder = shipped("schedules")
    return load_records(folder) if folder.is_dir() else NO_RECORDS


#: Metric of the shipped records that are used by default. An emulator counts instructions exactly,
#: but only estimates cycles, on which no default should rest.
SHIPPED_METRIC = "instructions"


def find_records(
    given: Records | str | os.PathLike[str] | None, tuned_for: str | None = None
) -> Records:
    """Return the records that options select.

    Parameters
    ----------
    given
        A file, a folder, or ``none``; by default the shipped records.
    tuned_for
        The metric of the records. By default all records of `given`, or the shipped records of
        `SHIPPED_METRIC`.

    Raises
    ------
    InputError
        If there is no such file or folder, it cannot be read, or there is no such metric.
    """
    if tuned_for is not None and tuned_for not in METRICS:
        raise InputError(
            f"there are no records tuned for {quoted(tuned_for)}; give {' or '.join(METRICS)}"
        )
    if given is None:
        return shipped_records().of_metric(tuned_for or SHIPPED_METRIC)
    if isinstance(given, Records):
        found = given
    else:
        found = NO_RECORDS if given == "none" else load_records(given)
    return found if tuned_for is None else found.of_metric(tuned_for)


def append_record(path: str | os.PathLike[str], record: Record) -> None:
    """Append `record` to a file and flush it to the disk; the file is created if missing.

    Raises
    ------
    OutputPathError
        If the file cannot be written.
    """
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            # A torn line is ended first, so that it does not spoil the new record.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            line = b"\n" * torn + record.to_line().encode() + b"\n"
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputPathError(str(file), error.strerror or str(error)) from error


def _choice(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"a decision must be a number or a word, not {value!r}")
    return value


def _number(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"not a number: {value!r}")
    return value
