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
        "Runtime whose rounding the code reproduces: litert or tflm.",
        "NAME",
    ),
    CompileOption(
        "signature",
        Sequence,
        None,
        "Signature of a file to compile; once per model, or once for all.",
        "KEY",
    ),
)

#: Options of `tvmtiny.apply_front_end`.
FRONT_OPTIONS = (
    CompileOption(
        "frontend",
        str,
        None,
        "Front end in the code that computes the input from what a sensor gives: microfrontend, "
        "log-mel, mfcc, vibration or image.",
        "NAME",
    ),
    CompileOption(
        "sample_rate",
        int,
        None,
        "Sample rate of the front end in Hz; by default its own.",
        "HZ",
    ),
    CompileOption(
        "step",
        str,
        None,
        "Time from one row of features to the next, such as 10ms; by default the front end's own.",
        "TIME",
    ),
    CompileOption(
        "front_settings",
        Mapping,
        None,
        "Other setting of the front end, such as channels=32; may be repeated.",
        "KEY=VALUE",
        "front-setting",
    ),
    CompileOption(
        "stride",
        int,
        None,
        "New rows of features per decision; by default 1, for a stateful model all of its input.",
        "ROWS",
    ),
    CompileOption(
        "threshold",
        float,
        0.5,
        "With a front end: average of an output above which an event is reported.",
        "REAL",
    ),
    CompileOption(
        "average",
        int,
        1,
        "With a front end: number of decisions over which outputs are averaged.",
        "COUNT",
    ),
    CompileOption(
        "refractory",
        str,
        "0ms",
        "With a front end: time after an event during which no other is reported.",
        "TIME",
    ),
    CompileOption(
        "events",
        Sequence,
        None,
        "With a front end: position of an event in the output; may be repeated.",
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
        "Goal: speed (may widen weights to int16), size (prefers short code) or balanced.",
        "GOAL",
    ),
    CompileOption(
        "flash_budget",
        int,
        None,
        "With --optimize speed: widen weights only while all constants fit in BYTES.",
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
        "Location of inputs and outputs: arena, or external (memory of the caller).",
        "WHERE",
    ),
    CompileOption(
        "ram_budget",
        int,
        None,
        "Largest arena in bytes; slower kernels are chosen where they make the model fit.",
        "BYTES",
    ),
    CompileOption(
        "stream",
        str,
        "none",
        "Run layers row by row: inside, rows (of the input), time (sliding windows), none or auto.",
        "MODE",
    ),
    CompileOption(
        "longest_slice",
        int,
        None,
        "Run an inference in steps of at most CYCLES cycles; longer layers are divided.",
        "CYCLES",
    ),
    CompileOption(
        "records",
        str,
        None,
        "Tuned records to use instead of the shipped ones: a file, a folder, or none.",
        "PATH",
    ),
    CompileOption(
        "tuned_for",
        str,
        None,
        "Use records tuned for instructions or cycles; of the shipped ones, instructions.",
        "METRIC",
    ),
    CompileOption(
        "place",
        Mapping,
        None,
        "Memory regions of the board for arena and weights: arena=REGION, weights=REGION or both.",
        "WHAT=REGION",
    ),
    CompileOption(
        "trainable",
        str,
        None,
        "Layers that the code can train on the device: last, or last2 for the last two.",
        "LAYERS",
    ),
    CompileOption(
        "input_names",
        Sequence,
        None,
        "Name of an input in the header; may be repeated, in the order of the inputs.",
        "NAME",
        "input-name",
    ),
    CompileOption(
        "output_names",
        Sequence,
        None,
        "Name of an output in the header; may be repeated, in the order of the outputs.",
        "NAME",
        "output-name",
    ),
)
