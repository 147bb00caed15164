"""Estimates for candidates of a layer that were neither built nor measured."""

from __future__ import annotations

from typing import NamedTuple

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.single_layer import BuiltLayer, build_layer, emit_layer
from tvmtiny.estimation.cycles import kernel_cycles
from tvmtiny.estimation.table import calibrated_cores
from tvmtiny.frontend import Model
from tvmtiny.ops import Node
from tvmtiny.schedule import Decisions, Goal, decisions_key, implement
from tvmtiny.schedule.implementation import FLASH_WEIGHT
from tvmtiny.targets import Target

__all__ = ["CandidateCosts"]

#: Number of candidates of a layer whose kernels are kept for their code. Constants are most of the
#: memory, and a search measures what it expects to be fast.
_KEPT = 16


class _Estimate(NamedTuple):
    key: str
    cycles: float
    flash_bytes: int


class CandidateCosts:
    """Estimated costs of candidates of a model's layers.

    Parameters
    ----------
    model
        The model that the layers belong to.
    target
        The CPU or board.
    goal
        Goal of the optimization.
    """

    def __init__(self, model: Model, target: Target, goal: Goal) -> None:
        self._model, self._target, self._goal = model, target, goal
        self._known: dict[tuple[int, str], float | None] = {}
        self._defaults: dict[int, _Estimate | None] = {}
        self._built: dict[int, dict[str, tuple[float, BuiltLayer]]] = {}

    @classmethod
    def of(cls, model: Model, target: Target, goal: Goal) -> CandidateCosts | None:
        """Return the estimates for a CPU; None if none of its layers were measured."""
        known = target.cpu.name in calibrated_cores()
        return cls(model, target, goal) if known else None

    def __call__(self, node: Node, decisions: Decisions) -> float | None:
        """Return the cost of a candidate of `node`; None if it cannot be implemented.

        As in the merit of a record, constants of a candidate count in proportion to those of the
        default rule.
        """
        key = node.index, decisions_key(decisions)
        if key not in self._known:
            default = self._default(node)
            is_default = default is not None and default.key == key[1]
            found = default if is_default else self._estimate(node, decisions)
            if found is not None and default is not None:
                weight = FLASH_WEIGHT[self._goal]
                both = found.flash_bytes and default.flash_bytes
                share = found.flash_bytes / default.flash_bytes if both else 1.0
                cycles = (found.cycles + weight * share * default.cycles) / (1 + weight)
                self._known[key] = cycles
            else:
                self._known[key] = None if found is None else found.cycles
        return self._known[key]

    def artifact(self, node: Node, decisions: Decisions) -> Artifact | None:
        """Return the code of a candidate, once.

        The code is that of `tvmtiny.compiler.compile_layer` with the name ``layer``. None if the
        candidate cannot be implemented, or was estimated before many faster ones.
        """
        self(node, decisions)
        found = self._built.get(node.index, {}).pop(decisions_key(decisions), None)
        return None if found is None else emit_layer(found[1])

    def _default(self, node: Node) -> _Estimate | None:
        if node.index not in self._defaults:
            self._defaults[node.index] = self._estimate(node, None)
        return self._defaults[node.index]

    def _estimate(self, node: Node, decisions: Decisions | None) -> _Estimate | None:
        cpu, oracle = self._target.cpu, self._model.oracle
        made = implement(node, cpu, oracle, self._goal, decisions)
        if made is None:
            return None
        layer = build_layer(self._model, node, self._target, made, "layer")
        key = decisions_key(made.decisions)
        cycles = sum(
            kernel_cycles(self._target, node, made, kernel, made.constants_bytes)
            for kernel in layer.built.kernels.values()
        )
        kept = self._built.setdefault(node.index, {})
        kept[key] = cycles, layer
        if len(kept) > _KEPT:
            del kept[max(kept, key=lambda known: kept[known][0])]
        return _Estimate(key, cycles, made.constants_bytes)
