"""Settings and fixtures of all tests."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import IO, Any

import pytest

from tests.batches import batch
from tests.cpu_costs import CpuCosts
from tests.object_cache import ObjectCache
from tests.one_cpu import keep_emulators_on_one_cpu
from tests.warm_program import warm_program
from tvmtiny.host import toolchain

# Python's default thresholds spend a sixth of the test processes' time on garbage collection,
# though nearly all objects stay alive.
gc.set_threshold(1_000_000, 50, 100)

# Workers run side by side, so threads of their libraries would only wait for each other. No such
# library is loaded yet.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


class _WithoutPandas(MetaPathFinder):
    """Hide pandas, which scikit-learn and XGBoost import where it is installed.

    Importing it takes longer than all the rest of them, and no test has data frames.
    """

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("tests run without pandas", name=name)


sys.meta_path.insert(0, _WithoutPandas())

#: Files whose tests share compiled code and programs with the tests of the same batch only.
_BY_BATCH = ("tests/ops/test_three_ways.py",)
#: Groups of files whose tests share compiled code with each other, or import scikit-learn.
_SHARING = (
    ("tests/codegen/test_shadow_memory.py", "tests/codegen/test_whole_models.py"),
    (
        "tests/examples/test_example_runs.py",
        "tests/importers/test_sklearn.py",
        "tests/tuning/test_search.py",
        "tests/tuning/test_tuner.py",
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add this project's options to those of pytest."""
    parser.addoption(
        "--cpu-costs", action="store_true", help="print the CPU seconds that each file has taken"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Keep the tests of a file in one process, since they share compiled code."""
    if config.getoption("numprocesses", None) and config.getoption("dist") == "no":
        config.option.dist = "loadfile"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give one process all tests that share something, by batch, file or several files."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if file in _BY_BATCH:
                return f"{file}[{batch(test.partition('[')[2].rstrip(']'))}]"
            return next((group[0] for group in _SHARING if file in group), file)

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep bytecode in pytest's cache where it may not lie beside the sources.

    Workers and programs that tests start would compile TVM and what it imports once more each.
    Where there is no bytecode yet, one worker writes it and the others wait.

    Let tests interrupt and hang up programs, too, which shells and nohup keep from what they start
    in the background.
    """
    cache = getattr(config, "cache", None)
    if sys.dont_write_bytecode and sys.pycache_prefix is None and cache is not None:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(cache.mkdir("bytecode"))
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if cache is not None and hasattr(config, "workerinput"):
        _collect_first(Path(cache.mkdir("collected")))
    if config.getoption("cpu_costs"):
        config.pluginmanager.register(CpuCosts(), "cpu_costs")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


#: The lock of the worker that collects tests while there is no bytecode.
_collecting: list[IO[str]] = []


def _collect_first(folder: Path) -> None:
    """Let one worker collect tests, and thereby write bytecode, before the others do.

    The lock ends with the worker, so that others do not wait for one that has failed.
    """
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if (folder / "once").exists():
        lock.close()
    else:
        _collecting.append(lock)


#: The tests that start programs.
_starting: list[pytest.Item] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Exclude imported modules and collected tests from later garbage collections."""
    gc.freeze()
    _starting[:] = [i for i in session.items if "warm_programs" in getattr(i, "fixturenames", ())]
    while _collecting:
        lock = _collecting.pop()
        Path(lock.name).with_name("once").touch()
        lock.close()


def pytest_unconfigure() -> None:
    """Collect garbage now, so that pytest's own five collections have nothing to examine."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems() -> None:
    """Keep Hypothesis from work that takes seconds and changes nothing here.

    It draws constants that it finds in the sources of all loaded modules: reading them takes
    seconds in each process, and a change of any file would change the examples of tests that are
    derandomized. And it seeds and restores Python's and NumPy's global generators around each
    example: no test and no part of tvmtiny draws from them.
    """
    providers: Any = sys.modules.get("hypothesis.internal.conjecture.providers")
    if hasattr(providers, "_get_local_constants"):
        constants = providers._local_constants
        providers._get_local_constants = lambda: constants
    core: Any = sys.modules.get("hypothesis.core")
    if hasattr(core, "deterministic_PRNG"):
        core.deterministic_PRNG = nullcontext


@pytest.fixture(scope="session", autouse=True)
def _session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """Compile equal C once, run each emulator on one CPU, and fork the server of programs.

    The first two are for what tests start in their own processes. The server is forked before any
    test starts threads, if a test needs a program. All of that is one fixture that needs just one
    other, since pytest looks at them before each test.
    """
    folder = tmp_path_factory.getbasetemp()
    # Each worker has a folder in the folder of the session.
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    cache = ObjectCache(folder / "objects", toolchain.run_tool)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        cache.patch(patch)
        keep_emulators_on_one_cpu(patch)
        if _starting:
            yield stack.enter_context(warm_program(tmp_path_factory.mktemp("warm")))
        else:
            yield None


@pytest.fixture(scope="session")
def warm_programs(_session: Path) -> Path:
    """A folder with a ``tvmtiny`` and a ``python`` that start with TVM imported."""
    return _session
