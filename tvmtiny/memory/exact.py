"""Exact placement with the CP-SAT solver of OR-tools."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec, module_from_spec
from math import ceil
from types import ModuleType, SimpleNamespace
from typing import Any

from tvmtiny.memory.first_fit import Offsets, extent
from tvmtiny.memory.problem import Conflicts, Group, Member


@dataclass(frozen=True)
class Solution:
    """The result of the solver.

    Attributes
    ----------
    offsets
        Offsets by request name; None if the solver found nothing better than the hint.
    lower_bound
        Proven lower bound of the arena in bytes.
    """

    offsets: Offsets | None
    lower_bound: int


def solve(conflicts: Conflicts, hint: Offsets, lower_bound: int, time_limit: float) -> Solution:
    """Find the placement with the smallest arena.

    Parameters
    ----------
    conflicts
        The requests, and which of them may share bytes.
    hint
        A valid placement to start from.
    lower_bound
        Known lower bound of the arena in bytes.
    time_limit
        Limit in deterministic seconds. These measure the solver's work, about one second each on a
        PC, so that the result does not depend on the machine.
    """
    cp_model = load_solver()
    upper_bound = extent(conflicts, hint)
    model = cp_model.CpModel()
    total = model.new_int_var(lower_bound, upper_bound, "total")
    bases: list[Any] = []
    offsets: dict[str, Any] = {}
    for position, group in enumerate(conflicts.groups):
        units = (upper_bound - group.size) // group.alignment
        base = model.new_int_var(0, max(units, 0), f"base.{position}")
        bases.append(base)
        first = group.members[0]
        model.add_hint(base, (hint[first.request.name] - first.delta) // group.alignment)
        for member in group.members:
            offsets[member.request.name] = group.alignment * base + member.delta
        model.add(group.alignment * base + group.size <= total)
    for one, other in _rival_groups(conflicts):
        _separate(model, conflicts, offsets, one, other)
    for clique in conflicts.cliques:
        # These constraints are implied, but let the solver reason about more than two requests.
        intervals = [
            model.new_fixed_size_interval_var(offsets[r.name], r.size, f"interval.{r.name}")
            for r in clique
        ]
        model.add_no_overlap(intervals)
    model.minimize(total)

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = time_limit
    # These models are as small after one round of presolving as after the default of three.
    solver.parameters.max_presolve_iterations = 1
    # Otherwise the solver replaces Python's handler of interrupts and does not restore it.
    solver.parameters.catch_sigint_signal = False
    status = solver.solve(model)
    assert status not in (cp_model.INFEASIBLE, cp_model.MODEL_INVALID), solver.status_name(status)
    # A bound less than one half below an integer is that integer with a rounding error.
    bound = max(lower_bound, ceil(solver.best_objective_bound - 0.5))
    if status == cp_model.UNKNOWN:
        return Solution(None, min(bound, upper_bound))
    found = {
        member.request.name: group.alignment * solver.value(base) + member.delta
        for group, base in zip(conflicts.groups, bases, strict=True)
        for member in group.members
    }
    return Solution(found, min(bound, extent(conflicts, found)))


@cache
def load_solver() -> ModuleType:
    """Load OR-tools' solver at the first plan that needs it; most plans do not.

    Without pandas, which only serves the methods for series of variables, loading takes a tenth of
    the time. The module returned is therefore a private copy whose pandas consists of the type
    names only. Importing the solver elsewhere gives the complete module.
    """
    name = "ortools.sat.python.cp_model"
    known = sys.modules.get(name)
    if known is not None:
        return known
    types = SimpleNamespace(Index=type("Index", (), {}), Series=type("Series", (), {}))

    def without_pandas(wanted: str, *arguments: Any) -> Any:
        return types if wanted == "pandas" else builtins.__import__(wanted, *arguments)

    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no {name}")
    module = module_from_spec(spec)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": without_pandas}
    with _own_symbols():
        spec.loader.exec_module(module)
    return module


@contextmanager
def _own_symbols() -> Iterator[None]:
    """Make libraries that are loaded in this context prefer their own symbols.

    TensorFlow and the solver both bring Abseil; the solver crashes with TensorFlow's copy.
    """
    before = sys.getdlopenflags()
    sys.setdlopenflags(before | getattr(os, "RTLD_DEEPBIND", 0))
    try:
        yield
    finally:
        sys.setdlopenflags(before)


def _rival_groups(conflicts: Conflicts) -> Iterator[tuple[Group, Group]]:
    """Yield pairs of conflicting groups, in the order of the groups."""
    position = {
        member.request.name: index
        for index, group in enumerate(conflicts.groups)
        for member in group.members
    }
    for index, group in enumerate(conflicts.groups):
        rivals = {
            position[name] for member in group.members for name in conflicts.rivals(member.request)
        }
        for other in sorted(rival for rival in rivals if rival > index):
            yield group, conflicts.groups[other]


def _separate(
    model: Any, conflicts: Conflicts, offsets: dict[str, Any], one: Group, other: Group
) -> None:
    """Add the constraints that keep two groups from colliding."""
    for a in one.members:
        for b in other.members:
            _separate_pair(model, conflicts, offsets, a, b)


def _separate_pair(
    model: Any, conflicts: Conflicts, offsets: dict[str, Any], a: Member, b: Member
) -> None:
    overlaps = conflicts.between(a.request, b.request)
    if overlaps is None:
        return
    name_a, name_b = a.request.name, b.request.name
    below = model.new_bool_var(f"{name_a}.below.{name_b}")
    above = model.new_bool_var(f"{name_a}.above.{name_b}")
    model.add(offsets[name_a] + a.request.size <= offsets[name_b]).only_enforce_if(below)
    model.add(offsets[name_b] + b.request.size <= offsets[name_a]).only_enforce_if(above)
    choices = [below, above]
    for position, overlap in enumerate(overlaps):
        shared = model.new_bool_var(f"{name_a}.shared.{name_b}.{position}")
        distance = offsets[overlap.read] - offsets[overlap.written] - overlap.before
        model.add(distance >= 0).only_enforce_if(shared)
        if overlap.multiple > 1:
            largest = a.request.size + b.request.size + abs(overlap.before)
            turns = model.new_int_var(0, largest // overlap.multiple + 1, f"{shared.name}.turns")
            model.add(distance == overlap.multiple * turns).only_enforce_if(shared)
        choices.append(shared)
    model.add_bool_or(choices)
