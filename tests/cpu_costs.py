"""CPU seconds of each test file, including all processes of a session."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import Any

import pytest

#: The cost outside of all tests: imports, collection and session fixtures of each process.
OUTSIDE = "outside of tests"
_KEY = "cpu_costs"

#: Seconds in the processes that run tests, and in the processes that they started and awaited.
Seconds = tuple[float, float]


class CpuCosts:
    """A plugin that counts CPU seconds and prints a table at the end; it supports pytest-xdist.

    The cost of a program counts for the test that waits for its end.
    """

    def __init__(self) -> None:
        self._costs: dict[str, Seconds] = {}
        #: CPU seconds inside the tests of this process.
        self._inside = [0.0, 0.0]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        before = _now()
        try:
            return (yield)
        finally:
            now = _now()
            taken = now[0] - before[0], now[1] - before[1]
            self._inside = [self._inside[0] + taken[0], self._inside[1] + taken[1]]
            self._add(item.nodeid.partition("::")[0], taken)

    # This hook runs first: once pytest-xdist has ended, its workers count as children of this
    # process.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        own, children = _now()
        self._add(OUTSIDE, (own - self._inside[0], children - self._inside[1]))
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_KEY] = {file: list(seconds) for file, seconds in self._costs.items()}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over the counts of a worker."""
        for file, (own, children) in getattr(node, "workeroutput", {}).get(_KEY, {}).items():
            self._add(file, (own, children))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("CPU seconds: in all, here, in started programs")
        for line in table(self._costs.items()):
            terminalreporter.write_line(line)

    def _add(self, file: str, seconds: Seconds) -> None:
        known = self._costs.get(file, (0.0, 0.0))
        self._costs[file] = (known[0] + seconds[0], known[1] + seconds[1])


def table(costs: Iterable[tuple[str, Seconds]]) -> list[str]:
    """One line per file, most expensive first, and the sum."""
    ranked = sorted(costs, key=lambda entry: (-sum(entry[1]), entry[0]))
    total = [sum(column) for column in zip((0.0, 0.0), *(s for _, s in ranked), strict=True)]
    return [
        f"{sum(seconds):8.1f} {seconds[0]:8.1f} {seconds[1]:8.1f}  {file}"
        for file, seconds in [*ranked, ("total", (total[0], total[1]))]
    ]


def _now() -> Seconds:
    times = os.times()
    return times.user + times.system, times.children_user + times.children_system
