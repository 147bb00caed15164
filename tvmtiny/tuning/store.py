"""Operations on files of records, for ``tvmtiny records``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.files import write_text
from tvmtiny.schedule.records import Record, Records, load_records, shipped_records

__all__ = ["listed", "matching", "prune_records", "read_records"]


def read_records(path: Path | None) -> Records:
    """Read the records of a file or folder; by default those that ship with tvmtiny.

    Raises
    ------
    InputError
        The file or folder does not exist, or cannot be read.
    """
    return shipped_records() if path is None else load_records(path)


def listed(records: Records, cpu: str | None, every: bool) -> tuple[Record, ...]:
    """Select the records of a CPU, sorted by CPU, layer, goal and merit.

    Parameters
    ----------
    cpu
        Name of the CPU; None for all.
    every
        Whether to include records that failed or that others beat.
    """
    chosen = records if every else records.useful()
    return tuple(
        sorted(
            (record for record in chosen if cpu is None or record.cpu == cpu),
            key=lambda record: (record.cpu, record.workload.key, record.goal, record.merit),
        )
    )


def matching(records: Records, text: str) -> Sequence[Record]:
    """Select the records whose workload key contains `text`.

    Raises
    ------
    InputError
        There is no such record.
    """
    found = [record for record in records if text in record.workload.key]
    if not found:
        raise InputError(
            f"no record has a workload with {quoted(text)}; tvmtiny records list --all shows all "
            "records"
        )
    return found


def prune_records(path: Path) -> tuple[int, int]:
    """Rewrite a file, keeping only the records that can be used.

    Returns
    -------
    tuple of int
        Number of records kept, and number removed; invalid lines are removed as well.

    Raises
    ------
    InputError
        The file does not exist.
    OutputPathError
        The file cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one file of records")
    records = load_records(path)
    kept = records.useful()
    write_text(path, "".join(f"{record.to_line()}\n" for record in kept))
    return len(kept), len(records) + len(records.dropped) - len(kept)
