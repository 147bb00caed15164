"""The arena plan."""

from tvmtiny.memory.plan import Plan, Request, plan

__all__ = ["Plan", "Request", "plan"]
