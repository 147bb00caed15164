"""Figures of other engines for the benchmark models, from ``peers.toml``."""

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
    """The figures of an engine for one model on one CPU.

    Attributes
    ----------
    peer
        Name of the engine.
    instructions
        Instructions of one inference.
    arena_bytes, stack_bytes
        Sizes in bytes; None if not measured.
    note
        Remark on the figures; may be empty.
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
    """Describe in one line how the figures were obtained."""
    return str(_table()["measured"])


def peers_of(model: str, cpu: str) -> tuple[PeerFigures, ...]:
    """Return the known figures for a model, fewest instructions first.

    Parameters
    ----------
    model
        Name of the model's file without ``.tflite``.
    cpu
        Name of the CPU in `tvmtiny.targets`.
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
