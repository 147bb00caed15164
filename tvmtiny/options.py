"""Options of `tvmtiny.compile`, `load` and `apply_front_end` for API, command line and file.

Each entry is a keyword argument of one of these functions, an option of every command that
compiles, and a key of the section ``[compile]`` in a ``tvmtiny.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["COMPILE_OPTIONS", "FRONT_OPTIONS", "LOAD_OPTIONS", "CompileOption"]


@dataclass(frozen=True)
class CompileOption:
    """An option of the compiler.

    Attributes
    ----------
    name
        Name of the keyword argument; the command line replaces underscores by dashes.
    type
        Type of the value on the command line.
    default
        Default value.
    help
        Help text, one sentence.
    metavar
        Placeholder of the value in help texts; empty for a switch.
    switch
        Name on the command line if it differs from `name`: an option that may be given more than
        once has a plural `name`.
    """

    name: str
    type: Any
    default: Any
    help: str
    metavar: str = ""
    switch: str = ""

    @property
    def switches(self) -> tuple[str, ...]:
        """Spelling of the option on the command line."""
        dashed = self.switch or self.name.replace("_", "-")
        return (f"--{dashed}/--no-{dashed}",) if self.type is bool else (f"--{dashed}",)


#: Options of `tvmtiny.load`.
LOAD_OPTIONS = (
    CompileOption(
        "oracle",
        str,
        "litert",
        "Whose rounding the code reproduces: litert or tflm.",
        "NAME",
    ),
    CompileOption(
        "signature",
        Sequence,
        None,
        "Which of a file's signatures is compiled; once a model, or once for all.",
        "KEY",
    ),
)

#: Options of `tvmtiny.apply_front_end`.
FRONT_OPTIONS = (
    CompileOption(
        "frontend",
        str,
        None,
        "What makes the model's input of a sensor's samples, as part of the code: microfrontend.",
        "NAME",
    ),
    CompileOption(
        "sample_rate",
        int,
        None,
        "Of the front end, in Hz; by default its own.",
        "HZ",
    ),
    CompileOption(
        "step",
        str,
        None,
        "From one row of features to the next, such as 10ms; by default the front end's own.",
        "TIME",
    ),
    CompileOption(
        "front_settings",
        Mapping,
        None,
        "What else the front end knows, such as channels=32; once for each.",
        "KEY=VALUE",
        "front-setting",
    ),
    CompileOption(
        "stride",
        int,
        None,
        "New rows of features in each decision; by default 1, or all of a model with a memory.",
        "ROWS",
    ),
    CompileOption(
        "threshold",
        float,
        0.5,
        "With a front end: the mean of outputs above which there is an event.",
        "REAL",
    ),
    CompileOption(
        "average",
        int,
        1,
        "With a front end: over how many decisions outputs are averaged.",
        "COUNT",
    ),
    CompileOption(
        "refractory",
        str,
        "0ms",
        "With a front end: how long there is no other event after one.",
        "TIME",
    ),
    CompileOption(
        "events",
        Sequence,
        None,
        "With a front end: a position in the output that is an event; once for each.",
        "POSITION",
        "event",
    ),
)

#: Options of `tvmtiny.compile`.
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
        "trainable",
        str,
        None,
        "The layer that is trained on the device, with functions for it: last.",
        "LAYER",
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
