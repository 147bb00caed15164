"""What a tuning run leaves behind beside its trials: the best records, and the curve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.host.files import make_directory, write_text
from tvmtiny.schedule.records import load_records
from tvmtiny.tuning.curve import tuning_curve, tuning_svg

if TYPE_CHECKING:
    from tvmtiny.tuning.api import TuneResult

__all__ = ["save_result"]


def save_result(result: TuneResult, folder: Path) -> tuple[Path, ...]:
    """Write ``best.jsonl``, what `tvmtiny.compile` can use, and the picture ``curve.svg``.

    The file of trials has more than is used: a candidate that failed, or that the default rule
    beats. Each file appears whole or not at all.

    Raises
    ------
    OutputPathError
        The folder cannot be made or written.
    """
    make_directory(folder)
    best = folder / "best.jsonl"
    write_text(best, "".join(f"{record.to_line()}\n" for record in result.records))
    curve = folder / "curve.svg"
    trials = [
        record
        for record in load_records(result.path)
        if (record.cpu, record.metric, record.goal) == (result.cpu, result.metric, result.goal)
    ]
    write_text(curve, tuning_svg(result, tuning_curve(trials, result.weights)))
    return (result.path, best, curve)
