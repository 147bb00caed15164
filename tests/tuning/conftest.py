"""The layers of a small model, and a measurer that needs neither compiler nor board."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tvmtiny
from tvmtiny import models
from tvmtiny.compiler import optimized_nodes
from tvmtiny.schedule import Goal, decisions_key
from tvmtiny.schedule.records import Status
from tvmtiny.targets import resolve
from tvmtiny.tuning import measure
from tvmtiny.tuning.measure import Trial
from tvmtiny.tuning.search import RandomSearch
from tvmtiny.tuning.tasks import make_tasks
from tvmtiny.tuning.tuner import Tuner

KINDS = tuple(status for status in Status if status is not Status.OK)


class FakeMeasurer:
    """A measurer that answers at once; figures and failures follow from the decisions alone."""

    parallel = 3

    def __init__(self, failing: int = 0) -> None:
        self.failing = failing
        self.asked: list[tuple[int, str]] = []

    def submit(self, task, decisions) -> Future[Trial]:
        self.asked.append((task.position, decisions_key(decisions)))
        future: Future[Trial] = Future()
        future.set_result(self.trial(task, decisions))
        return future

    def trial(self, task, decisions) -> Trial:
        number = zlib.crc32(f"{task.position} {decisions_key(decisions)}".encode())
        default = decisions == task.space.default
        if self.failing and number % self.failing == 0 and not default:
            kind = KINDS[number // self.failing % len(KINDS)]
            return Trial(task.position, decisions, kind, log=f"it was a {kind.value}")
        figure = 1000.0 * (task.position + 1) + number % 997
        return Trial(task.position, decisions, Status.OK, figure, 100, 0)


@pytest.fixture(scope="session")
def digits() -> Any:
    return tvmtiny.load(models.path("digits"))


@pytest.fixture(scope="session")
def nodes(digits) -> Any:
    return optimized_nodes(digits)


@pytest.fixture(scope="session")
def tasks(digits, nodes) -> Any:
    return make_tasks(nodes, resolve("cortex-m4").cpu, digits.oracle, Goal.BALANCED)


def random_searches(tasks) -> list[RandomSearch]:
    """Searches without measurements, for tests where the measured figures do not matter."""
    return [RandomSearch(task.space, seed) for seed, task in enumerate(tasks)]


@pytest.fixture
def make_tuner(tasks, tmp_path) -> Callable[..., Tuner]:
    def make(measurer: Any, trials: int, path: Path | None = None, **more: Any) -> Tuner:
        return Tuner(
            more.pop("tasks", tasks),
            measurer,
            cpu="cortex-m4",
            metric="cycles",
            goal=Goal.BALANCED,
            trials=trials,
            seed=more.pop("seed", 1),
            path=path or tmp_path / "trials.jsonl",
            provenance={"board": "none"},
            **more,
        )

    return make


class _Here(ThreadPoolExecutor):
    """A substitute for build processes, which import TVM before they build anything."""

    def __init__(self, max_workers: int, timeout: float, initializer: object) -> None:
        super().__init__(max_workers)


@pytest.fixture
def built_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build candidates in this process, for tests in which no candidate crashes or hangs."""
    monkeypatch.setattr(measure, "PopenPoolExecutor", _Here)
