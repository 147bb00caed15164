"""What building and running give: projects, firmware, and the results of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.targets import Board

__all__ = ["Firmware", "FlashSizes", "OutputTensor", "Pauses", "Project", "RunResult"]


@dataclass(frozen=True)
class Project:
    """A directory that holds everything needed to build firmware.

    Attributes
    ----------
    directory
        Where it is.
    artifact
        The generated model.
    board
        The board it is for.
    sources
        C files to compile, relative to the directory.
    firmware
        What is built around the model: ``harness`` runs it once, ``rpc`` serves a host.
    """

    directory: Path
    artifact: Artifact
    board: Board
    sources: tuple[str, ...]
    firmware: str = "harness"


@dataclass(frozen=True)
class FlashSizes:
    """Flash of the generated code and the library functions it uses, in bytes.

    Start-up code and test harness are not counted.

    Attributes
    ----------
    code
        Machine code.
    constants
        Weights, tables, and the initial values of variables.
    total
        Both.
    """

    code: int
    constants: int
    total: int


@dataclass(frozen=True)
class Firmware:
    """A linked program.

    Attributes
    ----------
    elf
        The program.
    project
        What it was built from.
    sizes
        Flash of the generated code.
    static_ram_bytes
        Variables of the generated code and the library functions it uses, in bytes.
    """

    elf: Path
    project: Project
    sizes: FlashSizes
    static_ram_bytes: int


@dataclass(frozen=True)
class OutputTensor:
    """One output of the model.

    Attributes
    ----------
    name, dtype, shape
        As in the model.
    data
        Its values, of that dtype and shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: npt.NDArray[Any]


@dataclass(frozen=True)
class Pauses:
    """How long a program waits for a piece of an inference.

    Attributes
    ----------
    slices
        Instructions of each step of an inference; where windows slide, of each step of one row.
    pushes
        Instructions of each push of a single row; empty where the input is a whole. Where windows
        slide, of one row.
    """

    slices: tuple[int, ...]
    pushes: tuple[int, ...]


@dataclass(frozen=True)
class RunResult:
    """What one run of the firmware gave.

    Attributes
    ----------
    model, board, cpu
        Names.
    instructions
        Instructions of one inference, from entry to return of the generated run function.
    arena_bytes
        Static memory of the model: inputs, outputs, tensors and scratch.
    static_ram_bytes
        All variables of the generated code and the library functions it uses; None where the
        firmware was not built here.
    stack_bytes
        Deepest stack of that inference below its caller's, in bytes.
    flash
        Flash of the generated code; None where the firmware was not built here.
    outputs
        One entry an output of the model.
    layers
        Output of each layer of the artifact, in order, from an inference before that one.
    pauses
        From inferences after that one; None where nothing is done in pieces, and where they were
        not measured.
    """

    model: str
    board: str
    cpu: str
    instructions: int
    arena_bytes: int
    static_ram_bytes: int | None
    stack_bytes: int
    flash: FlashSizes | None
    outputs: tuple[OutputTensor, ...]
    layers: tuple[npt.NDArray[np.generic], ...]
    pauses: Pauses | None = None
