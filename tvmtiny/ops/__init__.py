"""The operators, one file each: checks, tensor expression, numpy reference."""

from importlib import import_module
from pkgutil import iter_modules

from tvmtiny.ops.shared.movement import Alias, Movement
from tvmtiny.ops.shared.node import Node, Quantization, Tensor
from tvmtiny.ops.shared.operator import (
    Compute,
    Operator,
    Oracle,
    Problem,
    Result,
    find_operator,
    operators,
)

for _module in iter_modules(__path__):
    if not _module.ispkg:
        import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Alias",
    "Compute",
    "Movement",
    "Node",
    "Operator",
    "Oracle",
    "Problem",
    "Quantization",
    "Result",
    "Tensor",
    "find_operator",
    "operators",
]
