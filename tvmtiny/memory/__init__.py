"""The arena plan."""

from tvmtiny.memory.plan import TIME_LIMIT, Plan, plan
from tvmtiny.memory.problem import Inside, Overlap, Problem, Request

__all__ = ["TIME_LIMIT", "Inside", "Overlap", "Plan", "Problem", "Request", "plan"]
