"""Schedules that make a node or a TIR function fast on an instruction set."""

from __future__ import annotations

from tvmtiny.schedule.implement import implement, implementer, schedule_module
from tvmtiny.schedule.implementation import (
    Decision,
    Decisions,
    Goal,
    Implementation,
    Sketch,
    parse_goal,
)
from tvmtiny.schedule.space import Space, decisions_key, space
from tvmtiny.schedule.workload import Workload, workload

__all__ = [
    "Decision",
    "Decisions",
    "Goal",
    "Implementation",
    "Sketch",
    "Space",
    "Workload",
    "decisions_key",
    "implement",
    "implementer",
    "parse_goal",
    "schedule_module",
    "space",
    "workload",
]
