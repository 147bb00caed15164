"""Benchmark several models on several boards, beside figures of other engines."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmtiny.checking import check
from tvmtiny.compiler import compile
from tvmtiny.errors import InputDataError, TvmtinyError
from tvmtiny.importers import load
from tvmtiny.inputs import make_inputs
from tvmtiny.report.firmware import built_firmware
from tvmtiny.report.peers import PeerFigures, measured, peers_of
from tvmtiny.report.profile import DEFAULT_TIMEOUT, can_profile, profile_firmware
from tvmtiny.results import FlashSizes
from tvmtiny.running import run_firmware
from tvmtiny.targets import Board, Target

if TYPE_CHECKING:
    import os

    from tvmtiny.codegen import Artifact
    from tvmtiny.frontend import Model
    from tvmtiny.results import RunResult

__all__ = ["BenchOptions", "BenchResult", "Figures", "bench", "bench_summary", "read_earlier"]


@dataclass(frozen=True)
class BenchOptions:
    """Options for compiling and running the models.

    Attributes
    ----------
    inputs
        Kind of input; see `tvmtiny.make_inputs`.
    check
        Whether to compare every layer with the oracle.
    estimate
        Whether to estimate cycles, which executes the firmware again.
    timeout
        Time limit of each run in seconds of host time.
    oracle
        Name of the oracle; see `tvmtiny.load`.
    compile
        Keyword arguments of `tvmtiny.compile`.
    """

    inputs: str = "ramp"
    check: bool = False
    estimate: bool = True
    timeout: float = DEFAULT_TIMEOUT
    oracle: str = "litert"
    compile: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Figures:
    """The figures of a model on a board.

    Attributes
    ----------
    macs
        Multiply-accumulate operations of an inference.
    instructions
        Instructions of an inference, counted by QEMU.
    estimated_cycles
        Estimated cycles; None if not requested, or if the board cannot be profiled.
    instructions_per_mac, cycles_per_mac
        None without multiplications; cycles are estimated.
    arena_bytes, static_ram_bytes, stack_bytes, flash
        See `tvmtiny.results.RunResult`.
    exact
        Whether every layer equals that of the oracle; None if not compared.
    """

    macs: int
    instructions: int
    estimated_cycles: int | None
    instructions_per_mac: float | None
    cycles_per_mac: float | None
    arena_bytes: int
    static_ram_bytes: int
    stack_bytes: int
    flash: FlashSizes
    exact: bool | None


@dataclass(frozen=True, eq=False)
class BenchResult:
    """The result of a model on a board.

    Attributes
    ----------
    figures
        None if the benchmark failed.
    error
        The failure, or the mismatch of results; None if there is none.
    peers
        Figures of other engines, fewest instructions first.
    """

    model: str
    board: str
    cpu: str
    figures: Figures | None
    error: TvmtinyError | None
    peers: tuple[PeerFigures, ...]


def bench(
    models: Sequence[str | os.PathLike[str]],
    boards: Sequence[Board],
    options: BenchOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[BenchResult, ...]:
    """Run every model on every board.

    Parameters
    ----------
    models
        Paths of .tflite files.
    boards
        At least one board.
    progress
        Called with a short description before each step.

    Returns
    -------
    tuple of BenchResult
        Results by model, then by board. A failure with one of tvmtiny's errors is recorded as a
        result, and the remaining models and boards are still measured.
    """
    options = options or BenchOptions()
    tell = progress or (lambda _: None)
    results = []
    for path, board in itertools.product(models, boards):
        name = Path(path).stem
        tell(f"{name} on {board.name}")
        figures, error = None, None
        try:
            figures, error = _measure(path, board, options)
        except TvmtinyError as failure:
            error = failure
        peers = peers_of(name, board.cpu.name)
        results.append(BenchResult(name, board.name, board.cpu.name, figures, error, peers))
    return tuple(results)


def _measure(
    path: str | os.PathLike[str], board: Board, options: BenchOptions
) -> tuple[Figures, TvmtinyError | None]:
    model = load(path, oracle=options.oracle)
    artifact = compile(model, Target(board.cpu, board), **(options.compile or {}))
    inputs = make_inputs(options.inputs, artifact.inputs)
    with built_firmware(artifact, board) as firmware:
        result = run_firmware(firmware, inputs, options.timeout)
        cycles = None
        if options.estimate and can_profile(board):
            found = profile_firmware(firmware, inputs, options.timeout, result)
            cycles = found.total.estimated_cycles
    error = _difference(model, artifact, result, inputs) if options.check else None
    macs = artifact.macs
    # Always known for firmware that was built by this process.
    assert result.static_ram_bytes is not None and result.flash is not None
    figures = Figures(
        macs,
        result.instructions,
        cycles,
        result.instructions / macs if macs else None,
        cycles / macs if macs and cycles is not None else None,
        result.arena_bytes,
        result.static_ram_bytes,
        result.stack_bytes,
        result.flash,
        error is None if options.check else None,
    )
    return figures, error


def _difference(
    model: Model, artifact: Artifact, result: RunResult, inputs: Sequence[Any]
) -> TvmtinyError | None:
    checked = check(model, artifact, result, inputs)
    try:
        if not checked.exact:
            checked.raise_mismatch()
    except TvmtinyError as error:
        return error
    return None


def bench_summary(
    results: Sequence[BenchResult], earlier: Mapping[tuple[str, str], int] | None = None
) -> dict[str, Any]:
    """Summarize results for ``--json``.

    Parameters
    ----------
    earlier
        Instructions of an earlier benchmark by model and board; see `read_earlier`.
    """
    entries = []
    for result in results:
        entry: dict[str, Any] = {
            "model": result.model,
            "board": result.board,
            "cpu": result.cpu,
            **(asdict(result.figures) if result.figures is not None else {}),
            "error": None if result.error is None else str(result.error),
            "peers": [asdict(peer) for peer in result.peers],
        }
        if earlier is not None:
            entry["earlier_instructions"] = earlier.get((result.model, result.board))
        entries.append(entry)
    return {"results": entries, "peers_measured": measured()}


def read_earlier(path: str | os.PathLike[str]) -> Mapping[tuple[str, str], int]:
    """Read instructions by model and board from the output of ``bench --json``.

    Raises
    ------
    InputDataError
        The file cannot be read or has other content.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))["results"]
        return {
            (entry["model"], entry["board"]): int(entry["instructions"])
            for entry in entries
            if "instructions" in entry
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not the output of tvmtiny bench --json"
        raise InputDataError(
            str(path), str(reason), "a file written with tvmtiny bench --json", str(path)
        ) from error
