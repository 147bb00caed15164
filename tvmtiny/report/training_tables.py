"""Output of ``tvmtiny distil`` and ``tvmtiny precision``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tvmtiny.design.distilling import Distilled
from tvmtiny.design.precision import Mixed, PrecisionAdvice
from tvmtiny.design.verifying import Verified
from tvmtiny.report.design_tables import model_row, model_summary, model_table, share, verified_line
from tvmtiny.report.fitting import FittingTable, TableColumn

_MIXED = (
    TableColumn("layers that are not int8", wrap_at=40),
    TableColumn("SNR", number=True),
    TableColumn("agree", number=True),
    TableColumn("accuracy", number=True),
    TableColumn("est. cycles", number=True),
    TableColumn("RAM", number=True, spare=1),
    TableColumn("constants", number=True),
)


def distil_summary(found: Distilled, verified: Verified | None = None) -> dict[str, Any]:
    """Summarize a distillation for ``--json``."""
    return {
        "cpu": found.cpu,
        "teacher_accuracy": found.teacher_accuracy,
        "teacher": None if found.teacher is None else model_summary(found.teacher),
        "alone": None if found.alone is None else model_summary(found.alone),
        "student": model_summary(found.student),
        "fine_tuned": found.fine_tuned,
        "verified": None if verified is None else asdict(verified),
    }


def distil_tables(found: Distilled, verified: Verified | None = None) -> Iterator[RenderableType]:
    """Yield teacher and student, with accuracy and cost."""
    table = model_table()
    if found.teacher is not None:
        model_row(table, "teacher", found.teacher)
    if found.alone is not None:
        model_row(table, "student alone", found.alone)
    model_row(table, "student", found.student)
    yield Text(f"Int8 models on {found.cpu}:")
    yield table
    if found.teacher is None:
        yield Text(f"The float teacher has an accuracy of {share(found.teacher_accuracy)}.")
    if found.fine_tuned:
        yield Text("The student was fine-tuned with rounding, as int8 lost accuracy.")
    if verified is not None:
        yield verified_line(verified)


def precision_summary(found: PrecisionAdvice, verified: Verified | None = None) -> dict[str, Any]:
    """Summarize advice on precisions for ``--json``."""
    return {
        "cpu": found.cpu,
        "alone": [asdict(one) for one in found.alone],
        "steps": [asdict(one) for one in found.steps],
        "chosen": asdict(found.chosen),
        "over": found.over,
        "fine_tuned": found.fine_tuned,
        "float_accuracy": found.float_accuracy,
        "int8_accuracy": found.int8_accuracy,
        "accuracy": found.accuracy,
        "verified": None if verified is None else asdict(verified),
    }


def precision_tables(
    found: PrecisionAdvice, verified: Verified | None = None
) -> Iterator[RenderableType]:
    """Yield each layer alone, the mixtures, and the chosen model."""
    table = FittingTable(_MIXED)
    for one in (*found.alone, *found.steps):
        _mixed_row(table, one)
    yield Text(f"What other precisions cost and gain on {found.cpu}:")
    yield table
    tuned = ", fine-tuned with rounding" if found.fine_tuned else ""
    yield Text(f"\nChosen{tuned}:")
    chosen = FittingTable(_MIXED)
    _mixed_row(chosen, found.chosen)
    yield chosen
    yield Text(
        f"Accuracy on all test samples: float {share(found.float_accuracy)}, int8 "
        f"{share(found.int8_accuracy)}, chosen {share(found.accuracy)}"
    )
    if found.over:
        yield Text(f"It is still over the budget of {', '.join(found.over)}.")
    if verified is not None:
        yield verified_line(verified)


def _mixed_row(table: FittingTable, one: Mixed) -> None:
    named = ", ".join(f"{layer} {precision}" for layer, precision in one.precisions.items())
    figures = one.figures
    table.add_row(
        Text(named or "none"),
        f"{one.snr_db:.1f} dB",
        share(one.agreement),
        share(one.accuracy),
        f"{figures.cycles:,}",
        f"{figures.ram_bytes:,}",
        f"{figures.flash_bytes:,}",
    )
