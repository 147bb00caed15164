"""Figures of other engines for the models that benchmarks use, from ``peers.toml``."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from importlib import resources
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["PeerFigures", "measured", "peers_of"]


@dataclass(frozen=True)
class PeerFigures:
    """What an engine needs for one model on one CPU.

    Attributes
    ----------
    peer
        Name of the engine.
    instructions
        Of one inference.
    arena_bytes, stack_bytes
        None where not measured.
    note
        What to know about the figures; empty where nothing.
    """

    peer: str
    instructions: int
    arena_bytes: int | None
    stack_bytes: int | None
    note: str


@functools.cache
def _table() -> dict[str, Any]:
    file = resources.files(__package__).joinpath("peers.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def measured() -> str:
    """How the figures were obtained, in one line."""
    return str(_table()["measured"])


def peers_of(model: str, cpu: str) -> tuple[PeerFigures, ...]:
    """Give what is known about a model, fewest instructions first.

    Parameters
    ----------
    model
        Name of its file without ``.tflite``.
    cpu
        Name in `tvmtiny.targets`.
    """
    found = []
    for entry in _table()["peers"]:

        def figure(kind: str, entry: dict[str, Any] = entry) -> Any:
            return entry.get(kind, {}).get(cpu, {}).get(model)

        if (instructions := figure("instructions")) is not None:
            found.append(
                PeerFigures(
                    entry["name"],
                    instructions,
                    figure("arena_bytes"),
                    figure("stack_bytes"),
                    figure("notes") or "",
                )
            )
    return tuple(sorted(found, key=lambda peer: peer.instructions))
