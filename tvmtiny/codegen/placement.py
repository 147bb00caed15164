"""The memory regions of a board that hold the arena and the constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.targets import Board

#: Data that can be placed, and the kinds of regions that can hold it.
_KINDS: Mapping[str, tuple[str, ...]] = {"arena": ("ram",), "weights": ("flash", "ram")}


@dataclass(frozen=True)
class Placement:
    """Memory regions by name; None for the board's default region.

    Attributes
    ----------
    arena, weights
        Names of the regions.
    weights_in_ram
        Whether start-up code has to copy the weights.
    """

    arena: str | None = None
    weights: str | None = None
    weights_in_ram: bool = False

    # The prefixes make GCC set the right section flags, and make a linker script that does not know
    # these sections place them with other data of their kind.
    @property
    def arena_section(self) -> str | None:
        """Section of the arena; None for the default."""
        return None if self.arena is None else ".bss.tvmtiny_arena"

    @property
    def constants_section(self) -> str | None:
        """Section of the constants; None for the default."""
        if self.weights is None:
            return None
        return ".data.tvmtiny_constants" if self.weights_in_ram else ".rodata.tvmtiny_constants"

    @property
    def arena_attribute(self) -> str:
        """The C attribute that places the arena; empty for the default section."""
        return _attribute(self.arena_section)

    @property
    def constants_attribute(self) -> str:
        """The C attribute that places constants; empty for the default section."""
        return _attribute(self.constants_section)


def parse_placement(place: Mapping[str, str], board: Board | None) -> Placement:
    """Check the names of regions.

    Parameters
    ----------
    place
        Names of regions for ``arena`` and ``weights``.
    board
        The target's board; None if the target is a CPU.

    Raises
    ------
    InputError
        If there is no board, a key is unknown, or the board has no region of that name that can
        hold the data.
    """
    if not place:
        return Placement()
    if board is None:
        raise InputError(
            "only boards have memory regions, and the target is not a board; name a board as the "
            "target"
        )
    for what, name in place.items():
        if what not in _KINDS:
            raise InputError(f"{quoted(what)} cannot be placed; known: {', '.join(_KINDS)}")
        usable = [region.name for region in board.regions if region.kind in _KINDS[what]]
        if name not in usable:
            regions = ", ".join(f"{region.name} ({region.kind})" for region in board.regions)
            raise InputError(
                f"{board.name} has no region {quoted(name)} that can hold the {what}; its regions: "
                f"{regions}; allowed here: {', '.join(usable)}"
            )
    arena, weights = place.get("arena"), place.get("weights")
    # The default regions need no sections of their own.
    return Placement(
        None if arena == board.data_region else arena,
        None if weights == board.code_region else weights,
        weights is not None and board.region(weights).kind == "ram",
    )


def _attribute(section: str | None) -> str:
    return "" if section is None else f'__attribute__((section("{section}")))'
