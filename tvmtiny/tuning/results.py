"""Write the results of a tuning run besides its trials: the best records, and the curve."""

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
    """Write ``best.jsonl``, the records that `tvmtiny.compile` can use, and the plot ``curve.svg``.

    The file of trials also contains candidates that failed or are worse than the default rule's.
    Each file is written atomically.

    Raises
    ------
    OutputPathError
        The folder cannot be created or written.
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
