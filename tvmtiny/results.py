"""Results of building and running: projects, firmware, and run results."""

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
        Path of the directory.
    artifact
        The generated model.
    board
        Board that the project is for.
    sources
        C files to compile, relative to `directory`.
    firmware
        Program built around the model: ``harness`` runs it once, ``rpc`` serves a host.
    others
        Other models of the same firmware.
    """

    directory: Path
    artifact: Artifact
    board: Board
    sources: tuple[str, ...]
    firmware: str = "harness"
    others: tuple[Artifact, ...] = ()


@dataclass(frozen=True)
class FlashSizes:
    """Flash used by the generated code and the library functions that it calls, in bytes.

    Start-up code and test harness are excluded.

    Attributes
    ----------
    code
        Size of the machine code.
    constants
        Size of weights, tables, and initial values of variables.
    total
        Sum of both.
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
        Path of the ELF file.
    project
        The project from which the firmware was built.
    sizes
        Flash used by the generated code.
    static_ram_bytes
        RAM for variables of the generated code and the library functions it calls, in bytes.
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
        Name, dtype and shape of the tensor in the model.
    data
        Values, of that dtype and shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: npt.NDArray[Any]


@dataclass(frozen=True)
class Pauses:
    """Durations of the individual pieces of an inference.

    Attributes
    ----------
    slices
        Instructions of each step of an inference; with sliding windows, of each step of one row.
    pushes
        Instructions of each push of one row; empty if the input comes as a whole.
    """

    slices: tuple[int, ...]
    pushes: tuple[int, ...]


@dataclass(frozen=True)
class RunResult:
    """The result of one run of the firmware.

    Attributes
    ----------
    model, board, cpu
        Names of model, board and CPU.
    instructions
        Instructions of one inference, from entry to return of the generated run function.
    arena_bytes
        Size of the arena in bytes: inputs, outputs, tensors and scratch.
    static_ram_bytes
        RAM for variables of the generated code and the library functions it calls, in bytes; None
        if the firmware was not built by this process.
    stack_bytes
        Deepest stack of that inference in bytes, counted from the frame of its caller.
    flash
        Flash used by the generated code; None if the firmware was not built by this process.
    outputs
        One entry for each output of the model.
    layers
        Output of each layer of the artifact, in order, from an inference before the measured one.
    pauses
        Measured in inferences after that one; None if the inference has no pieces, or if they were
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
