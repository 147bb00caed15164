"""`tune`: measure candidates for the layers of a model on a board, and keep the best."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.codegen.names import interface_names
from tvmtiny.compiler import optimized_nodes
from tvmtiny.emulation.cycles import timed_cores
from tvmtiny.emulation.unicorn_cpu import can_emulate
from tvmtiny.errors import InputError, OutputPathError
from tvmtiny.errors.base import quoted
from tvmtiny.estimation.candidates import CandidateCosts
from tvmtiny.host.locking import locked
from tvmtiny.host.toolchain import find_tool
from tvmtiny.schedule import Goal, parse_goal
from tvmtiny.schedule.records import Record, Records, load_records, shipped_records
from tvmtiny.targets import Board, BoardLike, Target, boards, find_board
from tvmtiny.targets.architectures import find_architecture
from tvmtiny.tuning.measure import CYCLES, INSTRUCTIONS, Measurer
from tvmtiny.tuning.progress import Progress
from tvmtiny.tuning.qemu_emulation import can_emulate_in_qemu
from tvmtiny.tuning.qemu_runner import QemuRunner
from tvmtiny.tuning.runner import BoardRunner, Runner, Unit
from tvmtiny.tuning.tasks import make_tasks
from tvmtiny.tuning.tuner import Tuner
from tvmtiny.tuning.worker import Workshop, compile_candidate

if TYPE_CHECKING:
    from tvmtiny.frontend import Model
    from tvmtiny.tuning.worker import LayerCompiler

__all__ = ["METRICS", "TRIALS_FILE", "TuneResult", "tune"]

METRICS = (CYCLES, INSTRUCTIONS)

#: Name of the file of trials in an output folder.
TRIALS_FILE = "trials.jsonl"


@dataclass(frozen=True)
class TuneResult:
    """The result of a tuning run.

    Attributes
    ----------
    model, board, cpu
        Names of model, board and CPU.
    metric, goal
        Metric of the figures, and goal of the optimization.
    progress
        Figures of each layer, trials and failures at the end of the run.
    records
        Records that `tvmtiny.compile` can use because they beat the default rules.
    path
        File that contains every trial.
    weights
        Number of times that an inference runs each tuned layer, by workload key.
    """

    model: str
    board: str
    cpu: str
    metric: str
    goal: Goal
    progress: Progress
    records: tuple[Record, ...]
    path: Path
    weights: Mapping[str, int]


def tune(
    model: Model,
    board: BoardLike,
    *,
    records: str | os.PathLike[str],
    trials: int = 200,
    metric: str = CYCLES,
    optimize: Goal | str = Goal.BALANCED,
    dead_channels: bool = True,
    input_names: Sequence[str] | str | None = None,
    output_names: Sequence[str] | str | None = None,
    seed: int = 1,
    resume: bool = False,
    boards_at_once: int = 1,
    transport: str = "socket",
    url: str | None = None,
    tracker: str | None = None,
    key: str | None = None,
    wait: float = 0.0,
    repeats: int | None = None,
    workers: int = 2,
    date: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    tell: Callable[[str], None] | None = None,
    runners: Sequence[Runner] | None = None,
    compiler: LayerCompiler = compile_candidate,
) -> TuneResult:
    """Tune the layers of a model on a board.

    Parameters
    ----------
    model
        A model from `tvmtiny.load`.
    board
        A board, its name, or its file. A board that QEMU emulates is started for this run.
    records
        File to which each trial is appended when it ends.
    trials
        Number of candidates to measure, including those in the file.
    metric
        ``cycles`` or ``instructions``. Cycles are read from the board's counter or, for emulated
        boards, estimated as by `tvmtiny.profile`.
    optimize
        Goal of the optimization; see `tvmtiny.compile`, which uses records of the same goal.
    dead_channels
        As in `tvmtiny.compile`; the layers tuned are those for which it generates code.
    input_names, output_names
        As in `tvmtiny.compile`. No layer depends on these names, but names that `tvmtiny.compile`
        would reject are rejected before the search.
    seed
        Seed of the search, at least 1. A seed proposes the same candidates as long as their
        measurements are the same.
    resume
        Whether to continue from the trials of an existing file without measuring them again.
    boards_at_once
        Number of emulated boards that measure in parallel.
    transport
        Kind of port of emulated boards: ``socket`` or ``pty``.
    url
        Port of a board that was flashed with the runner; no board is started then.
    tracker, key
        Address of a TVM tracker, and key under which boards with the runner are served there.
    wait
        Seconds to wait for the tracker and the servers of its boards to come up.
    repeats
        Number of measurements of a candidate, of which the median is used. The default is 1 in
        QEMU, whose counts are deterministic, and 5 elsewhere.
    workers
        Number of processes that build candidates and estimate cycles.
    date
        Date for the provenance of the records; by default they have none.
    progress
        Called after each trial.
    tell
        Called with a short description before each step.
    runners
        Runners to use in place of boards, for tests.
    compiler
        Replacement for `tvmtiny.compiler.compile_layer`, for tests.

    Returns
    -------
    TuneResult
        The best figure of each layer, and the records that beat the default rules.

    Raises
    ------
    InputError
        An argument is invalid, the file exists and `resume` is not set, another process is writing
        the file, or no layer has any decision to tune.
    OutputPathError
        The file cannot be written.
    DeviceError, ToolMissingError, BuildError
        A board cannot be started, or is gone and cannot be recovered.
    """
    where = find_board(board)
    goal = parse_goal(optimize)
    path = Path(records)
    say = tell or (lambda _: None)
    _check(metric, trials, seed, boards_at_once, workers)
    if runners is None and url is None and tracker is None:
        # The unit of an emulated board is known before anything is built for it.
        _check_unit(where, metric, Unit.INSTRUCTIONS)
    interface_names(model.graph, input_names, output_names)
    nodes = optimized_nodes(model, dead_channels=dead_channels)
    tasks = make_tasks(nodes, where.cpu, model.oracle, goal)
    if not tasks:
        raise InputError(f"no layer of {model.name} has anything to tune on {where.cpu.name}")
    with ExitStack() as stack:
        stack.enter_context(locked(path))
        earlier = _earlier(path, resume)
        if runners is None:
            runners = []
            for number in range(boards_at_once):
                say(f"starting board {number + 1} of {boards_at_once}")
                runner = _runner(where, transport, url, tracker, key, repeats, wait)
                stack.callback(runner.close)
                runners.append(runner)
        regions = {runner.region for runner in runners}
        if len(regions) != 1:
            raise InputError(
                "boards that measure together need identical firmware; flash them with the same "
                "build"
            )
        units = {runner.unit for runner in runners}
        if len(units) != 1:
            raise InputError("boards that measure together need the same metric")
        unit = units.pop()
        _check_unit(where, metric, unit)
        _check_earlier(path, earlier, where, metric, _figure(metric, unit))
        provenance = _provenance(model, where, _figure(metric, unit), date)
        workshop = Workshop(model, nodes, Target(where.cpu, where), goal, regions.pop(), compiler)
        say("tuning")
        costs = CandidateCosts.of(model, workshop.target, goal)
        # A replacement for the compiler generates all code.
        known = costs.artifact if costs is not None and compiler is compile_candidate else None
        measurer = stack.enter_context(Measurer(workshop, tasks, runners, metric, workers, known))
        tuner = Tuner(
            tasks,
            measurer,
            cpu=where.cpu.name,
            metric=metric,
            goal=goal,
            trials=trials,
            seed=seed,
            path=path,
            provenance=provenance,
            earlier=earlier.records,
            progress=progress,
            hints=[record for record in shipped_records() if record.goal is goal],
            estimate=costs,
        )
        final = tuner.run()
        used = _used(path, where.cpu.name, metric, goal)
    return TuneResult(
        model.name,
        where.name,
        where.cpu.name,
        metric,
        goal,
        final,
        used,
        path,
        {task.space.workload.key: task.weight for task in tasks},
    )


def _used(path: Path, cpu: str, metric: str, goal: Goal) -> tuple[Record, ...]:
    """Return the records of the file that `tvmtiny.compile` can use."""
    return tuple(
        record
        for record in load_records(path).useful()
        if (record.cpu, record.metric, record.goal) == (cpu, metric, goal)
    )


def _check(metric: str, trials: int, seed: int, boards_at_once: int, workers: int) -> None:
    if metric not in METRICS:
        raise InputError(f"there is no metric {quoted(metric)}; known: {', '.join(METRICS)}")
    for name, number in (
        ("trials", trials),
        ("seed", seed),
        ("boards at once", boards_at_once),
        ("workers", workers),
    ):
        if number < 1:
            raise InputError(f"{name} cannot be {number}; give 1 or more")


def _check_unit(board: Board, metric: str, unit: Unit) -> None:
    """Raise if a metric cannot be derived from the unit that a runner measures."""
    if metric == INSTRUCTIONS and unit is not Unit.INSTRUCTIONS:
        raise InputError(
            f"{board.name} counts {unit.value}, and only an emulator counts instructions; tune for "
            "cycles"
        )
    if metric == INSTRUCTIONS or unit is Unit.CYCLES:
        return
    if not _can_estimate(board):
        known = [name for name, other in boards().items() if _can_estimate(other)]
        raise InputError(
            f"cycles of {board.cpu.name} cannot be estimated; tune {board.name} for instructions, "
            f"or one of {', '.join(known)} for cycles"
        )


def _can_estimate(board: Board) -> bool:
    emulated = can_emulate(board.cpu) or can_emulate_in_qemu(board)
    return emulated and board.cpu.name in timed_cores()


def _check_earlier(path: Path, earlier: Records, board: Board, metric: str, figure: str) -> None:
    """Raise if earlier figures were obtained in another way than those of this run."""
    for record in earlier:
        found = record.provenance.get("figure", figure)
        if (record.cpu, record.metric) == (board.cpu.name, metric) and found != figure:
            raise InputError(
                f"the {metric} in {path} are {found}, but new ones would be {figure}; give another "
                "path"
            )


def _earlier(path: Path, resume: bool) -> Records:
    try:
        exists = path.exists() and path.stat().st_size > 0
    except OSError as error:
        raise OutputPathError(str(path), error.strerror or str(error)) from error
    if not exists:
        return Records()
    if not resume:
        raise InputError(f"{path} already has trials; continue with --resume, or give another path")
    return load_records(path)


def _runner(
    board: Board,
    transport: str,
    url: str | None,
    tracker: str | None,
    key: str | None,
    repeats: int | None,
    wait: float,
) -> Runner:
    if (tracker is None) != (key is None):
        raise InputError("a tracker needs the key of boards there, and a key a tracker; give both")
    if tracker is not None and key is not None:
        return BoardRunner.at_tracker(tracker, key, repeats, wait)
    if url is not None:
        return BoardRunner.at_port(url, repeats)
    return QemuRunner(board, transport, repeats)


def _figure(metric: str, unit: Unit) -> str:
    """Describe how figures are obtained, for the records."""
    if metric == INSTRUCTIONS:
        return "counted by QEMU"
    return "measured on the board" if unit is Unit.CYCLES else "estimated from the core's manual"


def _provenance(model: Model, board: Board, figure: str, date: str | None) -> dict[str, str]:
    """Describe the origin of a record; no entry except the date varies between equal runs."""
    compiler = find_architecture(board.cpu.architecture).compiler
    version = subprocess.run(
        [find_tool(compiler), "-dumpfullversion"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    ).stdout.strip()
    found = {
        "tvmtiny": importlib.metadata.version("tvmtiny"),
        "tvm": importlib.metadata.version("apache-tvm"),
        "compiler": f"{compiler.name} {version}",
        "board": board.name,
        "model": model.name,
        "figure": figure,
    }
    return found if date is None else {**found, "date": date}
