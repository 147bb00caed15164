"""The operators' case tables, in groups that are tested as one model each.

A test module of this folder states the table of its operator as ``OPERATOR`` and ``CASES``, or the
tables of several operators as ``TABLES``, by operator and name. ``FLOAT_TOLERANCE`` is the allowed
error of float32 results, if there are any. Building a model takes much longer than one more case
in it, so operators with the same ``FAMILY``, a name or names by operator, share a model; without
``FAMILY`` an operator has a model of its own.

Inputs and outputs of a shared model lie outside of the arena, see `SideBySide`. Its operators have
no kernels for special instructions, so one core with Thumb-2 stands for all, or they have kernels
that `tests.schedule` tries in an arena, as for int16.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import chain, zip_longest
from pathlib import Path

from tests.batches import batch
from tests.ops.three_ways import Case, SideBySide, check_host_together
from tvmtiny.frontend.reader import read_graph

#: Bytes of all tensors, constants included, of the cases that run in 16 KB of RAM: in one case, and
#: in all cases of a family.
_SMALL_CASE, _SMALL_FAMILY = 400, 8000


@dataclass(frozen=True, eq=False)
class Family:
    """Operators whose cases form one model.

    Attributes
    ----------
    tables
        The cases by operator and name.
    tolerances
        Allowed errors by operator, see `SideBySide`.
    shared
        Whether the operators requested a common family.
    """

    name: str
    tables: dict[str, Mapping[str, Case]]
    tolerances: dict[str, float]
    shared: bool

    def cases(self) -> SideBySide:
        """All cases."""
        return self._side_by_side(
            {key: case for key, _, case in self._entries()}, external=self.shared
        )

    def small_cases(self) -> SideBySide:
        """The smallest cases of each operator that fit an equal share of 16 KB of RAM."""
        by_operator = [
            sorted(
                (size, key, case)
                for key, operator, case in self._entries()
                if operator == wanted and (size := _size(case)) <= _SMALL_CASE
            )
            for wanted in self.tables
        ]
        ranked = chain.from_iterable(zip_longest(*by_operator))
        small, total = {}, 0
        for size, key, case in (entry for entry in ranked if entry is not None):
            total += size
            if total <= _SMALL_FAMILY:
                small[key] = case
        return self._side_by_side(small, external=True)

    def _entries(self) -> Iterator[tuple[str, str, Case]]:
        for operator, table in self.tables.items():
            for name, case in table.items():
                yield f"{operator}/{name}", operator, case

    def _side_by_side(self, cases: Mapping[str, Case], external: bool) -> SideBySide:
        return SideBySide(
            self.name,
            cases,
            lambda key: self.tolerances[key.partition("/")[0]],
            external=external,
        )


@cache
def families() -> Mapping[str, Family]:
    """All families by name."""
    found: dict[str, Family] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.stem == "test_three_ways":
            continue
        module = import_module(f"tests.ops.{path.stem}")
        tables = dict(getattr(module, "TABLES", {}))
        if hasattr(module, "CASES"):
            tables[getattr(module, "OPERATOR", path.stem[len("test_") :].upper())] = module.CASES
        for operator, table in tables.items():
            stated = getattr(module, "FAMILY", None)
            name = stated.get(operator) if isinstance(stated, dict) else stated
            own = operator.lower()
            family = found.setdefault(name or own, Family(name or own, {}, {}, name is not None))
            family.tables[operator] = table
            family.tolerances[operator] = getattr(module, "FLOAT_TOLERANCE", 0.0)
    return found


@cache
def family_cases(name: str, small: bool = False) -> SideBySide:
    """The cases of a family; equal arguments give the same object, with its compiled code."""
    family = families()[name]
    return family.small_cases() if small else family.cases()


def check_host(name: str, target: str, names: Iterable[str], directory: Path) -> None:
    """Compare a family's C with LiteRT; families of a batch run in one program of the host.

    Parameters
    ----------
    names
        All families that are compared for `target`.
    """
    mates = [family_cases(mate) for mate in names if batch(mate) == batch(name)]
    check_host_together(family_cases(name), mates, target, directory)


def _size(case: Case) -> int:
    return sum(t.nbytes for t in read_graph(case.model(), "case").tensors)
