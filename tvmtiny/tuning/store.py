"""Files of records, as ``tvmtiny records`` treats them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.files import write_text
from tvmtiny.schedule.records import Record, Records, load_records, shipped_records

__all__ = ["listed", "matching", "prune_records", "read_records"]


def read_records(path: Path | None) -> Records:
    """Records of a file or folder; by default those that ship.

    Raises
    ------
    InputError
        There is no such file or folder, or it cannot be read.
    """
    return shipped_records() if path is None else load_records(path)


def listed(records: Records, cpu: str | None, every: bool) -> tuple[Record, ...]:
    """Those of a CPU, by CPU, layer and worth.

    Parameters
    ----------
    cpu
        None for all.
    every
        Also those that failed or that others beat.
    """
    chosen = records if every else records.useful()
    return tuple(
        sorted(
            (record for record in chosen if cpu is None or record.cpu == cpu),
            key=lambda record: (record.cpu, record.workload.key, record.goal, record.merit),
        )
    )


def matching(records: Records, text: str) -> Sequence[Record]:
    """Those whose workload's key has `text` in it.

    Raises
    ------
    InputError
        There are none.
    """
    found = [record for record in records if text in record.workload.key]
    if not found:
        raise InputError(
            f"no record's workload has {quoted(text)} in it; tvmtiny records list --all shows them"
        )
    return found


def prune_records(path: Path) -> tuple[int, int]:
    """Rewrite a file with only the records that can be used.

    Returns
    -------
    tuple of int
        Numbers of records that were kept and removed; lines that are no records are removed, too.

    Raises
    ------
    InputError
        There is no such file.
    OutputPathError
        It cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one file of records")
    records = load_records(path)
    kept = records.useful()
    write_text(path, "".join(f"{record.to_line()}\n" for record in kept))
    return len(kept), len(records) + len(records.dropped) - len(kept)
