"""Instruction timings of a core, read from the TOML file named after it beside this module."""

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

#: Effects beyond the sum of the instructions' cycles; see `tvmtiny.emulation.cycles.basic_blocks`.
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
    """Cycles in the notation of the manuals, such as ``1+2N+P``.

    Attributes
    ----------
    constant
        Cycles that are always taken.
    per_register
        Cycles for each register in the list (N).
    refills
        Number of pipeline refills (P) if the instruction branches.
    """

    constant: int
    per_register: int = 0
    refills: int = 0

    @classmethod
    def parse(cls, text: str) -> Cost:
        """Parse an expression in that notation.

        Raises
        ------
        ValueError
            The text is not a sum of numbers, ``N`` and ``P``.
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
        """Evaluate the expression in cycles.

        Parameters
        ----------
        registers
            Length of the register list.
        refill
            Cycles of one pipeline refill.
        """
        return self.constant + self.per_register * registers + self.refills * refill


@dataclass(frozen=True)
class Timing:
    """A row of the table: the cost of an operation.

    Attributes
    ----------
    cycles
        Cycles; for a branch, if it is taken.
    source
        Title and section of the manual.
    manual
        The manual's figure, if it is a range.
    assumed
        Reason for the value of `cycles` if the manual gives a range or nothing.
    """

    cycles: Cost
    source: str
    manual: str | None = None
    assumed: str | None = None


@dataclass(frozen=True)
class Rule:
    """The effect of an instruction on the next one; `cycles` are added or saved each time."""

    cycles: int
    source: str


@dataclass(frozen=True)
class Timings:
    """All timings of a core.

    Attributes
    ----------
    core
        Name of the CPU in `tvmtiny.targets`.
    manual
        Title and number of its technical reference manual.
    refill
        Assumed cycles of a pipeline refill.
    rows
        Rows by operation; see `tvmtiny.targets.architectures.Architecture.decode`.
    rules
        Rules that apply to the core, by names from `RULES`.
    assumptions
        Assumptions behind the estimate, for users.
    """

    core: str
    manual: str
    refill: int
    rows: Mapping[str, Timing]
    rules: Mapping[str, Rule]
    assumptions: tuple[str, ...]

    def rule_cycles(self, name: str) -> int:
        """Return the cycles of a rule; 0 if the rule does not apply to the core."""
        assert name in RULES
        return self.rules[name].cycles if name in self.rules else 0


@functools.cache
def timed_cores() -> tuple[str, ...]:
    """Return the sorted names of the cores that have a table."""
    names = (entry.name for entry in resources.files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@functools.cache
def timings(core: str) -> Timings:
    """Return the timings of a core.

    Raises
    ------
    KeyError
        The core has no table.
    """
    if core not in timed_cores():
        raise KeyError(core)
    file = resources.files(__package__).joinpath(f"{core}.toml")
    return parse_timings(file.read_text(encoding="utf-8"), core)


def parse_timings(text: str, core: str) -> Timings:
    """Parse a table.

    Raises
    ------
    ValueError
        A row cannot be parsed or a rule is unknown; the message names core and row.
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
    """Build the table of a core whose manual gives no timings from that of another core.

    Rows and rules in the entry override those of the other core, and name their own source.
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
