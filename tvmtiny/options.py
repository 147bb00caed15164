"""The options of `tvmtiny.compile` and `tvmtiny.load`: one table for API, command line and file.

The keyword arguments of the two functions, the options of every command that compiles, and the keys
of the section ``[compile]`` of a ``tvmtiny.toml`` are these entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["COMPILE_OPTIONS", "LOAD_OPTIONS", "CompileOption"]


@dataclass(frozen=True)
class CompileOption:
    """One option.

    Attributes
    ----------
    name
        Of the keyword argument; commands write dashes.
    type
        Of its value on the command line.
    default
        Where nothing is given.
    help
        One sentence for people.
    metavar
        What stands for the value in a help text; empty for a switch.
    switch
        How the command line calls it, where that is not `name`: an option that may be given more
        than once has a plural `name`.
    """

    name: str
    type: Any
    default: Any
    help: str
    metavar: str = ""
    switch: str = ""

    @property
    def switches(self) -> tuple[str, ...]:
        """How the command line spells it."""
        dashed = self.switch or self.name.replace("_", "-")
        return (f"--{dashed}/--no-{dashed}",) if self.type is bool else (f"--{dashed}",)


#: Of `tvmtiny.load`.
LOAD_OPTIONS = (
    CompileOption(
        "oracle",
        str,
        "litert",
        "Whose rounding the code reproduces: litert or tflm.",
        "NAME",
    ),
)

#: Of `tvmtiny.compile`.
COMPILE_OPTIONS = (
    CompileOption(
        "optimize",
        str,
        "balanced",
        "speed may widen weights to int16, size prefers short code; or balanced.",
        "GOAL",
    ),
    CompileOption(
        "flash_budget",
        int,
        None,
        "With --optimize speed: widen weights only while all constants fit these bytes.",
        "BYTES",
    ),
    CompileOption(
        "dead_channels",
        bool,
        True,
        "Remove channels that are constant or that nothing depends on; results are the same.",
    ),
    CompileOption(
        "io",
        str,
        "arena",
        "Where inputs and outputs lie: in the arena, or external, in memory of the caller.",
        "WHERE",
    ),
    CompileOption(
        "ram_budget",
        int,
        None,
        "The most bytes of arena; slower kernels are taken where that makes it fit.",
        "BYTES",
    ),
    CompileOption(
        "stream",
        str,
        "none",
        "Layers run row by row: inside, input in rows, windows in time, none, or auto.",
        "MODE",
    ),
    CompileOption(
        "longest_slice",
        int,
        None,
        "Inference in steps of at most so many cycles; longer layers are divided.",
        "CYCLES",
    ),
    CompileOption(
        "records",
        str,
        None,
        "Tuned records in place of those that ship: a file, a folder, or none.",
        "PATH",
    ),
    CompileOption(
        "tuned_for",
        str,
        None,
        "Use records tuned for instructions or cycles; of those that ship, instructions.",
        "METRIC",
    ),
    CompileOption(
        "place",
        Mapping,
        None,
        "Memory regions of the board: arena=REGION weights=REGION, one or both.",
        "WHAT=REGION",
    ),
    CompileOption(
        "input_names",
        Sequence,
        None,
        "What the header calls the inputs, in their order; once for each.",
        "NAME",
        "input-name",
    ),
    CompileOption(
        "output_names",
        Sequence,
        None,
        "What the header calls the outputs, in their order; once for each.",
        "NAME",
        "output-name",
    ),
)
