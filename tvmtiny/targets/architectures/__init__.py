"""Processor architectures: one record each, and a registry.

Every package beside this module is one, and has its record as ``ARCHITECTURE``.
"""

from tvmtiny.targets.architectures.architecture import (
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
