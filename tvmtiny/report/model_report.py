"""Collect everything about a model on one or two boards, or with two sets of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tvmtiny.checking import CheckResult, check
from tvmtiny.codegen import Artifact
from tvmtiny.compiler import compile
from tvmtiny.emulation.unicorn_cpu import can_emulate
from tvmtiny.errors import InputError
from tvmtiny.frontend import Model
from tvmtiny.report.firmware import built_firmware
from tvmtiny.report.memory import MemoryReport, memory_report
from tvmtiny.report.profile import Profile, can_profile, profile_firmware
from tvmtiny.report.profile_tables import profile_summary
from tvmtiny.report.summary import run_summary
from tvmtiny.results import RunResult
from tvmtiny.running import run_firmware
from tvmtiny.targets import Board

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ModelReport",
    "Variant",
    "VariantReport",
    "model_report",
    "model_report_summary",
    "variants",
]

#: Limit on the columns of a report, beyond which a comparison is unreadable.
MOST_VARIANTS = 2

#: Host seconds after which a run or an emulation counts as hung.
DEFAULT_TIMEOUT = 600.0


@dataclass(frozen=True)
class Variant:
    """A column of a report.

    Attributes
    ----------
    label
        Label that distinguishes the column from the other one.
    board
        Board to run on.
    options
        Keyword arguments of `tvmtiny.compile`.
    """

    label: str
    board: Board
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class VariantReport:
    """The results of one variant.

    Attributes
    ----------
    variant
        The variant that was measured.
    artifact
        The generated code.
    run
        Result of an inference on the board.
    checked
        Comparison of that inference with the oracle.
    profile
        Profile by layer; None on boards that cannot be profiled.
    memory
        The arena over time.
    """

    variant: Variant
    artifact: Artifact
    run: RunResult
    checked: CheckResult
    profile: Profile | None
    memory: MemoryReport


@dataclass(frozen=True, eq=False)
class ModelReport:
    """A model and the results of its variants.

    Attributes
    ----------
    model
        Name of the model.
    oracle
        Name of the oracle that results are compared with.
    variants
        One or two variants.
    """

    model: str
    oracle: str
    variants: tuple[VariantReport, ...]


def variants(
    boards: Sequence[Board], goals: Sequence[str], options: Mapping[str, Any]
) -> tuple[Variant, ...]:
    """Combine every board with every optimization goal.

    Parameters
    ----------
    boards, goals
        At least one of each. Labels name the board or the goal, whichever varies.
    options
        Other non-default options of `tvmtiny.compile`, common to all variants.

    Raises
    ------
    InputError
        There are more than two combinations.
    """
    count = len(boards) * len(goals)
    if count > MOST_VARIANTS:
        raise InputError(
            f"{len(boards)} boards with {len(goals)} optimization goals make {count} columns; a "
            f"report compares at most {MOST_VARIANTS}: give two boards or two goals"
        )
    return tuple(
        Variant(goal if len(goals) > 1 else board.name, board, {**options, "optimize": goal})
        for board in boards
        for goal in goals
    )


def model_report(
    model: Model,
    wanted: Sequence[Variant],
    inputs: Sequence[np.ndarray],
    *,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Callable[[str], None] | None = None,
) -> ModelReport:
    """Compile, build, run, check, profile and plan each variant.

    Parameters
    ----------
    inputs
        One array for each input of the model.
    timeout
        Time limit of each run in seconds of host time.
    progress
        Called with a short description before each step.

    Raises
    ------
    TvmtinyError
        Raised as by `tvmtiny.compile`, `tvmtiny.run` and `profile_firmware`.
    """
    tell = progress or (lambda _: None)
    found = tuple(_variant_report(model, variant, inputs, timeout, tell) for variant in wanted)
    return ModelReport(model.name, found[0].checked.oracle, found)


def _variant_report(
    model: Model,
    variant: Variant,
    inputs: Sequence[np.ndarray],
    timeout: float,
    tell: Callable[[str], None],
) -> VariantReport:
    board = variant.board
    tell(f"compiling for {variant.label}")
    artifact = compile(model, board.target, **variant.options)
    tell(f"building firmware for {board.name}")
    with built_firmware(artifact, board) as firmware:
        tell(f"running on {board.name}")
        result = run_firmware(firmware, inputs, timeout)
        profiled = None
        if can_profile(board):
            tell(f"executing in {'Unicorn' if can_emulate(board.cpu) else 'QEMU'}")
            profiled = profile_firmware(firmware, inputs, timeout, result)
    tell("planning memory")
    return VariantReport(
        variant,
        artifact,
        result,
        check(model, artifact, result, inputs),
        profiled,
        memory_report(model, board, **variant.options),
    )


def model_report_summary(report: ModelReport) -> dict[str, Any]:
    """Summarize a report for ``--json`` and for rendering the page."""
    return {
        "model": report.model,
        "oracle": report.oracle,
        "variants": [_summary(variant) for variant in report.variants],
    }


def _summary(report: VariantReport) -> dict[str, Any]:
    return {
        "label": report.variant.label,
        "options": dict(report.variant.options),
        "macs": report.artifact.macs,
        "run": run_summary(report.run, report.checked),
        "layers": [asdict(layer) for layer in report.artifact.layers],
        "profile": None if report.profile is None else profile_summary(report.profile),
        "memory": asdict(report.memory),
    }
