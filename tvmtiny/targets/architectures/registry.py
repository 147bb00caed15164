"""Registry of the architectures."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from tvmtiny.targets.architectures.record import Architecture

__all__ = ["architectures", "find_architecture", "register", "unregister"]

_REGISTRY: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Add an architecture.

    Raises
    ------
    ValueError
        If an architecture of that name exists.
    """
    if architecture.name in _REGISTRY:
        raise ValueError(f"there is an architecture {architecture.name!r} already")
    _REGISTRY[architecture.name] = architecture


def unregister(name: str) -> None:
    """Remove the architecture `name`.

    Raises
    ------
    KeyError
        If there is no such architecture.
    """
    del _REGISTRY[name]


def architectures() -> tuple[Architecture, ...]:
    """Return all architectures, sorted by name."""
    return tuple(sorted(_REGISTRY.values(), key=lambda architecture: architecture.name))


def find_architecture(name: str) -> Architecture:
    """Return the architecture `name`; see `tvmtiny.targets.Cpu.architecture`.

    Raises
    ------
    ValueError
        If there is no such architecture.
    """
    try:
        return _REGISTRY[name]
    except KeyError:
        known = ", ".join(_REGISTRY)
        raise ValueError(f"there is no architecture {name!r}; known: {known}") from None


for _module in iter_modules([str(Path(__file__).parent)]):
    if _module.ispkg:
        register(import_module(f"{__package__}.{_module.name}").ARCHITECTURE)
