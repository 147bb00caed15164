"""Instruction timings of a core, read from the TOML file of its name beside this module."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["RULES", "Cost", "Rule", "Timing", "Timings", "timed_cores", "timings"]

#: What a core may do beyond adding up its instructions; see `tvmtiny.emulation.cycles.blocks`.
RULES = frozenset(
    {
        "pipelined_load",
        "address_stall",
        "fp_result_stall",
        "if_then_folding",
        "unaligned_load",
        "vector_unit",
    }
)

_TERM = re.compile(r"(?:(\d+)|(\d*)([NP]))")


@dataclass(frozen=True)
class Cost:
    """Cycles as the manuals write them, such as ``1+2N+P``.

    Attributes
    ----------
    constant
        Cycles in any case.
    per_register
        Cycles for each register of the list (N).
    refills
        Pipeline refills (P), when the instruction branches.
    """

    constant: int
    per_register: int = 0
    refills: int = 0

    @classmethod
    def parse(cls, text: str) -> Cost:
        """Read such an expression.

        Raises
        ------
        ValueError
            It is not a sum of numbers, ``N`` and ``P``.
        """
        sums = {"": 0, "N": 0, "P": 0}
        for term in text.split("+"):
            match = _TERM.fullmatch(term.strip())
            if match is None:
                raise ValueError(f"{text!r} is not a sum of numbers, N and P")
            number, factor, symbol = match.groups()
            sums[symbol or ""] += int(number or factor or 1)
        return cls(sums[""], sums["N"], sums["P"])

    def cycles(self, registers: int, refill: int) -> int:
        """The sum, in cycles.

        Parameters
        ----------
        registers
            Length of the register list.
        refill
            Cycles of a pipeline refill.
        """
        return self.constant + self.per_register * registers + self.refills * refill


@dataclass(frozen=True)
class Timing:
    """One row: an operation and what it costs.

    Attributes
    ----------
    cycles
        Cycles; of a branch, when it is taken.
    source
        Manual and section.
    manual
        What the manual says, where that is a range.
    assumed
        Why `cycles` is what it is, where the manual gives a range or nothing.
    """

    cycles: Cost
    source: str
    manual: str | None = None
    assumed: str | None = None


@dataclass(frozen=True)
class Rule:
    """An effect of one instruction on the next; `cycles` are added or saved each time."""

    cycles: int
    source: str


@dataclass(frozen=True)
class Timings:
    """All timings of a core.

    Attributes
    ----------
    core
        The CPU's name in `tvmtiny.targets`.
    manual
        Title and number of its technical reference manual.
    refill
        Cycles of a pipeline refill, as assumed.
    rows
        By operation; see `tvmtiny.targets.architectures.Architecture.decode`.
    rules
        By name; those of `RULES` that the core has.
    assumptions
        What the estimate takes for granted, for people.
    """

    core: str
    manual: str
    refill: int
    rows: Mapping[str, Timing]
    rules: Mapping[str, Rule]
    assumptions: tuple[str, ...]

    def rule_cycles(self, name: str) -> int:
        """Cycles of a rule; 0 where the core does not have it."""
        assert name in RULES
        return self.rules[name].cycles if name in self.rules else 0


@functools.cache
def timed_cores() -> tuple[str, ...]:
    """Names of the cores that have a table, sorted."""
    names = (entry.name for entry in resources.files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@functools.cache
def timings(core: str) -> Timings:
    """Give the timings of a core.

    Raises
    ------
    KeyError
        It has no table.
    """
    if core not in timed_cores():
        raise KeyError(core)
    file = resources.files(__package__).joinpath(f"{core}.toml")
    return parse_timings(file.read_text(encoding="utf-8"), core)


def parse_timings(text: str, core: str) -> Timings:
    """Read one table.

    Raises
    ------
    ValueError
        A row cannot be read, or a rule is unknown; the message names core and row.
    """
    entry = tomllib.loads(text)
    if entry["core"] != core:
        raise ValueError(f"{core}.toml: core is {entry['core']!r}, which must be the file's name")
    assumptions = tuple(entry["assumptions"])
    if "same_as" in entry:
        return _assumed(core, entry, assumptions)
    document = entry["document"]
    unknown = set(entry.get("rules", {})) - RULES
    if unknown:
        raise ValueError(f"{core}.toml: unknown rules {sorted(unknown)}")
    return Timings(
        core,
        entry["manual"],
        entry["refill"]["cycles"],
        {name: _row(row, name, core, document) for name, row in entry["timings"].items()},
        _rules(entry),
        assumptions,
    )


def _row(row: Mapping[str, Any], name: str, core: str, document: str) -> Timing:
    try:
        cost = Cost.parse(row["cycles"])
    except ValueError as error:
        raise ValueError(f"{core}.toml: {name}: {error}") from error
    return Timing(
        cost, f"{document}, {row['section']}", manual=row.get("manual"), assumed=row.get("assumed")
    )


def _rules(entry: Mapping[str, Any]) -> dict[str, Rule]:
    return {
        name: Rule(row["cycles"], f"{entry['document']}, {row['section']}")
        for name, row in entry.get("rules", {}).items()
    }


def _assumed(core: str, entry: Mapping[str, Any], assumptions: tuple[str, ...]) -> Timings:
    """The table of another core, for a core whose manual has no timings.

    Rows and rules that the entry has come from elsewhere, which each of them says.
    """
    base = timings(entry["same_as"])
    own = entry.get("timings", {})
    reason = f"that of {base.core}: {entry['reason']}"
    return Timings(
        core,
        entry["manual"],
        base.refill,
        {
            **{name: replace(row, assumed=reason) for name, row in base.rows.items()},
            **{name: _row(row, name, core, entry["document"]) for name, row in own.items()},
        },
        {**base.rules, **_rules(entry)},
        assumptions,
    )
