"""Registry of the kernel families, which also determines the order in which they are asked.

Every subpackage of this package is a family and defines it as ``FAMILY``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from tvmtiny.ops import Node
from tvmtiny.ops.shared.weights import WEIGHTED, has_constants, has_shifted_weights
from tvmtiny.resources import shipped
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.implementation import Decisions
from tvmtiny.targets import Cpu

_REGISTRY: dict[str, KernelFamily] = {}


def register(family: KernelFamily) -> None:
    """Add a family.

    Raises
    ------
    ValueError
        If another family has the same name, or shares a sketch or a header with this one, or
        ``runtime/core`` has a header of the same name.
    """
    if family.name in _REGISTRY:
        raise ValueError(f"there is a kernel family {family.name!r} already")
    for other in _REGISTRY.values():
        for kind, shared in (
            ("sketches", other.sketch_names & family.sketch_names),
            ("headers", other.headers & family.headers),
        ):
            if shared:
                raise ValueError(
                    f"the kernel families {other.name!r} and {family.name!r} both have {kind} "
                    f"called {', '.join(sorted(shared))}; rename those of one"
                )
    core = frozenset(file.name for file in (shipped("runtime") / "core").glob("*.h"))
    if core & family.headers:
        raise ValueError(
            f"the kernel family {family.name!r} and runtime/core both have headers called "
            f"{', '.join(sorted(core & family.headers))}; rename those of the family"
        )
    _REGISTRY[family.name] = family


def unregister(name: str) -> None:
    """Remove the family `name`.

    Raises
    ------
    KeyError
        If there is no such family.
    """
    del _REGISTRY[name]


def families(cpu: Cpu | None = None) -> tuple[KernelFamily, ...]:
    """Return all families, or those that run on `cpu`, by descending priority."""
    found = [family for family in _REGISTRY.values() if cpu is None or family.runs_on(cpu)]
    return tuple(sorted(found, key=lambda family: (-family.priority, family.name)))


def families_for(node: Node, cpu: Cpu) -> tuple[KernelFamily, ...]:
    """Return the families for `cpu` that can handle the weights of a node, in the usual order."""
    computed = node.operator in WEIGHTED and not has_constants(node)
    unusual = computed or has_shifted_weights(node)
    return tuple(f for f in families(cpu) if f.takes_any_weights or not unusual)


def family_of(decisions: Decisions) -> KernelFamily | None:
    """Return the family whose sketch `decisions` name; None if no family has that sketch."""
    name = decisions.get("sketch")
    return next((family for family in families() if name in family.sketch_names), None)


for _module in iter_modules([str(Path(__file__).parent)]):
    if _module.ispkg:
        register(import_module(f"{__package__}.{_module.name}").FAMILY)
