"""Costs of amounts of work on a core: the calibrated tables beside this module."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

from tvmtiny.estimation.expressions import BY_ONE
from tvmtiny.estimation.facts import WORK, Function, KernelFacts

__all__ = ["Figures", "Table", "calibrated_cores", "read_table", "table"]

#: Cores with the instructions and cycle counts of another core.
_SAME = {
    "cortex-m0plus": "cortex-m0",
    "cortex-m7": "cortex-m4",
    "cortex-m33+nodsp": "cortex-m3",
    "cortex-m55+nomve": "cortex-m33",
}


@dataclass(frozen=True)
class Figures:
    """Estimates for a part of a program.

    Attributes
    ----------
    instructions, cycles
        Executed instructions and cycles.
    flash_read_bytes, ram_read_bytes
        Bytes of data that are loaded; instructions do not count.
    """

    instructions: float
    cycles: float
    flash_read_bytes: float
    ram_read_bytes: float


_NONE = (0.0, 0.0, 0.0, 0.0)

#: Amounts whose cost is stated as a difference from that of another amount, which is always there.
_DIFFERENCE = re.compile(r"(turn|loop) of (\d+|a move)$| stepped$| near others$")

#: Costs of one unit of each amount, as the fields of `Figures`.
Row = Mapping[str, tuple[float, float, float, float]]


@dataclass(frozen=True)
class Table:
    """The coefficients of a core.

    Attributes
    ----------
    cpu
        The CPU whose layers were measured.
    unaligned
        Whether the core loads words from any address.
    kernels
        Costs of the loops around micro-kernels, by key of a layer.
    functions
        Costs of micro-kernels that are not inlined, by kind.
    often_inlined
        Kinds that are inlined even if they are called more than once.
    rough
        Costs of a layer about which nothing else is known.
    entry
        Costs of the run function.
    """

    cpu: str
    unaligned: bool
    kernels: Mapping[str, Row]
    functions: Mapping[str, Row]
    often_inlined: frozenset[str]
    rough: Row
    entry: Row

    def layer(self, keys: Iterable[str], facts: KernelFacts) -> Figures | None:
        """Estimate one execution of a kernel; return None if it contains unmeasured work."""
        found, measured = self._row(tuple(keys))
        if found is None:
            return None
        amounts, apart = self._amounts(facts)
        if _kinds(amounts, apart) - measured:
            return None
        _take_less_specific(amounts, found)
        if any(name.startswith(WORK) and name not in found for name in amounts):
            return None
        for function in apart:
            for event, count in function.events.items():
                amounts[function.read_by(event)] = count
        parts = [_sums(found, amounts)]
        for function in apart:
            row = self.functions.get(function.kind)
            if row is None:
                row = {
                    event: found.get(f"{function.kind}: {event}", _NONE)
                    for event in function.events
                }
            parts.append(_sums(row, function.events))
        return Figures(*(sum(column) for column in zip(*parts, strict=True)))

    def unmeasured(self, keys: Iterable[str], facts: KernelFacts) -> frozenset[str]:
        """Return the parts of a kernel that no measured layer of its kernel family contains.

        An estimate does not include these parts. If they are functions, `layer` returns None.
        Functions whose loops are not counted are always among them.
        """
        amounts, apart = self._amounts(facts)
        kinds, guessed = _kinds(amounts, apart), {f.kind for f in facts.functions if f.guessed}
        found, measured = self._row(tuple(keys))
        _take_less_specific(amounts, found or {})
        own = {name for name, count in amounts.items() if count and ": " not in name}
        if found is None:
            return frozenset(own | kinds)
        added = {name for name in own - found.keys() if not _DIFFERENCE.search(name)}
        return frozenset(added | guessed | kinds - measured)

    def _row(self, keys: tuple[str, ...]) -> tuple[Row | None, frozenset[str]]:
        """Combine the rows of a layer, None if there is none, with the kinds of its functions."""
        if keys not in self._rows:
            rows = [self.kernels[key] for key in keys if key in self.kernels]
            # Amounts that no layer of the same key has are taken from less similar layers.
            found = dict(self._as_inlined)
            for row in reversed(rows):
                found |= row
            self._rows[keys] = found if rows else None, frozenset(_kinds(found, ()))
        return self._rows[keys]

    @cached_property
    def _rows(self) -> dict[tuple[str, ...], tuple[Row | None, frozenset[str]]]:
        """What `_row` has returned."""
        return {}

    def _amounts(self, facts: KernelFacts) -> tuple[dict[str, float], list[Function]]:
        return facts.amounts(lambda function: function.is_inlined(self.often_inlined))

    @cached_property
    def _as_inlined(self) -> dict[str, tuple[float, float, float, float]]:
        """Costs of the micro-kernels themselves, by the names of their parts in other rows."""
        return {
            f"{kind}: {event}": values
            for kind, row in self.functions.items()
            for event, values in row.items()
        }

    def roughly(self, amounts: Mapping[str, float]) -> Figures:
        """Estimate a layer from `tvmtiny.estimation.facts.rough_amounts`."""
        return Figures(*_sums(self.rough, amounts))

    def run_function(self, amounts: Mapping[str, float]) -> Figures:
        """Estimate the run function from `tvmtiny.estimation.facts.entry_amounts`."""
        return Figures(*_sums(self.entry, amounts))


def _take_less_specific(amounts: dict[str, float], row: Row) -> None:
    """Count requantizations by one bit as others if a row does not tell them apart."""
    for name in [name for name in amounts if name.endswith(BY_ONE) and name not in row]:
        other = name.removesuffix(BY_ONE)
        amounts[other] = amounts.get(other, 0.0) + amounts.pop(name)


def _kinds(amounts: Iterable[str], apart: Iterable[Function]) -> set[str]:
    """Return the kinds of the functions that a kernel calls or contains."""
    return {name.split(": ")[0] for name in amounts if ": " in name} | {f.kind for f in apart}


def _sums(row: Row, amounts: Mapping[str, float]) -> list[float]:
    return [
        sum(row[name][i] * amount for name, amount in amounts.items() if name in row)
        for i in range(4)
    ]


@functools.cache
def calibrated_cores() -> tuple[str, ...]:
    """Names of the CPUs with a table, sorted."""
    folder = resources.files(__package__).joinpath("tables")
    own = {entry.name.removesuffix(".json") for entry in folder.iterdir()}
    return tuple(sorted({*own, *(name for name, base in _SAME.items() if base in own)}))


@functools.cache
def table(cpu: str) -> Table:
    """Return the table of a CPU.

    Raises
    ------
    KeyError
        If the CPU has no table.
    """
    if cpu not in calibrated_cores():
        raise KeyError(cpu)
    file = resources.files(__package__).joinpath("tables").joinpath(f"{_SAME.get(cpu, cpu)}.json")
    return read_table(file.read_text(encoding="utf-8"))


def read_table(text: str) -> Table:
    """Parse the content of a table's file."""
    content = json.loads(text)
    return Table(
        content["cpu"],
        content["unaligned"],
        {key: _row(row) for key, row in content["kernels"].items()},
        {kind: _row(row) for kind, row in content["functions"].items()},
        frozenset(content["often_inlined"]),
        _row(content["rough"]),
        _row(content["entry"]),
    )


def _row(content: Mapping[str, list[float]]) -> Row:
    return {name: (values[0], values[1], values[2], values[3]) for name, values in content.items()}
