"""The table of CPU seconds includes the programs and workers that tests start."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cpu_costs import OUTSIDE, CpuCosts, table

_WORK = "import time\nbegin = time.process_time()\nwhile time.process_time() < begin + 0.05: pass"


def run(costs: CpuCosts, file: str, program: bool) -> None:
    item: Any = SimpleNamespace(nodeid=f"{file}::test[x::y]")
    around = costs.pytest_runtest_protocol(item)
    next(around)
    if program:
        subprocess.run([sys.executable, "-S", "-c", _WORK], check=True)
    else:
        exec(_WORK)
    with pytest.raises(StopIteration):
        around.send(None)


def finish(costs: CpuCosts) -> dict[str, Any]:
    output: dict[str, Any] = {}
    costs.pytest_sessionfinish(SimpleNamespace(config=SimpleNamespace(workeroutput=output)))  # type: ignore[arg-type]
    return output


def test_workers_give_what_tests_took() -> None:
    worker, controller = CpuCosts(), CpuCosts()
    run(worker, "tests/test_a.py", program=False)
    run(worker, "tests/test_b.py", program=True)
    output = finish(worker)
    for _ in range(2):
        controller.pytest_testnodedown(SimpleNamespace(workeroutput=output))
    controller.pytest_testnodedown(SimpleNamespace())
    found = dict(controller._costs)
    assert set(found) == {"tests/test_a.py", "tests/test_b.py", OUTSIDE}
    assert found["tests/test_a.py"][0] > 0.05 and found["tests/test_a.py"][1] == 0.0
    assert found["tests/test_b.py"][1] > 0.05
    assert found[OUTSIDE][0] > 0.0


def test_the_table() -> None:
    costs = {"tests/a.py": (1.0, 0.25), "tests/b.py": (0.5, 2.0), OUTSIDE: (0.25, 0.0)}
    assert table(costs.items()) == [
        "     2.5      0.5      2.0  tests/b.py",
        "     1.2      1.0      0.2  tests/a.py",
        "     0.2      0.2      0.0  outside of tests",
        "     4.0      1.8      2.2  total",
    ]
