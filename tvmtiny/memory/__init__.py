"""Planning of the arena: order of operators, and offsets of activations and workspaces."""

from tvmtiny.memory.plan import TIME_LIMIT, Plan, plan
from tvmtiny.memory.problem import Inside, Overlap, Problem, Request

__all__ = ["TIME_LIMIT", "Inside", "Overlap", "Plan", "Problem", "Request", "plan"]
