"""What amounts of work cost on a core: the calibrated tables beside this module."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

__all__ = ["Figures", "Table", "calibrated_cores", "table"]

#: Cores that run the same instructions, and whose cycles are taken from the same manual.
_SAME = {
    "cortex-m0plus": "cortex-m0",
    "cortex-m7": "cortex-m4",
    "cortex-m33": "cortex-m4",
    "cortex-m33+nodsp": "cortex-m3",
    "cortex-m55+nomve": "cortex-m4",
}


@dataclass(frozen=True)
class Figures:
    """Estimates of one part of a program.

    Attributes
    ----------
    instructions, cycles
        Executed.
    flash_read_bytes, ram_read_bytes
        What loads read, instructions not included.
    """

    instructions: float
    cycles: float
    flash_read_bytes: float
    ram_read_bytes: float


@dataclass(frozen=True)
class Table:
    """Coefficients of one core.

    Attributes
    ----------
    cpu
        Whose layers were measured.
    coefficients
        By key of a layer and then by amount: one for each of `Figures`.
    """

    cpu: str
    coefficients: Mapping[str, Mapping[str, tuple[float, float, float, float]]]

    def figures(self, keys: Iterable[str], amounts: Mapping[str, float]) -> Figures:
        """Estimate by the first of `keys` that was calibrated; the last one always is."""
        key = next(key for key in keys if key in self.coefficients)
        row = self.coefficients[key]
        sums = [
            sum(row[name][i] * amount for name, amount in amounts.items() if name in row)
            for i in range(4)
        ]
        return Figures(*sums)


@functools.cache
def calibrated_cores() -> tuple[str, ...]:
    """Names of the CPUs with a table, sorted."""
    folder = resources.files(__package__).joinpath("tables")
    own = {entry.name.removesuffix(".json") for entry in folder.iterdir()}
    return tuple(sorted({*own, *(name for name, base in _SAME.items() if base in own)}))


@functools.cache
def table(cpu: str) -> Table:
    """The table of a CPU.

    Raises
    ------
    KeyError
        It has none.
    """
    if cpu not in calibrated_cores():
        raise KeyError(cpu)
    file = resources.files(__package__).joinpath("tables").joinpath(f"{_SAME.get(cpu, cpu)}.json")
    entry = json.loads(file.read_text(encoding="utf-8"))
    return Table(
        entry["cpu"],
        {
            key: {name: tuple(values) for name, values in row.items()}
            for key, row in entry["keys"].items()
        },
    )
