"""Trials: build a candidate, run it, compare its outputs, and determine its figure."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cloudpickle
from tvm.support.popen_pool import PopenPoolExecutor

from tvmtiny.host.closing import Closing
from tvmtiny.host.files import write_bytes
from tvmtiny.host.unfinished import remove, work_folder_for
from tvmtiny.schedule.records import Status
from tvmtiny.tuning import worker
from tvmtiny.tuning.emulation import Emulation
from tvmtiny.tuning.runner import CandidateError, Execution, Runner, Unit
from tvmtiny.tuning.tasks import Task, layer_inputs, reference_outputs, same_outputs

if TYPE_CHECKING:
    import numpy as np

    from tvmtiny.codegen import Artifact
    from tvmtiny.ops import Node
    from tvmtiny.schedule import Decisions
    from tvmtiny.tuning.candidate_program import Image
    from tvmtiny.tuning.worker import Workshop

__all__ = ["CYCLES", "INSTRUCTIONS", "Measurer", "Trial"]

INSTRUCTIONS = "instructions"
CYCLES = "cycles"

#: Time limit of a candidate relative to the slowest run so far, and least time limit in seconds, so
#: that a busy host is not mistaken for an endless loop.
_PATIENCE, _LEAST_SECONDS = 20.0, 2.0

#: Time limit for building or estimating, in seconds.
_WORKER_SECONDS = 120.0


@dataclass(frozen=True)
class Trial:
    """The result of measuring a candidate.

    Attributes
    ----------
    task
        Position of the task.
    decisions
        The candidate.
    status
        None if the decisions are not valid for the layer, which does not count as a trial.
    figure
        Figure in the unit of the metric; None unless `status` is ``ok``.
    flash_bytes, workspace_bytes
        See `tvmtiny.schedule.records.Record`.
    log
        Reason for a failure.
    """

    task: int
    decisions: Decisions
    status: Status | None
    figure: float | None = None
    flash_bytes: int | None = None
    workspace_bytes: int | None = None
    log: str = ""


class Measurer(Closing):
    """Measure candidates, several at a time.

    Parameters
    ----------
    workshop
        Data shared by all builds.
    tasks
        Tasks whose candidates are measured.
    runners
        At least one runner; each runs one candidate at a time. They are closed at the end.
    metric
        ``instructions`` or ``cycles``; cycles are estimated if the runners do not count them.
    workers
        Number of processes that build candidates and estimate cycles.
    artifact
        Returns the code of a layer's candidate if it is known; workers generate the rest.

    Notes
    -----
    The measurer is a context manager. MetaSchedule's own loop builds a batch, waits until all of it
    is built, and then runs it. Here, a candidate runs while others are being built, so that no
    processor is idle.
    """

    def __init__(
        self,
        workshop: Workshop,
        tasks: Sequence[Task],
        runners: Sequence[Runner],
        metric: str,
        workers: int = 2,
        artifact: Callable[[Node, Decisions], Artifact | None] | None = None,
    ) -> None:
        self._workshop = workshop
        self._artifact = artifact or (lambda *_: None)
        self._tasks = tasks
        self._runners = tuple(runners)
        self._estimates = metric == CYCLES and any(r.unit is not Unit.CYCLES for r in runners)
        self._free: queue.Queue[Runner] = queue.Queue()
        for runner in runners:
            self._free.put(runner)
        self._directory = work_folder_for("tune")
        self._path = self._directory / "workshop"
        write_bytes(self._path, cloudpickle.dumps(workshop))
        self._numbers = itertools.count()
        self._slowest = 0.0
        self._known: dict[tuple[int, str], Trial] = {}
        self._references: dict[int, tuple[list[bytes], list[np.ndarray]]] = {}
        self._pool = PopenPoolExecutor(
            max_workers=workers, timeout=_WORKER_SECONDS, initializer=worker.prepare
        )
        # One more than can be built and run at the same time, so that another is always ready.
        self.parallel = workers + len(self._runners) + 1
        self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="trial")

    def submit(self, task: Task, decisions: Decisions) -> Future[Trial]:
        """Start to measure a candidate.

        The future raises `TvmtinyError` if a runner is gone and could not be recovered.
        """
        artifact = self._artifact(task.node, decisions)
        return self._threads.submit(self._measure, task, decisions, artifact)

    def close(self) -> None:
        """Stop, abandoning measurements in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False)
        for runner in self._runners:
            runner.close()
        self._threads.shutdown(wait=True)
        remove(self._directory)

    def _measure(self, task: Task, decisions: Decisions, artifact: Artifact | None) -> Trial:
        directory = self._directory / f"candidate-{next(self._numbers)}"
        position = self._workshop.nodes.index(task.node)
        try:
            built: worker.Built = self._in_process(
                worker.build_candidate, self._path, position, decisions, directory, artifact
            )
        except (TimeoutError, ChildProcessError) as error:
            log = f"the build did not end ({type(error).__name__})"
            return Trial(task.position, decisions, Status.COMPILE_ERROR, log=log)

        def trial(status: Status | None, log: str = "", figure: float | None = None) -> Trial:
            return Trial(
                task.position,
                decisions,
                status,
                figure,
                built.flash_bytes,
                built.workspace_bytes,
                log,
            )

        if built.image is None:
            return trial(built.status, built.log)
        known = self._known.get((task.position, built.code))
        if known is not None:
            return replace(known, decisions=decisions)
        done = self._run_and_compare(task, built.image, trial)
        if done.status is Status.OK:
            self._known[task.position, built.code] = done
        return done

    def _run_and_compare(self, task: Task, image: Image, trial: Callable[..., Trial]) -> Trial:
        inputs, expected = self._reference(task)
        try:
            execution = self._run(image, inputs, expected)
        except CandidateError as error:
            return trial(error.status, str(error))
        for outputs in execution.outputs or ():
            difference = same_outputs(outputs, expected)
            if difference is not None:
                return trial(Status.WRONG_RESULT, difference)
        if not self._estimates:
            return trial(Status.OK, figure=execution.count)
        return self._estimate(image, inputs, expected, trial)

    def _reference(self, task: Task) -> tuple[list[bytes], list[np.ndarray]]:
        if task.position not in self._references:
            arrays = layer_inputs(task.node)
            expected = reference_outputs(task.node, arrays, self._workshop.model.oracle)
            self._references[task.position] = ([a.tobytes() for a in arrays], expected)
        return self._references[task.position]

    def _run(
        self, image: Image, inputs: Sequence[bytes], expected: Sequence[np.ndarray]
    ) -> Execution:
        seconds = max(_LEAST_SECONDS, _PATIENCE * self._slowest)
        runner = self._free.get()
        begin = time.monotonic()
        try:
            execution = runner.run(image, inputs, [e.tobytes() for e in expected], seconds)
        finally:
            self._free.put(runner)
        self._slowest = max(self._slowest, time.monotonic() - begin)
        return execution

    def _estimate(
        self,
        image: Image,
        inputs: Sequence[bytes],
        expected: Sequence[np.ndarray],
        trial: Callable[..., Trial],
    ) -> Trial:
        try:
            found: Emulation | tuple[Status, str] = self._in_process(
                worker.estimate, self._path, image, inputs, _WORKER_SECONDS / 2
            )
        except (TimeoutError, ChildProcessError) as error:
            return trial(Status.TIMEOUT, f"the estimate did not end ({type(error).__name__})")
        if not isinstance(found, Emulation):
            return trial(*found)
        difference = same_outputs(found.outputs, expected)
        if difference is not None:
            return trial(Status.WRONG_RESULT, f"where cycles are estimated: {difference}")
        return trial(Status.OK, figure=found.estimated_cycles)

    def _in_process(self, function: Callable[..., Any], *arguments: object) -> Any:
        return self._pool.submit(function, *arguments).result()
