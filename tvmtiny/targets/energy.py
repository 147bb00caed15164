"""Published figures of the energy that boards use for computation, from ``energy.toml``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tvmtiny.errors import BoardFileError, UnknownTargetError
from tvmtiny.host.toml_files import TomlFileError, parse_toml, read_toml
from tvmtiny.targets.table import Cpu, cpus
from tvmtiny.targets.values import Values, nearest

__all__ = ["EnergyFigure", "energy_figure", "energy_figures"]


@dataclass(frozen=True)
class EnergyFigure:
    """The energy that a board uses while it computes.

    Attributes
    ----------
    name, description
        Name and description of the board.
    cpu
        Processor of the board.
    clock_hz
        Clock frequency at which the energy was measured, in Hz.
    microjoules_per_megacycle
        Energy of a million cycles in microjoules, which equals picojoules per cycle.
    source
        Publication of the figure.
    """

    name: str
    description: str
    cpu: Cpu
    clock_hz: int
    microjoules_per_megacycle: float
    source: str


@functools.cache
def energy_figures() -> Mapping[str, EnergyFigure]:
    """Return all published figures by board name."""
    text = resources.files(__package__).joinpath("energy.toml").read_text(encoding="utf-8")
    return {
        name: _figure(name, Values(entry, "energy.toml", name))
        for name, entry in parse_toml(text).items()
    }


def energy_figure(name: str) -> EnergyFigure:
    """Return the figure of a board, or one from a file.

    Parameters
    ----------
    name
        Name of a board in ``energy.toml``, or path of a file that ends in ``.toml`` and has the
        keys of one board there.

    Raises
    ------
    UnknownTargetError
        The board is unknown.
    BoardFileError
        The file is invalid.
    """
    if name.endswith(".toml"):
        try:
            entry = read_toml(Path(name))
        except TomlFileError as problem:
            raise BoardFileError(name, "", str(problem), "figures of a board") from problem
        return _figure(Path(name).stem, Values(entry, name))
    known = energy_figures()
    if name not in known:
        raise UnknownTargetError(
            name, tuple(known), nearest(name, known), "board with published energy"
        )
    return known[name]


def _figure(name: str, values: Values) -> EnergyFigure:
    values.only("description", "cpu", "clock_hz", "microjoules_per_megacycle", "source")
    figure = values.entries.get("microjoules_per_megacycle")
    if isinstance(figure, bool) or not isinstance(figure, (int, float)) or not 0 < figure < 1e6:
        values.refuse("microjoules_per_megacycle", f"is {figure!r}", "a number above 0, below 1e6")
    return EnergyFigure(
        name,
        values.text("description"),
        cpus()[values.choice("cpu", cpus())],
        values.number("clock_hz", 1, (1 << 40) - 1),
        float(figure),
        values.text("source"),
    )
