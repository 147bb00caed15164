"""Published figures of what boards take for an inference, from ``energy.toml``."""

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
    """What a board takes while it computes.

    Attributes
    ----------
    name, description
        Of the board.
    cpu
        Its processor.
    clock_hz
        While it was measured.
    microjoules_per_megacycle
        Energy of a million cycles, in microjoules; the same number is picojoules a cycle.
    source
        Where the figure is published.
    """

    name: str
    description: str
    cpu: Cpu
    clock_hz: int
    microjoules_per_megacycle: float
    source: str


@functools.cache
def energy_figures() -> Mapping[str, EnergyFigure]:
    """Give every published figure by the name of its board."""
    text = resources.files(__package__).joinpath("energy.toml").read_text(encoding="utf-8")
    return {
        name: _figure(name, Values(entry, "energy.toml", name))
        for name, entry in parse_toml(text).items()
    }


def energy_figure(name: str) -> EnergyFigure:
    """Give a figure by the name of its board, or from a file.

    Parameters
    ----------
    name
        Of a board in ``energy.toml``, or a file that ends in ``.toml`` and has the keys of one
        board there.

    Raises
    ------
    UnknownTargetError
        There is no such board.
    BoardFileError
        The file is not usable.
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
