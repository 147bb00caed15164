"""Processor architectures: one record for each, and a registry.

Every package in this folder is an architecture and provides its record as ``ARCHITECTURE``.
"""

from tvmtiny.targets.architectures.record import (
    Architecture,
    Counter,
    FaultCause,
    Instruction,
    Sections,
    UnicornModel,
)
from tvmtiny.targets.architectures.registry import (
    architectures,
    find_architecture,
    register,
    unregister,
)

__all__ = [
    "Architecture",
    "Counter",
    "FaultCause",
    "Instruction",
    "Sections",
    "UnicornModel",
    "architectures",
    "find_architecture",
    "register",
    "unregister",
]
